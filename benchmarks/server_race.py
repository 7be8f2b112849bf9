"""Servers that are asked in turn by one client: what the races of online answers share.

What belongs here: processes, rounds, and the table of a race. What does not: the servers, and what they are asked.

Each contender is one process, asked in turn with the others at each number of connections, every round; the client is a
process beside it. The first one is this project's.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.http_load import Load, ask_for
from include.settings import PROJECT_ROOT

_UP_WITHIN_S = 120
_PUT_OFF_S = 1.0


@dataclass(frozen=True)
class Contender:
    """A server, and what it is asked.

    Attributes
    ----------
    title : str
    command : sequence of str
        See `module` and `script`; a port on 127.0.0.1 follows.
    path : str
    bodies : sequence of bytes
        Asked one after another.
    """

    title: str
    command: Sequence[str]
    path: str
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Asked:
    """What came of asking a server for some seconds.

    Attributes
    ----------
    load : Load
    computed_us : float
        Microseconds of the server's processors for each answer: the clock depends on who else computes, these hardly.
    """

    load: Load
    computed_us: float


@dataclass(frozen=True)
class _Server:
    process: psutil.Process
    port: int

    def computed_s(self) -> float:
        """Return the seconds that it and what it started computed."""
        times = [each.cpu_times() for each in (self.process, *self.process.children(recursive=True))]
        return sum(each.user + each.system for each in times)


def module(name: str, *arguments: str) -> list[str]:
    """Return the command of a module of this project's environment."""
    return [sys.executable, "-W", "ignore", "-m", name, *arguments]


def script(name: str, *arguments: str) -> list[str]:
    """Return the command of one of the ``peers``, in the environment that it asks for."""
    uv = shutil.which("uv") or str(PROJECT_ROOT / ".uv" / "bin" / "uv")
    return [uv, "run", "--quiet", "--script", str(PROJECT_ROOT / "benchmarks" / "peers" / f"{name}.py"), *arguments]


def race_servers(
    what: str, contenders: Sequence[Contender], *, connections: Sequence[int], seconds: float, rounds: int
) -> Mapping[tuple[str, int], Sequence[Asked]]:
    """Ask every server for some seconds, a round and number of connections, and show what came of it.

    Raises
    ------
    RuntimeError
        If a server is not up in time, or answers with another status than 200.
    """
    taken: dict[tuple[str, int], list[Asked]] = {}
    with _running([each.command for each in contenders]) as servers:
        for _ in range(rounds):
            for count in connections:
                for each, server in zip(contenders, servers, strict=True):
                    taken.setdefault((each.title, count), []).append(_ask(each, server, count, seconds))
    for count in connections:
        title = f"{what}, {count} connection{'s' if count > 1 else ''}"
        _show(title, {each.title: taken[each.title, count] for each in contenders})
    return taken


def _ask(contender: Contender, server: _Server, connections: int, seconds: float) -> Asked:
    before = server.computed_s()
    load = ask_for(seconds, server.port, contender.path, contender.bodies, connections=connections)
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{contender.title} answered {dict(load.statuses)}")
    # What it puts off, it does within this time.
    time.sleep(_PUT_OFF_S)
    return Asked(load, (server.computed_s() - before) / len(load.latencies_ms) * 1e6)


def _show(title: str, taken: Mapping[str, Sequence[Asked]]) -> None:
    print(f"\n{title}")
    print(f"{'':<36}{'requests/s':>12}{'ours ÷':>9}{'p50 ms':>9}{'p99 ms':>9}{'µs of computing':>17}")
    ours = median(each.load.per_second for each in next(iter(taken.values())))
    for name, asked in taken.items():
        rate = median(each.load.per_second for each in asked)
        p50, p99 = (median(each.load.quantile_ms(share) for each in asked) for share in (0.5, 0.99))
        computed = median(each.computed_us for each in asked)
        print(f"{name:<36}{rate:>12,.0f}{ours / rate:>9.2f}{p50:>9.2f}{p99:>9.2f}{computed:>17.0f}", flush=True)


@contextmanager
def _running(commands: Sequence[Sequence[str]]) -> Iterator[list[_Server]]:
    """Have every server up."""
    ports = [_free_port() for _ in commands]
    processes = [
        subprocess.Popen(
            [*command, str(port)],
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for command, port in zip(commands, ports, strict=True)
    ]
    try:
        for command, port in zip(commands, ports, strict=True):
            _wait_for(" ".join(command), port)
        yield [_Server(psutil.Process(process.pid), port) for process, port in zip(processes, ports, strict=True)]
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(name: str, port: int) -> None:
    deadline = time.monotonic() + _UP_WITHIN_S
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not up after {_UP_WITHIN_S} s") from None
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
