"""The prediction log: every row that is answered goes to the lake, and no request waits for it.

What belongs here: the log of a process, put together, and its account. What does not: memory (``log_buffer``), from
there to the disk (``staging``), and from there to the lake (``committing``).

A request appends to a buffer; one in hundreds makes a batch of it, after its answer was sent. One thread puts batches
on the disk; another commits what lies there, a chunk at a time, when it is large or old enough. Where the lake is down,
chunks wait. Each of the three is bounded, what came first is kept, and what is not is counted: rows are numbered when
they are answered, so that the numbers that are not in the log are those of rows that were lost.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from include.serving.committing import Committer, Sink
from include.serving.log_rows import RowSource
from include.serving.online_versions import OnlineVersions
from include.serving.staged_chunks import ProcessFolder
from include.serving.staging import LogLimits, Stager
from include.serving.tally import Tally

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogAccount:
    """Rows of a process since its start: offered is buffered + left_out + dropped + staged + committed.

    Attributes
    ----------
    offered : int
        Answered, and to be logged.
    buffered, staged, committed : int
        In memory, on the disk, in the lake.
    left_out : int
        Not among the sample of entities that is logged.
    dropped : int
        Lost where a bound was met.
    lost : int
        Of processes before this one that were killed: answered, and not on the disk yet.
    """

    offered: int
    buffered: int
    staged: int
    committed: int
    left_out: int
    dropped: int
    lost: int


class PredictionLog:
    """The log of one process.

    Parameters
    ----------
    process : str
        Which one; no other has or had the name.
    root : Path
        Below it, each process has a folder.
    sink : callable
        Commits a chunk.
    versions : OnlineVersions
    limits : LogLimits, optional

    Attributes
    ----------
    offer : callable
        Takes rows that were answered: all that a request does, see `Stager.offer`.
    """

    def __init__(
        self, process: str, root: Path, sink: Sink, versions: OnlineVersions, limits: LogLimits | None = None
    ) -> None:
        self.process = process
        folder = ProcessFolder(root / process)
        self._stager = Stager(folder, limits or LogLimits())
        self._committer = Committer(root, folder, sink, versions)
        self.offer = self._stager.offer

    def add_source(self, tally: Tally, source: RowSource, *, share: float) -> None:
        """Say what a tally's rows have in common, and of which share of entities they are kept."""
        self._committer.follow(source.feature_service)
        self._stager.add_source(tally, source, share=share)

    def start(self) -> None:
        """Start the threads."""
        self._stager.start()
        self._committer.start()

    def stop(self, *, within_s: float = 10.0) -> None:
        """Put what is buffered on the disk, and commit what can be soon; what is left waits for the next process."""
        until = time.monotonic() + within_s
        self._stager.stop(within_s)
        self._committer.stop(max(0.1, until - time.monotonic()))
        if (left := self.account()).staged:
            log.warning("serving log: %d rows wait on the disk for the next process, or for one beside", left.staged)

    def account(self) -> LogAccount:
        """Return what became of the rows."""
        stager, committer = self._stager, self._committer
        # In this order: a row that moves on in between is counted where it was.
        committed, staged, left_out = committer.committed, stager.staged, stager.left_out
        dropped, offered = stager.dropped, stager.offered
        return LogAccount(
            offered=offered,
            buffered=max(0, offered - staged - left_out - dropped),
            staged=max(0, staged - committed),
            committed=committed,
            left_out=left_out,
            dropped=dropped,
            lost=committer.lost,
        )
