"""From chunks on the disk to the lake, by a thread of its own, which may wait as long as the lake does.

What belongs here: which chunk is next, and what is left by processes that have ended. What does not: writing chunks
(``staging``), and the commit (``adapters.lake.online_log``).
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import MlopsError
from include.serving.log_rows import RowSource, lake_rows
from include.serving.online_versions import OnlineVersions
from include.serving.staged_chunks import ProcessFolder, StagedChunk, left_folders

log = logging.getLogger(__name__)

_LOOK_S = 1.0
# What is online is looked at so often; so are folders of processes that have ended.
_ROUND_S = 60.0
_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)


class Sink(Protocol):
    """Where rows go; both raise MlopsError where it does not take them."""

    def has(self, source: RowSource, number: int) -> bool:
        """Say whether it has a chunk, by what its rows share and its number: asks, and needs no row for that."""

    def add(self, source: RowSource, rows: pa.Table, number: int) -> None:
        """Add the rows of a chunk: once, however often it is called."""


class Committer:
    """Commits the chunks of one process, and of those that ended before it.

    Parameters
    ----------
    root : Path
        Below it, each process has a folder.
    folder : ProcessFolder
        The process's own.
    sink : Sink
    versions : OnlineVersions

    Attributes
    ----------
    committed : int
        Rows of the process that are in the lake.
    lost : int
        Rows of processes that were killed, which were answered and never staged.
    """

    def __init__(self, root: Path, folder: ProcessFolder, sink: Sink, versions: OnlineVersions) -> None:
        self.committed = self.lost = 0
        self._root, self._folder, self._sink, self._versions = root, folder, sink, versions
        self._services: list[str] = []
        self._failures = 0
        self._problem: str | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, service: str) -> None:
        """Look at what is online of a feature service from now on."""
        if service not in self._services:
            self._services.append(service)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="prediction-log-committing", daemon=True)
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Commit what is sealed, once, and end the thread; where that takes too long, it is left behind."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(within_s)
            if not self._thread.is_alive():
                self._folder.let_go()

    def _run(self) -> None:
        looked_at: float | None = None
        while True:
            is_over = self._end.is_set()
            try:
                is_due = looked_at is None or time.monotonic() - looked_at >= _ROUND_S
                if is_due:
                    looked_at = time.monotonic()
                    for service in list(self._services):
                        self._versions.look(service)
                self._commit_all(of_others=is_due)
            except Exception:
                # Nobody has foreseen it; without the thread chunks would lie there until the next start.
                log.exception("serving log: chunks could not be committed")
                self._failures += 1
            if is_over:
                return
            self._end.wait(_LOOK_S if not self._failures else _RETRY_S[min(self._failures, len(_RETRY_S)) - 1])

    def _commit_all(self, *, of_others: bool) -> None:
        """Commit what is sealed, and what processes left that have ended."""
        attempt = Attempt(self._sink, self._versions)
        if of_others:
            self._take_over(attempt)
        self.committed += attempt.commit(self._folder)
        self._failures = self._failures + 1 if attempt.problem else 0
        if attempt.problem and attempt.problem != self._problem:
            log.error("serving log: chunks wait in %s: %s", self._root, attempt.problem)
        self._problem = attempt.problem

    def _take_over(self, attempt: Attempt) -> None:
        """Commit what processes left that have ended, and tell how much of theirs is lost."""
        for folder in left_folders(self._root):
            folder.seal_torn()
            if lost := folder.counts().lost():
                count = sum(lost.values())
                log.error(
                    "serving log: %d rows are lost, which %s had answered and not staged when it was ended: %s",
                    count, folder.path.name, lost,
                )  # fmt: skip
                self.lost += count
                folder.counts().forget_lost()
            count = attempt.commit(folder)
            if count:
                log.info("serving log: %d rows that %s left are in the lake", count, folder.path.name)
            folder.let_go()


class Attempt:
    """Commits what can be, and gives up early: of a lake that is down each model is asked for once, and nothing read.

    Parameters
    ----------
    sink : Sink
    versions : OnlineVersions

    Attributes
    ----------
    problem : str or None
        Why chunks are left.
    """

    def __init__(self, sink: Sink, versions: OnlineVersions) -> None:
        self.problem: str | None = None
        self._sink, self._versions = sink, versions
        self._away: set[str] = set()
        self._looked: set[str] = set()

    def commit(self, folder: ProcessFolder) -> int:
        """Commit the sealed chunks of a folder and return their rows; of one version none before an earlier one."""
        committed, held_up = 0, set[str]()
        for chunk in folder.chunks():
            if chunk.model_id in self._away or chunk.of in held_up:
                continue
            try:
                committed += self._commit_chunk(chunk)
            except (MlopsError, pa.ArrowException, OSError) as err:
                held_up.add(chunk.of)
                self.problem = f"{chunk.path.name}: {err}"
        return committed

    def _commit_chunk(self, chunk: StagedChunk) -> int:
        source = chunk.source()
        try:
            is_there = self._sink.has(source, chunk.number)
        except MlopsError:
            self._away.add(chunk.model_id)
            raise
        rows = chunk.rows()
        if rows.num_rows and not is_there:
            self._look(source.feature_service)
            asked = pc.cast(rows["asked_at"], pa.int64()).to_numpy()
            versions = self._versions.at(source.feature_service, asked)
            self._sink.add(source, lake_rows(source, rows, versions), chunk.number)
        chunk.path.unlink()
        return int(rows.num_rows)

    def _look(self, service: str) -> None:
        """Look once: what was online until now is certain from now on."""
        if service not in self._looked:
            self._looked.add(service)
            self._versions.look(service)
