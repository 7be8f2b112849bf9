"""The routes that predict, as plain ASGI: bytes in, bytes out.

What belongs here: HTTP around a prediction: paths, bodies and their limits, request ids, errors, being full. What does
not: what an answer says (``prediction_service``), and routes that people and probes read (``app``), which FastAPI has.

A prediction takes some twenty microseconds. A framework's routing, validation and serialisation of one request take ten
times that, so the routes that are called a thousand times a second do without.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from typing import Any, TypeAlias

import msgspec

from include.errors import UsageError
from include.serving.binary_tensors import HEADER, BinaryAnswer
from include.serving.door import Door
from include.serving.exchange import Exchange
from include.serving.patience import Patience
from include.serving.prediction_service import PredictionService
from include.serving.refusal import Refusal, unprocessable

log = logging.getLogger(__name__)

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
_Answer: TypeAlias = Callable[[bytes, Exchange], Awaitable[object]]
# Which model is asked, where the path says it, and what answers.
_Route: TypeAlias = tuple[str | None, _Answer]

_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_MODEL_ROUTE = re.compile(r"/v1/models/([^/]+)/(predict|invocations)")
# Who watches over a process asks these, and has no key.
_PROBES = frozenset({"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"})
# Where the Open Inference Protocol is spoken.
INFERENCE = "/v2/"
_INFER_ROUTE = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
# Whoever is turned away while the service is full may come again so soon.
_FULL_RETRY_S = 1


@dataclass(frozen=True)
class Limits:
    """What one process takes on.

    Attributes
    ----------
    body_bytes : int
        Of a request.
    body_seconds : float
        In which its body arrives.
    in_flight : int
        Requests that are answered at once; more are turned away with 503, as are bodies that come in parts where what
        has come of all of them fills as many bodies.
    """

    body_bytes: int = 1_000_000
    body_seconds: float = 10.0
    in_flight: int = 256


class PredictionRoutes:
    """ASGI application of the routes that predict; others go on to the next one.

    Parameters
    ----------
    service : PredictionService
    others : ASGI application
        Takes every other path and method.
    limits : Limits
    door : Door
        Lets requests in, to any path but those of probes.
    """

    def __init__(self, service: PredictionService, others: AsgiApp, limits: Limits, door: Door) -> None:
        self._door = door
        self._service = service
        self._note = service.record.recorder.note
        self._others = others
        self._limits = limits
        self._patience = Patience(limits.body_seconds)
        self._bytes_in_parts = 0
        self.in_flight = 0
        # Of this process alone, and without a gap: what is lost on the way can be counted.
        self._process = token_hex(4)
        # The paths that are asked all day, found at once.
        self._known: dict[str, _Route] = {
            "/predict": (service.sole_model, service.predict_row),
            "/invocations": (service.sole_model, service.invoke),
            **{f"/v1/models/{model}/predict": (model, service.predict) for model in service.specs},
            **{f"/v1/models/{model}/invocations": (model, service.invoke) for model in service.specs},
        }
        self._numbers: Iterator[int] = count(1)
        self._is_in_turn = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._others(scope, receive, send)
            return
        began = time.perf_counter_ns()
        route = self._route(scope) if scope["method"] == "POST" else None
        exchange = Exchange(self._request_id(scope), time.time_ns() // 1000, None if route is None else route[0])
        try:
            self._door.admit(scope["headers"], exchange.model_id, looks=self._is_first_in_turn())
        except Refusal as no:
            body = no.body(exchange.request_id, is_inference=scope["path"].startswith(INFERENCE))
            await self._send(send, exchange, began, no.status, body, no.retry_after_s)
            return
        if route is None:
            await self._others(scope, receive, send)
            return
        await self._send(send, exchange, began, *await self._answered(route[1], scope, receive, exchange))

    def _is_first_in_turn(self) -> bool:
        """Say whether nobody has asked yet in this turn of the event loop: all that do came at the same time."""
        if self._is_in_turn:
            return False
        self._is_in_turn = True
        asyncio.get_running_loop().call_soon(self._end_turn)
        return True

    def _end_turn(self) -> None:
        self._is_in_turn = False

    async def _send(
        self, send: Send, exchange: Exchange, began: int, status: int, body: bytes, retry_after: int | None
    ) -> None:
        headers = [_JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", exchange.request_id.encode())]
        if exchange.answer_json_bytes is not None:
            headers[0] = _BYTES
            headers.append((HEADER, b"%d" % exchange.answer_json_bytes))
        if retry_after is not None:
            headers.append((b"retry-after", b"%d" % retry_after))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._note(exchange, status, (time.perf_counter_ns() - began) // 1000)

    async def _answered(
        self, answer: _Answer, scope: Scope, receive: Receive, exchange: Exchange
    ) -> tuple[int, bytes, int | None]:
        request_id = exchange.request_id
        try:
            # Who is silent, or sends little by little, takes the place of nobody.
            body = await self._body(scope, receive)
            if self.in_flight >= self._limits.in_flight:
                raise _full(f"{self.in_flight} requests are being answered")
            self.in_flight += 1
            try:
                told = await answer(body, exchange)
            finally:
                self.in_flight -= 1
            if isinstance(told, BinaryAnswer):
                exchange.answer_json_bytes = told.json_bytes
                return 200, told.body, None
            return 200, msgspec.json.encode(told), None
        except Refusal as refusal:
            no = refusal
        except UsageError as err:
            no = unprocessable(str(err))
        except Exception:
            # Nobody has foreseen it: the log has the traceback, the caller a number to ask by.
            log.exception("request=%s broke", request_id)
            no = Refusal(500, "broke", "something broke that should not; the service's log has it by this id")
        return no.status, no.body(request_id, is_inference=scope["path"].startswith(INFERENCE)), no.retry_after_s

    def _route(self, scope: Scope) -> _Route | None:
        path: str = scope["path"]
        if (known := self._known.get(path)) is not None:
            return known
        service = self._service
        if found := _MODEL_ROUTE.fullmatch(path):
            # Of a model that is not served: what answers says so.
            return found[1], service.predict if found[2] == "predict" else service.invoke
        if found := _INFER_ROUTE.fullmatch(path):
            model, version = found.groups()
            return model, lambda body, exchange: service.infer(body, exchange, version, json_bytes=_json_bytes(scope))
        return None

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                return str(value.decode())
        return f"{self._process}-{next(self._numbers)}"

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self._limits.body_bytes
        try:
            with self._patience:
                message = await receive()
                body: bytes = message.get("body", b"")
                if message.get("more_body"):
                    for name, value in scope["headers"]:
                        if name == b"content-length" and value.isdigit() and int(value) > most:
                            raise _too_large(most)
                    body = await self._in_parts(receive, body)
        except TimeoutError:
            raise Refusal(408, "slow_body", f"the body did not come within {self._limits.body_seconds:g} s") from None
        if len(body) > most:
            raise _too_large(most)
        return body

    async def _in_parts(self, receive: Receive, first: bytes) -> bytes:
        parts, size, is_more = [first], len(first), True
        self._bytes_in_parts += size
        try:
            while is_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refusal(400, "cut_off", "the body ended before it was whole")
                part = message.get("body", b"")
                parts.append(part)
                size += len(part)
                self._bytes_in_parts += len(part)
                if size > self._limits.body_bytes:
                    raise _too_large(self._limits.body_bytes)
                if self._bytes_in_parts > self._limits.in_flight * self._limits.body_bytes:
                    raise _full(f"{self._bytes_in_parts:,} bytes of bodies have come that are not whole")
                is_more = message.get("more_body", False)
        finally:
            self._bytes_in_parts -= size
        return b"".join(parts)


def _full(why: str) -> Refusal:
    told = f"{why}, which is all that this process takes on at once"
    return Refusal(503, "full", told, retry_after_s=_FULL_RETRY_S)


def _json_bytes(scope: Scope) -> int | None:
    """Return how many bytes of the body are JSON, where a header says so."""
    value = next((value for name, value in scope["headers"] if name == HEADER), None)
    if value is None:
        return None
    if not value.isdigit():
        raise unprocessable("Inference-Header-Content-Length is no number; write how many bytes of the body are JSON")
    return int(value)


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"a body has {most:,d} bytes at most; ask about fewer at once")
