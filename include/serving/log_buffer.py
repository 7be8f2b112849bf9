"""Rows that were answered, in memory: as they are left by a request, and as batches.

What belongs here: who makes batches of rows, and when. What does not: what a batch has (``log_rows``), and the disk
(``staging``).

The thread that answers makes them, of rows that it has just made. For another one the same work takes five times as
long, as none of it is in its processor's caches, and the interpreter goes to and fro between the two.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from include.serving.log_rows import Noted, RowSource, count_rows, make_batch, newest_event_us
from include.serving.routing import is_canary
from include.serving.tally import Tally

log = logging.getLogger(__name__)

# Rows of a batch: making one takes a third of a millisecond, for which whoever asks meanwhile waits.
_AT_ONCE = 250
# Who is in the sample has nothing to do with who is in a test.
_SAMPLE = b"prediction log"


class Portion(NamedTuple):
    """Rows of one version, on their way to the disk.

    Attributes
    ----------
    tally : Tally
        The version's.
    rows : int
        As many were offered.
    last : int
        The number of the last of them.
    batch : pyarrow.RecordBatch or None
        Those that are in the sample; None where there are none, or they could not be made a batch of.
    left_out : int
        Not in the sample.
    newest_event_us : int or None
        The newest event time that was read for them.
    """

    tally: Tally
    rows: int
    last: int
    batch: pa.RecordBatch | None
    left_out: int
    newest_event_us: int | None


class LogBuffer:
    """Holds rows until they are on the disk.

    Parameters
    ----------
    rows_max : int
        What it has room for.

    Attributes
    ----------
    offered, dropped : int
        Rows that were offered, and those that there was no room for; written by the thread that offers.
    """

    def __init__(self, rows_max: int) -> None:
        self.offered = self.dropped = 0
        self._rows_max = rows_max
        self._sources: dict[Tally, tuple[RowSource, float]] = {}
        self._noted: deque[Noted] = deque()
        self._rows = 0
        self._portions: deque[Portion] = deque()
        self._cutting = threading.Lock()
        self._given = 0

    def add_source(self, tally: Tally, source: RowSource, *, share: float) -> None:
        """See `PredictionLog.add_source`."""
        self._sources[tally] = (source, share)

    def source(self, tally: Tally) -> RowSource:
        """Return what a tally's rows have in common."""
        return self._sources[tally][0]

    def tallies(self) -> list[Tally]:
        """Return those whose rows are taken."""
        return list(self._sources)

    def offer(self, noted: Noted, rows: int) -> None:
        """Take rows that were answered, where there is room."""
        self.offered += rows
        if self.offered - self.dropped - self._given > self._rows_max:
            self.dropped += rows
            noted.tally.dropped += rows
            return
        self._noted.append(noted)
        self._rows += rows
        if self._rows >= _AT_ONCE:
            self._cut()

    def take(self, *, all_of_it: bool) -> Iterator[Portion]:
        """Yield what is a portion, or all there is, in the order of their numbers; of one thread, and not the other."""
        if all_of_it:
            self._cut()
        while self._portions:
            portion = self._portions.popleft()
            self._given += portion.rows
            yield portion

    def _cut(self) -> None:
        """Make portions of what was noted."""
        with self._cutting:
            noted = [self._noted.popleft() for _ in range(len(self._noted))]
            self._rows = 0
            by_tally: dict[Tally, list[Noted]] = {}
            for each in noted:
                by_tally.setdefault(each.tally, []).append(each)
            self._portions.extend(self._portion(tally, some) for tally, some in by_tally.items())

    def _portion(self, tally: Tally, noted: Sequence[Noted]) -> Portion:
        source, share = self._sources[tally]
        kept = noted if share >= 1.0 else _sample(noted, share)
        rows = sum(count_rows(noted))
        batch = None
        try:
            batch = make_batch(source, kept) if kept else None
        except Exception:
            # Nobody has foreseen it, and whoever asked has his answer: the rows are counted as lost.
            log.exception("serving log: rows could not be made a batch of")
        last = noted[-1].first + len(noted[-1].scored) - 1
        return Portion(tally, rows, last, batch, rows - sum(count_rows(kept)), newest_event_us(kept))


def _sample(noted: Sequence[Noted], share: float) -> list[Noted]:
    """Return the rows of the entities that are kept."""
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
