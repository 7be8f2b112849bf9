"""The race that every benchmark runs: contenders in turn, round after round, medians against a baseline.

What belongs here: how time and memory are taken and shown. What does not: what is measured.
"""

from __future__ import annotations

import importlib
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Contender:
    """One way of doing the work.

    Attributes
    ----------
    name : str
        As it is shown.
    setup : str
        ``"module:function"``; called with `kwargs` in a process of the contender's own, it returns the
        callable that is timed.
    kwargs : mapping
        Arguments of `setup`; they must pickle.
    """

    name: str
    setup: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a contender needed.

    Attributes
    ----------
    name : str
        The contender.
    seconds : tuple of float
        Wall time of each round.
    peak_mb : float
        Largest memory of the process above what it held before the first round, in MB.
    """

    name: str
    seconds: tuple[float, ...]
    peak_mb: float

    @property
    def median(self) -> float:
        """Median wall time, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Race:
    """The results of one title, the baseline's name among them."""

    title: str
    baseline: str
    results: tuple[Result, ...]

    def ratio(self, name: str) -> float:
        """Return how many times the baseline's median a contender needs."""
        medians = {result.name: result.median for result in self.results}
        return medians[name] / medians[self.baseline]

    def __str__(self) -> str:
        lines = [f"\n{self.title}", f"{'':<44}{'median s':>10}{'min s':>10}{'× base':>9}{'peak MB':>10}"]
        lines += [
            f"{result.name:<44}{result.median:>10.3f}{min(result.seconds):>10.3f}"
            f"{self.ratio(result.name):>9.2f}{result.peak_mb:>10.0f}"
            for result in self.results
        ]
        return "\n".join(lines)


def race(
    title: str,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    baseline: str,
    before_round: Callable[[], object] | None = None,
) -> Race:
    """Run contenders in turn, `rounds` times, print and return their medians.

    Each contender lives in a spawned process of its own, so that imports and connections are paid once,
    before the first round, and memory is its own.

    Parameters
    ----------
    title : str
        What is measured.
    contenders : sequence of Contender
        In the order in which they run within a round.
    rounds : int
        At least 1.
    baseline : str
        Name of the contender that the others are divided by.
    before_round : callable, optional
        What no contender's time includes, as emptying what they fill.

    Raises
    ------
    RuntimeError
        If a contender fails: a race without it would compare nothing.
    """
    spawn = multiprocessing.get_context("spawn")
    lanes: list[tuple[Contender, Connection, Any]] = []
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    peaks: dict[str, float] = dict.fromkeys(seconds, 0.0)
    try:
        for contender in contenders:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, contender), daemon=False)
            process.start()
            lanes.append((contender, ours, process))
            _receive(contender, ours)
        for _ in range(rounds):
            if before_round:
                before_round()
            for contender, connection, _process in lanes:
                connection.send("run")
                took, peak = _receive(contender, connection)
                seconds[contender.name].append(took)
                peaks[contender.name] = max(peaks[contender.name], peak)
    finally:
        for _contender, connection, process in lanes:
            connection.close()
            process.join(timeout=20)
            if process.is_alive():
                process.terminate()
    finished = Race(title, baseline, tuple(Result(name, tuple(took), peaks[name]) for name, took in seconds.items()))
    print(finished, flush=True)
    return finished


def _receive(contender: Contender, connection: Connection) -> Any:
    try:
        answer = connection.recv()
    except EOFError:
        raise RuntimeError(f"{contender.name}: its process died") from None
    if isinstance(answer, str):
        raise RuntimeError(f"{contender.name}: {answer}")
    return answer


def _serve(connection: Connection, contender: Contender) -> None:
    try:
        module, _, function = contender.setup.partition(":")
        run = getattr(importlib.import_module(module), function)(**contender.kwargs)
        connection.send(())
        before = _resident_mb()
        while True:
            connection.recv()
            _forget_peak()
            started = time.perf_counter()
            run()
            took = time.perf_counter() - started
            connection.send((took, peak_mb() - before))
    except EOFError:
        return
    except Exception as err:  # whatever it is, the parent shows it and stops the race
        connection.send(f"{type(err).__name__}: {err}")


def _resident_mb() -> float:
    return _status("VmRSS") if _STATUS.exists() else peak_mb()


def peak_mb() -> float:
    """Return the largest memory that this process has held so far, in MB."""
    if _STATUS.exists():
        return _status("VmHWM")
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1000


def _forget_peak() -> None:
    if _CLEAR.exists():
        _CLEAR.write_text("5")  # 5: reset the peak resident set size, proc(5)
