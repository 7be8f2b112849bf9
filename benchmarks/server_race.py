"""Servers that are asked in turn by one client: what the races of online answers share.

What belongs here: processes, rounds, and the table of a race. What does not: the servers, and what they are asked.

Each contender is one process, asked in turn with the others at each number of connections, every round; the client is a
process beside it. The first one is this project's.
"""

from __future__ import annotations

import os
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

from benchmarks.http_load import Load, ask_for

_UP_WITHIN_S = 120


@dataclass(frozen=True)
class Contender:
    """A server, and what it is asked.

    Attributes
    ----------
    title : str
    command : sequence of str
        A module of Python and its arguments; a port on 127.0.0.1 follows.
    path : str
    bodies : sequence of bytes
        Asked one after another.
    """

    title: str
    command: Sequence[str]
    path: str
    bodies: Sequence[bytes]


def race_servers(
    what: str, contenders: Sequence[Contender], *, connections: Sequence[int], seconds: float, rounds: int
) -> Mapping[tuple[str, int], Sequence[Load]]:
    """Ask every server for some seconds, a round and number of connections, and show what came of it.

    Raises
    ------
    RuntimeError
        If a server is not up in time, or answers with another status than 200.
    """
    taken: dict[tuple[str, int], list[Load]] = {}
    with _running([each.command for each in contenders]) as ports:
        for _ in range(rounds):
            for count in connections:
                for each, port in zip(contenders, ports, strict=True):
                    load = ask_for(seconds, port, each.path, each.bodies, connections=count)
                    if set(load.statuses) != {200}:
                        raise RuntimeError(f"{each.title} answered {dict(load.statuses)}")
                    taken.setdefault((each.title, count), []).append(load)
    for count in connections:
        _show(
            f"{what}, {count} connection{'s' if count > 1 else ''}",
            {e.title: taken[e.title, count] for e in contenders},
        )
    return taken


def _show(title: str, taken: Mapping[str, Sequence[Load]]) -> None:
    print(f"\n{title}")
    print(f"{'':<44}{'requests/s':>12}{'ours ÷':>9}{'p50 ms':>9}{'p99 ms':>9}")
    ours = median(load.per_second for load in next(iter(taken.values())))
    for name, loads in taken.items():
        rate = median(load.per_second for load in loads)
        p50, p99 = (median(load.quantile_ms(share) for load in loads) for share in (0.5, 0.99))
        print(f"{name:<44}{rate:>12,.0f}{ours / rate:>9.2f}{p50:>9.2f}{p99:>9.2f}", flush=True)


@contextmanager
def _running(commands: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Have every server up; give their ports."""
    ports = [_free_port() for _ in commands]
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *command, str(port)],
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for command, port in zip(commands, ports, strict=True)
    ]
    try:
        for command, port in zip(commands, ports, strict=True):
            _wait_for(" ".join(command), port)
        yield ports
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
