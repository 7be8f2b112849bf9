"""The processes of one home: started in sessions of their own, written down, and stopped to the last one.

What belongs here: start, find, stop. What does not: which processes there are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import psutil

from include.home import write_private

SUPERVISOR = "supervisor"
RUN_ID_VARIABLE = "MLOPS_RUN_ID"
_PART_VARIABLE = "MLOPS_PART"
_TERM_TIMEOUT_S = 20
_KILL_TIMEOUT_S = 10


@dataclass(frozen=True)
class ProcessRecord:
    """A started process: its id, and its birth, since ids come back."""

    name: str
    pid: int
    created: float

    def is_alive(self) -> bool:
        """Say whether this very process still runs."""
        try:
            return not self.is_reused() and bool(psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def is_reused(self) -> bool:
        """Say whether the id belongs to another process by now; a dead leader's id can't while its session lives."""
        try:
            return bool(abs(psutil.Process(self.pid).create_time() - self.created) >= 1)
        except psutil.NoSuchProcess:
            return False


class ProcessTable:
    """The processes that belong to a home, kept in its file ``run/processes.json``.

    Parameters
    ----------
    home : Path
        ``MLOPS_HOME``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "run" / "processes.json"

    def records(self) -> list[ProcessRecord]:
        """Return what was started, in order."""
        try:
            return [ProcessRecord(**entry) for entry in json.loads(self.path.read_text())]
        except FileNotFoundError:
            return []

    def add(self, name: str, pid: int) -> None:
        """Write a process down."""
        self._write([*self.records(), ProcessRecord(name, pid, psutil.Process(pid).create_time())])

    def spawn(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, its output going to ``logs/<name>.log``; its files are its own."""
        with open_log(self.log(name)) as output:
            process = subprocess.Popen(
                argv,
                env={**env, _PART_VARIABLE: name},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                start_new_session=True,
                umask=0o077,
            )
        self.add(name, process.pid)
        return process

    def log(self, name: str) -> Path:
        """Return where a process of that name writes."""
        return self.home / "logs" / f"{name}.log"

    def sweep(self, name: str, run_id: str) -> None:
        """Kill what a part of that name has left behind when it ended, and strike it off.

        A server's workers outlive it: they hold its port, and run tasks that nobody would hear of.
        """
        ended = [record for record in self.records() if record.name == name]
        marks = {RUN_ID_VARIABLE: run_id, _PART_VARIABLE: name}
        for process in self._members(ended, marks):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_for(lambda: self._members(ended, marks), _KILL_TIMEOUT_S)
        self._write([record for record in self.records() if record.name != name])

    def alive(self, name: str) -> ProcessRecord | None:
        """Return the record of a running process of that name."""
        return next((r for r in self.records() if r.name == name and r.is_alive()), None)

    def stop(self, run_id: str | None = None) -> None:
        """Stop every process of the table and whatever descends from it; last started, first stopped.

        A member is known by its session, its group, or the run id in its environment: servers
        rename themselves and tasks leave their group, so no single mark is enough.
        """
        records = self.records()
        for record in reversed(records):
            if record.name != SUPERVISOR and record.is_alive():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(record.pid, signal.SIGTERM)
        marks = {RUN_ID_VARIABLE: run_id} if run_id is not None else {}
        _wait_for(lambda: self._members(records, marks), _TERM_TIMEOUT_S)
        for process in self._members(records, marks):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        _wait_for(lambda: self._members(records, marks), _KILL_TIMEOUT_S)
        self.path.unlink(missing_ok=True)

    def pss_mb(self, *others: int) -> float:
        """Return the proportional set size of all processes of the table, of `others` and of this one, in MB."""
        roots = [psutil.Process(pid) for pid in (os.getpid(), *others) if psutil.pid_exists(pid)]
        family = {p.pid: p for root in roots for p in (root, *root.children(recursive=True))}
        family |= {p.pid: p for p in self._members(self.records(), {})}
        return sum(_pss_mb(process) for process in family.values())

    def _members(self, records: Sequence[ProcessRecord], marks: Mapping[str, str]) -> list[psutil.Process]:
        sessions = {record.pid for record in records if record.name != SUPERVISOR and not record.is_reused()}
        own = os.getpid()
        return [p for p in psutil.process_iter() if p.pid != own and _belongs(p, sessions, marks)]

    def _write(self, records: Sequence[ProcessRecord]) -> None:
        write_private(self.path, json.dumps([asdict(record) for record in records]))


def open_log(path: Path) -> BinaryIO:
    """Open a log to append to, which its owner alone reads, whoever made it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    return path.open("ab")


def _belongs(process: psutil.Process, sessions: set[int], marks: Mapping[str, str]) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if os.getsid(process.pid) in sessions or os.getpgid(process.pid) in sessions:
            return True
        return bool(marks) and marks.items() <= process.environ().items()
    except (psutil.Error, ProcessLookupError, PermissionError):
        return False


def _pss_mb(process: psutil.Process) -> float:
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0.0
    # macOS has no proportional figure.
    return float(getattr(memory, "pss", memory.uss)) / 2**20


def _wait_for(members: Callable[[], list[psutil.Process]], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while members() and time.monotonic() < deadline:
        time.sleep(0.2)
