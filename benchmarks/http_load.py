"""A client that asks as fast as it is answered: some connections, one question under way on each.

What belongs here: sending, counting and timing. What does not: what is asked, and of whom. It stays on this machine: an
address that is not 127.0.0.1 is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import numpy as np
import uvloop

from include.settings import DEFAULT_SERVING_PORT

_HEAD_END = b"\r\n\r\n"
_SAID = re.compile(rb'"(?:model_version|code)":"?(\w+)')


@dataclass
class Load:
    """What came of some load.

    Attributes
    ----------
    seconds : float
        From the first question to the last answer.
    latencies_ms : list of float
        Of each answer.
    statuses : Counter of int
    said : Counter of (int, str)
        Of each status, which version answered, or which code of an error.
    """

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    said: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Answers in a second."""
        return len(self.latencies_ms) / self.seconds

    def quantile_ms(self, share: float) -> float:
        """Return the latency that a share of answers does not exceed."""
        return float(np.quantile(self.latencies_ms, share))

    def __str__(self) -> str:
        marks = ", ".join(f"p{int(share * 100)} {self.quantile_ms(share):.2f}" for share in (0.5, 0.95, 0.99))
        return f"{self.per_second:,.0f}/s, ms: {marks}, statuses {dict(self.statuses)}"


def ask_for(
    seconds: float,
    port: int,
    path: str,
    bodies: Sequence[bytes],
    *,
    connections: int,
    key: str = "",
    pause_s: float = 0.0,
) -> Load:
    """Ask a server on this machine for some time.

    Parameters
    ----------
    seconds : float
    port : int
        On 127.0.0.1.
    path : str
    bodies : sequence of bytes
        JSON; one after another.
    connections : int
        Each asks its next question when it has its answer.
    key : str, optional
        An API key.
    pause_s : float
        Seconds that each connection rests after an answer.
    """
    requests = [_request(path, body, key) for body in bodies]

    async def run() -> Load:
        load, loop = Load(), asyncio.get_running_loop()
        begin = time.perf_counter()
        askers = [_Asker(load, requests, number, begin + seconds, loop, pause_s) for number in range(connections)]
        for asker in askers:
            await loop.create_connection(lambda asker=asker: asker, "127.0.0.1", port)
        await asyncio.gather(*(asker.done for asker in askers))
        load.seconds = time.perf_counter() - begin
        return load

    return uvloop.run(run())


def _request(path: str, body: bytes, key: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join(lines).encode() + _HEAD_END + body


class _Asker(asyncio.Protocol):
    """One connection. It reads as much of HTTP as a server of JSON writes."""

    def __init__(
        self,
        load: Load,
        requests: Sequence[bytes],
        number: int,
        end: float,
        loop: asyncio.AbstractEventLoop,
        pause_s: float,
    ) -> None:
        self._loop, self._pause_s = loop, pause_s
        self.done: asyncio.Future[None] = loop.create_future()
        self._load, self._requests, self._next, self._end = load, requests, number, end
        self._buffer = b""
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_HEAD_END)
        if head < 0 or not self._is_whole(head):
            return
        now = time.perf_counter()
        self._load.latencies_ms.append((now - self._asked_at) * 1000)
        status, said = int(self._buffer[9:12]), _SAID.search(self._buffer, head)
        self._load.statuses[status] += 1
        self._load.said[status, said[1].decode() if said else ""] += 1
        self._buffer = b""
        if now >= self._end:
            self._transport.close()
        elif self._pause_s:
            self._loop.call_later(self._pause_s, self._ask)
        else:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _ask(self) -> None:
        self._next += 1
        self._asked_at = time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])  # type: ignore[attr-defined]

    def _is_whole(self, head: int) -> bool:
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        if at < 0:
            return self._buffer.endswith(b"0\r\n\r\n")
        return len(self._buffer) >= head + 4 + int(lower[at + 15 :].split(b"\r\n", 1)[0])


def main() -> None:
    """Ask a service on this machine about rows of features that are not known, and tell how long answers took."""
    parser = argparse.ArgumentParser(prog="make load ARGS=…", description=main.__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_SERVING_PORT, help="of the service (default: %(default)s)")
    parser.add_argument("--model", default="", help="default: the first that has a version in Production")
    parser.add_argument("--seconds", type=float, default=10.0, help="at most 600 (default: 10)")
    parser.add_argument("--connections", type=int, default=16, help="at most 512 (default: 16)")
    parser.add_argument("--key", default="", help="an API key, where the service wants one")
    asked = parser.parse_args()
    if not (0 < asked.seconds <= 600 and 1 <= asked.connections <= 512):
        parser.error("--seconds is above 0 and at most 600, --connections from 1 to 512")
    headers = {"X-Api-Key": asked.key} if asked.key else {}
    try:
        found = (
            httpx.get(f"http://127.0.0.1:{asked.port}/v1/models", headers=headers).raise_for_status().json()["models"]
        )
    except httpx.HTTPError as err:
        parser.error(
            f"no service answers on port {asked.port} of this machine ({err}); make up and mlops serve start one"
        )
    served = {each["model"]: each["versions"][0]["features"] for each in found if each["versions"]}
    model = asked.model or next(iter(served), "")
    if model not in served:
        parser.error(
            f"no version of {model or 'any model'} is in Production there; there are {', '.join(served) or 'none'}"
        )
    body = json.dumps({"instances": [dict.fromkeys(served[model])]}).encode()
    path = f"/v1/models/{model}/predict"
    print(f"{model}: {ask_for(asked.seconds, asked.port, path, [body], connections=asked.connections, key=asked.key)}")


if __name__ == "__main__":
    main()
