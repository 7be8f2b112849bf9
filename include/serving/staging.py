"""From memory to chunks on the disk, by a thread of its own.

What belongs here: how what was answered gets safe. What does not: what lies in memory (``log_buffer``), and the lake
(``committing``).
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

import pyarrow as pa

from include.serving.log_buffer import LogBuffer, Portion
from include.serving.log_rows import RowSource
from include.serving.staged_chunks import ChunkWriter, ProcessFolder, RowCounts, staged_bytes
from include.serving.tally import Tally

log = logging.getLogger(__name__)

# So often batches are looked for.
_LOOK_S = 0.1


@dataclass(frozen=True)
class LogLimits:
    """What the log holds on the way to the lake.

    Attributes
    ----------
    buffered_rows : int
        In memory.
    stage_seconds : float
        After which rows are on the disk: what a process that is killed loses.
    chunk_rows, chunk_seconds : int, float
        With or after which a chunk is committed: a file in the lake.
    staged_bytes : int
        On the disk, of all processes that share it.
    """

    buffered_rows: int = 100_000
    stage_seconds: float = 0.5
    chunk_rows: int = 200_000
    chunk_seconds: float = 300.0
    staged_bytes: int = 2_000_000_000


@dataclass
class _Open:
    writer: ChunkWriter
    since: float


class Stager:
    """Puts the rows of one process on its disk.

    Parameters
    ----------
    folder : ProcessFolder
    limits : LogLimits

    Attributes
    ----------
    offer : callable
        Takes rows that were answered, see `LogBuffer.offer`.
    staged, left_out : int
        Rows that are on the disk, and those that are not in the sample.
    """

    def __init__(self, folder: ProcessFolder, limits: LogLimits) -> None:
        self.staged = self.left_out = self._dropped = 0
        self._folder, self._limits = folder, limits
        self._buffer = LogBuffer(limits.buffered_rows)
        self.offer = self._buffer.offer
        self._open: dict[Tally, _Open] = {}
        self._counts: RowCounts | None = None
        self._number = self._room = 0
        self._problem: str | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def offered(self) -> int:
        """Rows that were answered, and are to be logged."""
        return self._buffer.offered

    @property
    def dropped(self) -> int:
        """Rows that were lost where a bound was met."""
        return self._buffer.dropped + self._dropped

    def add_source(self, tally: Tally, source: RowSource, *, share: float) -> None:
        """See `PredictionLog.add_source`."""
        self._buffer.add_source(tally, source, share=share)
        self._mark(tally)

    def start(self) -> None:
        """Start the thread."""
        # Whoever looks for folders of processes that have ended may have this one for a moment.
        if self._folder.take(wait_s=1.0):
            self._counts = self._folder.counts()
            self._measure()
            for tally in self._buffer.tallies():
                self._mark(tally)
        self._thread = threading.Thread(target=self._run, name="prediction-log-staging", daemon=True)
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Stage what is buffered, seal what is open, and end the thread."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        is_over, staged_at = False, time.monotonic()
        while not is_over:
            is_over = self._end.wait(min(_LOOK_S, self._limits.stage_seconds))
            is_due = is_over or time.monotonic() - staged_at >= self._limits.stage_seconds
            try:
                for portion in self._buffer.take(all_of_it=is_due):
                    self._stage(portion)
                if is_due:
                    staged_at = time.monotonic()
                    self._sync(is_over=is_over)
                    self._measure()
            except Exception:
                # Nobody has foreseen it; without the thread the log would end here, and nobody would know.
                log.exception("serving log: rows could not be staged")

    def _stage(self, portion: Portion) -> None:
        tally, kept = portion.tally, portion.rows - portion.left_out
        self.left_out += portion.left_out
        if portion.batch is not None and self._write(tally, portion.batch):
            self.staged += kept
            tally.newest_event_us = portion.newest_event_us or tally.newest_event_us
        else:
            self._dropped += kept
            tally.dropped += kept
        if self._counts is not None:
            self._counts.staged[tally.place] = portion.last

    def _write(self, tally: Tally, batch: pa.RecordBatch) -> bool:
        """Write rows of a version, and say whether they are safe."""
        try:
            self._check_room()
            if tally not in self._open:
                self._number += 1
                writer = ChunkWriter(self._folder.path, self._number, self._buffer.source(tally))
                self._open[tally] = _Open(writer, time.monotonic())
            self._room -= self._open[tally].writer.write(batch)
        except (OSError, pa.ArrowException) as err:
            if (broken := self._open.pop(tally, None)) is not None:
                broken.writer.abandon()
            self._tell(f"rows are dropped: {err}")
            return False
        self._tell(None)
        return True

    def _measure(self) -> None:
        """Look how much more may wait for the lake; until the next look it is counted."""
        self._room = self._limits.staged_bytes - staged_bytes(self._folder.path.parent)

    def _check_room(self) -> None:
        if self._counts is None:
            raise OSError(f"another process has {self._folder.path}; start the service again")
        if self._room <= 0:
            raise OSError(
                f"{self._folder.path.parent} has the {self._limits.staged_bytes:,} bytes that may wait for the lake; "
                "until it takes them (MLOPS_LAKE_URI), a row that is dropped is a sequence_number that is not there"
            )

    def _sync(self, *, is_over: bool) -> None:
        """Have what was written on the disk, and seal what is large or old enough."""
        now = time.monotonic()
        for tally, held in list(self._open.items()):
            is_large = held.writer.rows >= self._limits.chunk_rows
            try:
                if is_over or is_large or now - held.since >= self._limits.chunk_seconds:
                    del self._open[tally]
                    held.writer.seal()
                else:
                    held.writer.sync()
            except OSError as err:
                self._open.pop(tally, None)
                held.writer.abandon()
                self._tell(f"rows may be lost: {err}")

    def _mark(self, tally: Tally) -> None:
        """Have the number of a tally's last row outlive the process."""
        if self._counts is not None:
            tally.place = self._counts.place(self._buffer.source(tally).work)
            tally.marks = self._counts.answered

    def _tell(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            log.error("serving log: %s", problem)
        self._problem = problem
