"""From a buffer in memory to chunks on the disk, by a thread of its own.

What belongs here: what a request leaves behind, and how it gets safe. What does not: the lake (``committing``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from include.serving.log_rows import Noted, RowSource, count_rows, make_batch, newest_event_us
from include.serving.routing import is_canary
from include.serving.staged_chunks import ChunkWriter, ProcessFolder, RowCounts
from include.serving.tally import Tally

log = logging.getLogger(__name__)

# Rows of a batch: making one holds the interpreter for less than a millisecond, and then others have a turn.
_AT_ONCE = 250
_PAUSE_S = 0.001
# So often a full batch is looked for: what lies in memory for long is out of the processor's caches when it is needed.
_LOOK_S = 0.05
# Who is in the sample has nothing to do with who is in a test.
_SAMPLE = b"prediction log"


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
        On the disk.
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
    offered, dropped_full : int
        Rows that were offered, and those that the buffer had no room for; written by the thread that offers.
    staged, left_out, dropped_late : int
        Rows that are on the disk, that are not in the sample, and that could not be written; by the thread of its own.
    """

    def __init__(self, folder: ProcessFolder, limits: LogLimits) -> None:
        self.offered = self.dropped_full = 0
        self.staged = self.left_out = self.dropped_late = 0
        self._taken = 0
        self._folder, self._limits = folder, limits
        self._buffer: deque[Noted] = deque()
        self._sources: dict[Tally, tuple[RowSource, float]] = {}
        self._open: dict[Tally, _Open] = {}
        self._counts: RowCounts | None = None
        self._number = 0
        self._problem: str | None = None
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Rows that were lost where a bound was met."""
        return self.dropped_full + self.dropped_late

    def add_source(self, tally: Tally, source: RowSource, *, share: float) -> None:
        """See `PredictionLog.add_source`."""
        self._sources[tally] = (source, share)
        self._mark(tally)

    def offer(self, noted: Noted, rows: int) -> None:
        """Append rows to the buffer, where it has room."""
        self.offered += rows
        if self.offered - self.dropped_full - self._taken > self._limits.buffered_rows:
            self.dropped_full += rows
            noted.tally.dropped += rows
        else:
            self._buffer.append(noted)

    def start(self) -> None:
        """Start the thread."""
        # Whoever looks for folders of processes that have ended may have this one for a moment.
        if self._folder.take(wait_s=1.0):
            self._counts = self._folder.counts()
            for tally in self._sources:
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
            if not is_due and len(self._buffer) < _AT_ONCE:
                continue
            try:
                self._stage()
                if is_due:
                    staged_at = time.monotonic()
                    self._sync(is_over=is_over)
            except Exception:
                # Nobody has foreseen it; without the thread the log would end here, and nobody would know.
                log.exception("serving log: rows could not be staged")

    def _stage(self) -> None:
        noted = [self._buffer.popleft() for _ in range(len(self._buffer))]
        by_tally: dict[Tally, list[Noted]] = {}
        for each in noted:
            by_tally.setdefault(each.tally, []).append(each)
        for tally, some in by_tally.items():
            rows = sum(count_rows(some))
            kept = self._sample(tally, some)
            count = sum(count_rows(kept))
            self.left_out += rows - count
            if kept and self._write(tally, kept):
                self.staged += count
                tally.newest_event_us = newest_event_us(kept) or tally.newest_event_us
            else:
                self.dropped_late += count
                tally.dropped += count
            if self._counts is not None:
                self._counts.staged[tally.place] = some[-1].first + len(some[-1].scored) - 1
            self._taken += rows

    def _sample(self, tally: Tally, noted: Sequence[Noted]) -> list[Noted]:
        """Return the rows of the entities that are kept."""
        _, share = self._sources[tally]
        if share >= 1.0:
            return list(noted)
        kept = []
        for each in noted:
            exchange = each.exchange
            places = range(len(each.scored)) if each.places is None else each.places
            for n, place in enumerate(places):
                # Rows of features have no entity: all of a request are in, or none.
                key = exchange.keys[place] if exchange.keys else (exchange.request_id,)
                if is_canary(key, share=share, salt=_SAMPLE):
                    kept.append(each._replace(places=[place], scored=[each.scored[n]], first=each.first + n))
        return kept

    def _write(self, tally: Tally, noted: Sequence[Noted]) -> bool:
        """Write rows of a version, and say whether they are safe."""
        source, _ = self._sources[tally]
        try:
            if self._counts is None or self._folder.bytes() > self._limits.staged_bytes:
                raise OSError(f"{self._folder.path} holds all that may wait for the lake, or another process has it")
            if tally not in self._open:
                self._number += 1
                self._open[tally] = _Open(ChunkWriter(self._folder.path, self._number, source), time.monotonic())
            writer = self._open[tally].writer
            for some in _portions(noted):
                writer.write(make_batch(source, some))
                time.sleep(_PAUSE_S)
        except (OSError, pa.ArrowException) as err:
            if (broken := self._open.pop(tally, None)) is not None:
                broken.writer.abandon()
            self._tell(f"rows are dropped: {err}")
            return False
        self._tell(None)
        return True

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
            source, _ = self._sources[tally]
            tally.place = self._counts.place(source.work)
            tally.marks = self._counts.answered

    def _tell(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            log.error("serving log: %s", problem)
        self._problem = problem


def _portions(noted: Sequence[Noted]) -> Iterator[list[Noted]]:
    portion: list[Noted] = []
    rows = 0
    for each in noted:
        portion.append(each)
        rows += len(each.scored)
        if rows >= _AT_ONCE:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion
