"""What senders of bodies take from others: nothing, however silent or slow they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from include.serving.http_routes import Limits, PredictionRoutes
from include.serving.patience import Patience

LIMITS = Limits(body_bytes=100, body_seconds=0.05, in_flight=2)
SILENT = object()
Answered = tuple[int, dict[str, Any]]


def make_routes(limits: Limits = LIMITS, answer: Callable[[], Awaitable[None]] | None = None) -> PredictionRoutes:
    async def predict_row(body: bytes, _: object) -> dict[str, int]:
        if answer is not None:
            await answer()
        return {"bytes": len(body)}

    service: Any = SimpleNamespace(
        record=SimpleNamespace(recorder=SimpleNamespace(note=lambda *_: None)),
        sole_model="churn", specs={}, predict_row=predict_row, invoke=None,
    )  # fmt: skip
    door: Any = SimpleNamespace(admit=lambda *_, **__: None)
    return PredictionRoutes(service, None, limits, door)  # type: ignore[arg-type]


async def ask(routes: PredictionRoutes, *parts: Any, pause_s: float = 0.0) -> Answered:
    """Send a body in parts, the last of which may be silence, and return the answer."""
    coming, sent = list(parts), []

    async def receive() -> dict[str, Any]:
        part = coming.pop(0)
        if part is SILENT:
            await asyncio.Event().wait()
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": part, "more_body": bool(coming)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await routes({"type": "http", "path": "/predict", "method": "POST", "headers": []}, receive, send)  # type: ignore[arg-type]
    return sent[0]["status"], json.loads(sent[1]["body"])


async def codes(asked: Sequence[asyncio.Task[Answered]]) -> list[tuple[int, str]]:
    return [(status, told["error"]["code"]) for status, told in await asyncio.gather(*asked)]


@pytest.mark.parametrize("parts", [(SILENT,), (b"{", SILENT), (b"", b"{", SILENT)], ids=["at once", "soon", "later"])
def test_who_falls_silent_is_turned_away_in_time_and_takes_nobodys_place(parts):
    async def run() -> None:
        routes = make_routes()
        silent = [asyncio.create_task(ask(routes, *parts)) for _ in range(10)]
        await asyncio.sleep(0.01)
        assert routes.in_flight == 0
        assert await ask(routes, b"{}") == (200, {"bytes": 2})
        assert await asyncio.wait_for(codes(silent), 5) == [(408, "slow_body")] * 10

    asyncio.run(run())


def test_who_sends_a_byte_now_and_then_is_turned_away_in_time_too():
    async def run() -> None:
        parts = [b"a"] * 20
        [told] = await codes([asyncio.create_task(ask(make_routes(), *parts, pause_s=0.01))])
        assert told == (408, "slow_body")
        patient = make_routes(Limits(body_bytes=100, body_seconds=5, in_flight=2))
        assert await ask(patient, *parts, pause_s=0.01) == (200, {"bytes": 20})

    asyncio.run(run())


def test_what_is_held_of_bodies_in_parts_is_no_more_than_of_as_many_as_are_answered():
    async def run() -> None:
        routes = make_routes()
        held = [asyncio.create_task(ask(routes, b"a" * 100, SILENT)) for _ in range(2)]
        await asyncio.sleep(0.01)
        [told] = await codes([asyncio.create_task(ask(routes, b"a", b"b"))])
        assert told == (503, "full")
        assert await ask(routes, b"{}") == (200, {"bytes": 2})
        assert await codes(held) == [(408, "slow_body")] * 2
        assert await ask(routes, b"a", b"b") == (200, {"bytes": 2})

    asyncio.run(run())


def test_a_body_that_is_too_large_is_turned_away_however_it_comes():
    async def run() -> None:
        routes = make_routes()
        asked = [asyncio.create_task(ask(routes, *parts)) for parts in ([b"a" * 101], [b"a" * 60, b"a" * 41])]
        assert await codes(asked) == [(413, "too_large")] * 2

    asyncio.run(run())


def test_no_more_are_answered_at_once_than_there_are_places():
    async def run() -> None:
        go = asyncio.Event()
        routes = make_routes(answer=lambda: asyncio.wait_for(go.wait(), 5))
        first = [asyncio.create_task(ask(routes, b"{}")) for _ in range(2)]
        await asyncio.sleep(0.01)
        assert await codes([asyncio.create_task(ask(routes, b"{}"))]) == [(503, "full")]
        # An answer takes as long as it takes: it is the body that is waited for.
        await asyncio.sleep(2 * LIMITS.body_seconds)
        go.set()
        assert [status for status, _ in await asyncio.gather(*first)] == [200, 200]

    asyncio.run(run())


def test_a_task_that_is_cancelled_by_others_is_not_told_that_it_waited_too_long():
    async def run() -> None:
        async def wait() -> None:
            with Patience(5):
                await asyncio.Event().wait()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
