"""The point-in-time join: which feature row an entity row sees at its time.

What belongs here: the search over arrays, fed with feature rows in any order and any number of chunks. What
does not: reading them (``include.adapters.feature_store.as_of_join``), and what the features mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from include.features.entity_keys import NOBODY, Codes

Instants: TypeAlias = NDArray[np.int64]

# No instant of a real row: what stands for "no time".
EARLIEST = int(np.iinfo(np.int64).min)
LATEST = int(np.iinfo(np.int64).max)

_COMPOSITE_BITS = 62
# What one search costs in counted rows, about.
_COUNTS_PER_SEARCH = 16


class AsOfSearch:
    """Find, for each entity row, the newest feature row that can be seen at its time.

    Of the key's rows with ``event <= at`` (and ``created <= at`` under `known_at`) the greatest (event,
    created) wins; then it counts only if ``event >= oldest``. Of rows that are equal in key, event and
    created the greatest row number wins.

    Parameters
    ----------
    codes : ndarray of shape (n_entities,), int32
        Number of each row's key; negative: the row has no key and finds nothing.
    at : ndarray of shape (n_entities,), int64
        Each row's time, in any one unit; `EARLIEST` where it has none: it finds nothing.
    oldest : ndarray of shape (n_entities,), int64, optional
        The oldest event that still counts, in the order of time: later rows never accept an older one. By
        default every event counts.
    known_at : bool
        See only what had been created.
    until : ndarray of shape (n_entities,), int64, optional
        See only what had been created by this instant, whatever the row's own time; equal for all rows of a key.

    Notes
    -----
    The entity rows are sorted once by (key, time). A feature row comes into sight at the first of its key's
    rows with ``at >= seen``, where seen is ``max(event, created)`` or the event; only the newest row that
    comes into sight there can win, so one is kept. What a row sees is the running maximum within its key.
    `offer` may be called from several threads.
    """

    def __init__(
        self, codes: Codes, at: Instants, *, oldest: Instants | None, known_at: bool, until: Instants | None = None
    ) -> None:
        self._entities, self._known_at = len(codes), known_at
        asking = np.flatnonzero((codes >= 0) & (at > EARLIEST))
        self._timeline = _Timeline(codes[asking], at[asking])
        self._order = asking[self._timeline.order]
        self._oldest = oldest[self._order] if oldest is not None else None
        self._floor = int(self._oldest.min(initial=LATEST)) if self._oldest is not None else EARLIEST + 1
        self._until = np.append(until[self._order], EARLIEST) if until is not None else None
        # One more, as the timeline has: what comes into sight after the last row is looked up there.
        self._event = np.full(len(asking) + 1, EARLIEST, np.int64)
        self._created = np.full(len(asking), EARLIEST, np.int64)
        self._row = np.full(len(asking), -1, np.int64)
        self._lock = Lock()

    def offer(self, codes: Codes, event: Instants, created: Instants, rows: NDArray[np.int64]) -> None:
        """Take feature rows into account, in any order; fastest when sorted by (key, event, created).

        Parameters
        ----------
        codes : ndarray of shape (n_rows,), int32
            Number of each row's key; negative for a key that nobody asks for.
        event, created : ndarray of shape (n_rows,), int64
            In the unit of `at`; `EARLIEST` for an event that is unknown. An unknown created is `LATEST`
            under `known_at`, which never comes into sight, and `EARLIEST` otherwise.
        rows : ndarray of shape (n_rows,), int64
            Numbers, >= 0, that `answer` names the rows by.
        """
        seen = np.maximum(event, created) if self._known_at else event
        # As unsigned numbers the negative ones are large too.
        is_asked = codes.view(np.uint32) < np.uint32(self._timeline.keys)
        useful = is_asked & (seen <= self._timeline.last) & (event >= self._floor)
        if not useful.all():
            codes, event, created, seen, rows = (
                codes[useful],
                event[useful],
                created[useful],
                seen[useful],
                rows[useful],
            )
        place = self._timeline.first_from(codes, seen)
        # Read without the lock: what is held only gets newer, and is compared again under it.
        is_alive = (self._timeline.codes[place] == codes) & (event >= self._event[place])
        if self._until is not None:
            is_alive &= created <= self._until[place]
        alive = np.flatnonzero(is_alive)
        place, event, created, rows = (v[alive] for v in (place, event, created, rows))
        newest = _newest_per_place(place, event, created, rows)
        if newest is not None:
            place, event, created, rows = (v[newest] for v in (place, event, created, rows))
        with self._lock:
            self._keep_newer(place, event, created, rows)

    def answer(self) -> NDArray[np.int64]:
        """Return the number of the row that each entity row sees.

        Returns
        -------
        ndarray of shape (n_entities,), int64
            -1 where it sees none, or one that is too old.
        """
        source = self._newest_so_far()
        found = self._row[source]
        if self._oldest is not None:
            found = np.where(self._event[source] >= self._oldest, found, -1)
        answer = np.full(self._entities, -1, np.int64)
        answer[self._order] = found
        return answer

    def _keep_newer(
        self, place: NDArray[np.int64], event: Instants, created: Instants, rows: NDArray[np.int64]
    ) -> None:
        held = self._event[place]
        newer = event > held
        tied = np.flatnonzero(event == held)
        if len(tied):
            newer[tied] = _is_later((created[tied], rows[tied]), (self._created[place[tied]], self._row[place[tied]]))
        if not newer.all():
            place, event, created, rows = (v[newer] for v in (place, event, created, rows))
        self._event[place], self._created[place], self._row[place] = event, created, rows

    def _newest_so_far(self) -> NDArray[np.intp]:
        """Return, for each sorted entity row, the place that holds the running maximum of its key."""
        codes = self._timeline.codes[:-1]
        places = np.arange(len(codes))
        starts = np.append(True, codes[1:] != codes[:-1])[: len(codes)]
        # A place without a row stands for the one before it, but at a key's first row.
        source = np.maximum.accumulate(np.where((self._row >= 0) | starts, places, 0))
        filled = np.flatnonzero(self._row >= 0)
        follows = codes[filled[1:]] == codes[filled[:-1]]
        older = _is_later(
            (self._event[filled[:-1]], self._created[filled[:-1]]), (self._event[filled[1:]], self._created[filled[1:]])
        )
        if (out_of_order := follows & older).any():
            self._take_running_maximum(source, filled, np.unique(codes[filled[1:][out_of_order]]))
        return source

    def _take_running_maximum(
        self, source: NDArray[np.intp], filled: NDArray[np.intp], keys: NDArray[np.int64]
    ) -> None:
        """Correct `source` for keys where an older event came into sight after a newer one."""
        places = filled[np.isin(self._timeline.codes[filled], keys)]
        by_age = np.lexsort((self._created[places], self._event[places]))
        rank = np.empty(len(places), np.int64)
        rank[by_age] = np.arange(len(places))
        # The key stands before the rank: the maximum never runs on into the next key.
        key = np.cumsum(np.append(False, self._timeline.codes[places[1:]] != self._timeline.codes[places[:-1]]))
        running = np.maximum.accumulate(key * len(places) + rank) % len(places)
        better = np.arange(len(source))
        better[places] = places[by_age[running]]
        source[:] = better[source]


class _Timeline:
    """Entity rows sorted by (key, time): where a key's rows from an instant on begin.

    Attributes
    ----------
    order : ndarray of shape (n_entities,), int64
        Positions of the rows, sorted.
    codes : ndarray of shape (n_entities + 1,), int32
        The sorted rows' keys and, at the end, one that is nobody's.
    last : int
        The latest time of all.
    keys : int
        The numbers of keys are below it.
    """

    def __init__(self, codes: Codes, at: Instants) -> None:
        self.keys = int(codes.max(initial=-1)) + 1
        self._first, self.last = int(at.min(initial=LATEST)), int(at.max(initial=EARLIEST))
        self._bits = max(self.last - self._first, 0).bit_length()
        self._moments: Instants | None = None
        if self._bits + self.keys.bit_length() > _COMPOSITE_BITS:
            # Far apart: times are counted by rank.
            self._moments = np.unique(at)
            self._bits = len(self._moments).bit_length()
        composite = self._composite(codes, at)
        self.order = np.argsort(composite)
        self._sorted = composite[self.order]
        self.codes = np.append(codes[self.order], np.int32(NOBODY))
        by_time = np.argsort(at)
        self._times, self._codes_by_time = at[by_time], codes[by_time].astype(np.intp)
        counts = np.bincount(codes, minlength=self.keys)
        # How many of the earliest rows were counted last, and where each key's others begin.
        self._counted = 0, np.cumsum(counts) - counts

    def first_from(self, codes: Codes, instants: Instants) -> NDArray[np.int64]:
        """Return each row's place: the first of its key's rows that is not before the instant, or the next key's."""
        if not len(codes):
            return np.empty(0, np.int64)
        # A partition stands at one instant, but for what came late.
        usual = instants[len(instants) // 2]
        before = int(np.searchsorted(self._times, usual))
        if abs(before - self._counted[0]) + self.keys > _COUNTS_PER_SEARCH * len(codes):
            return np.searchsorted(self._sorted, self._composite(codes, instants))
        place: NDArray[np.int64] = self._first_from(before)[codes]
        unusual = np.flatnonzero(instants != usual)
        if len(unusual):
            place[unusual] = np.searchsorted(self._sorted, self._composite(codes[unusual], instants[unusual]))
        return place

    def _first_from(self, before: int) -> NDArray[np.int64]:
        """Return each key's place behind the `before` earliest entity rows."""
        known, first = self._counted
        between = self._codes_by_time[min(known, before) : max(known, before)]
        counts = np.bincount(between, minlength=self.keys)
        first = first + counts if before > known else first - counts
        # One tuple, replaced whole: another thread may count on from here.
        self._counted = before, first
        return first

    def _composite(self, codes: Codes, instants: Instants) -> NDArray[np.int64]:
        """Return numbers that sort by key, then by time; no instant may be later than the last."""
        if self._moments is not None:
            ticks = np.searchsorted(self._moments, instants)
        else:
            ticks = np.maximum(instants, self._first) - self._first
        return (codes.astype(np.int64) << self._bits) | ticks


def _is_later(one: Sequence[Instants], other: Sequence[Instants]) -> NDArray[np.bool_]:
    """Compare rows of numbers lexicographically."""
    later: NDArray[np.bool_] = one[-1] > other[-1]
    for mine, theirs in zip(reversed(one[:-1]), reversed(other[:-1]), strict=True):
        later = (mine > theirs) | ((mine == theirs) & later)
    return later


def _newest_per_place(
    place: NDArray[np.int64], event: Instants, created: Instants, rows: NDArray[np.int64]
) -> NDArray[np.intp] | None:
    """Return the positions of each place's newest row, or None where no place has two."""
    if (place[1:] > place[:-1]).all():
        return None
    order = np.arange(len(place))
    ages = (place, event, created, rows)
    if _is_later([age[:-1] for age in ages], [age[1:] for age in ages]).any():
        order = np.lexsort(ages[::-1])
        place = place[order]
    newest: NDArray[np.intp] = order[np.append(place[1:] != place[:-1], True)]
    return newest
