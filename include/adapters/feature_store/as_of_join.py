"""The point-in-time join over stored feature rows: two passes, each column is read once.

What belongs here: reading keys and times, then the features of the rows that were found. What does not:
the search itself (``include.features.point_in_time``), and where the rows are kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow.dataset import Dataset, Fragment, ParquetFileFragment

from include.column_types import key_family
from include.features.entity_keys import EntityKeys
from include.features.point_in_time import EARLIEST, LATEST, AsOfSearch, Instants

TimeUnit = Literal["us", "ns"]

# A row's number is its piece and its place there.
_PIECE_SHIFT = 40
# Numbering keys builds a hash table of the entities' keys each time: enough rows must share it.
_ROWS_PER_GROUP = 1 << 20
# Each holds the keys and times of a group.
_MAX_WORKERS = 4
_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = 1000
_COMPARED_AS = {"integer": pa.int64(), "text": pa.string()}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class FeatureRows:
    """Stored feature rows and the roles of their columns.

    Attributes
    ----------
    rows : pyarrow.dataset.Dataset
        Any files in any order; fastest when each is sorted by (key, event, created).
    keys : tuple of str
        Columns of the join key: strings, or integers.
    event : str
        Column of the time that a row stands at, a timestamp; a row without it is never seen.
    created : str or None
        Column of the time from which a row was known; of equal events the newest wins.
    features : tuple of str
        Columns that are taken.
    """

    rows: Dataset
    keys: tuple[str, ...]
    event: str
    created: str | None
    features: tuple[str, ...]


def features_as_of(
    stored: FeatureRows,
    keys: Sequence[pa.ChunkedArray],
    at: pa.ChunkedArray,
    *,
    ttl: timedelta | None,
    known_at: bool,
    known_until: pa.ChunkedArray | None = None,
    unit: TimeUnit = "us",
) -> pa.Table:
    """Return the features that each entity row sees at its time.

    Parameters
    ----------
    stored : FeatureRows
        Where features are.
    keys : sequence of pyarrow.ChunkedArray
        The entity rows' keys, in the order of ``stored.keys``, of the stored types; nulls find nothing.
    at : pyarrow.ChunkedArray
        The entity rows' times, a timestamp; a null finds nothing. Without a time zone it is UTC.
    ttl : timedelta or None
        Age at which a feature still counts, inclusive; None or zero: any.
    known_at : bool
        See only rows that had been created by the entity row's time.
    known_until : pyarrow.ChunkedArray, optional
        See only rows that had been created by then, a timestamp, equal for all entity rows of a key; null sees none.
    unit : {"us", "ns"}
        Resolution of the stored times.

    Returns
    -------
    pyarrow.Table
        One row per entity row, in its order; columns ``stored.features``, of the stored types.
    """
    asked, upper = _entity_instants(at, unit)
    numbers = EntityKeys([comparable(key) for key in keys])
    until = _instants(known_until, unit, null=EARLIEST) if known_until is not None else None
    search = AsOfSearch(numbers.codes, asked, oldest=_oldest(upper, ttl, unit), known_at=known_at, until=until)
    workers = min(max(2, os.cpu_count() or 1), _MAX_WORKERS)
    with ThreadPoolExecutor(workers, thread_name_prefix="point-in-time") as pool:
        split = partial(_split, within=_between(stored, keys))
        pieces = [piece for pieces in pool.map(split, _newest_first(stored.rows)) for piece in pieces]
        first = _FirstPass(stored, numbers, search, known_at=known_at, unit=unit)
        groups = _groups(pieces, max(_ROWS_PER_GROUP, 2 * len(numbers)))
        for _ in pool.map(first.offer, groups):
            pass
        return _taken(stored, pieces, search.answer(), pool)


def comparable(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return a key column in the one type that its family is compared in."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    type_ = _COMPARED_AS.get(key_family(array.type))
    return array if type_ is None else array.cast(type_)


@dataclass(frozen=True)
class _FirstPass:
    stored: FeatureRows
    numbers: EntityKeys
    search: AsOfSearch
    known_at: bool
    unit: TimeUnit

    def offer(self, group: list[tuple[int, Fragment]]) -> None:
        """Show the search the keys and times of some pieces."""
        times = [self.stored.event, *([self.stored.created] if self.stored.created else [])]
        names = list(dict.fromkeys([*self.stored.keys, *times]))
        tables = [_read(self.stored, piece, names) for _, piece in group]
        together = pa.concat_tables(tables)
        codes = self.numbers.codes_of([comparable(together[key]) for key in self.stored.keys])
        del together
        start = 0
        # Piece by piece: what is sorted is a piece, and its arrays fit a processor's cache.
        for (number, _), table in zip(group, tables, strict=True):
            end = start + table.num_rows
            event = _instants(table[self.stored.event], self.unit, null=EARLIEST)
            created = event
            if self.stored.created:
                unknown = LATEST if self.known_at else EARLIEST
                created = _instants(table[self.stored.created], self.unit, null=unknown)
            rows = np.arange(table.num_rows, dtype=np.int64) + (number << _PIECE_SHIFT)
            self.search.offer(codes[start:end], event, created, rows)
            start = end


def _taken(
    stored: FeatureRows, pieces: Sequence[Fragment], found: NDArray[np.int64], pool: ThreadPoolExecutor
) -> pa.Table:
    """Read the features of the rows that were found, and put them into the entity rows' order."""
    answered = np.flatnonzero(found >= 0)
    number = found[answered] >> _PIECE_SHIFT
    # Few pieces: small integers are sorted in one pass.
    order = np.argsort(number.astype(np.min_scalar_type(len(pieces))), kind="stable")
    within = (found[answered] & ((1 << _PIECE_SHIFT) - 1))[order]
    ends = np.cumsum(np.bincount(number, minlength=len(pieces))).tolist()
    parts = [(piece, start, end) for piece, start, end in zip(pieces, [0, *ends], ends, strict=False) if start < end]

    def take(part: tuple[Fragment, int, int]) -> pa.Table:
        piece, start, end = part
        return _read(stored, piece, stored.features).take(pa.array(within[start:end]))

    schema = pa.schema([stored.rows.schema.field(name) for name in stored.features])
    kept = pa.concat_tables([schema.empty_table(), *pool.map(take, parts)])
    place = np.empty(len(found), np.int64)
    place[answered[order]] = np.arange(len(answered))
    index = pa.array(place, mask=found < 0)
    columns = pool.map(lambda name: kept[name].combine_chunks().take(index), stored.features)
    return pa.Table.from_arrays(list(columns), schema=schema)


def _between(stored: FeatureRows, keys: Sequence[pa.ChunkedArray]) -> pc.Expression | None:
    """Return what is true of all rows that are looked for: who asks for a few neighbours opens none but theirs."""
    name, asked = stored.keys[0], keys[0]
    bounds = pc.min_max(asked)
    if asked.type != stored.rows.schema.field(name).type or not bounds["min"].is_valid:
        return None
    return (pc.field(name) >= bounds["min"]) & (pc.field(name) <= bounds["max"])


def _split(fragment: Fragment, *, within: pc.Expression | None) -> list[Fragment]:
    """Return the row groups of a file, without those that by their statistics have nothing `within`."""
    if isinstance(fragment, ParquetFileFragment):
        return list(fragment.split_by_row_group(filter=within))
    return [fragment]


def _groups(pieces: Sequence[Fragment], rows: int) -> Iterator[list[tuple[int, Fragment]]]:
    group: list[tuple[int, Fragment]] = []
    held = 0
    for number, piece in enumerate(pieces):
        group.append((number, piece))
        held += _rows_in(piece)
        if held >= rows:
            yield group
            group, held = [], 0
    if group:
        yield group


def _rows_in(piece: Fragment) -> int:
    if isinstance(piece, ParquetFileFragment):
        # Known already; Arrow's count starts a scan.
        return sum(group.num_rows for group in piece.row_groups)
    return int(piece.count_rows())


def _read(stored: FeatureRows, piece: Fragment, columns: Sequence[str]) -> pa.Table:
    # The schema of the whole: a file that was written before a column was added has nulls there.
    return piece.to_table(schema=stored.rows.schema, columns=list(columns), use_threads=False)


def _instants(
    column: pa.ChunkedArray, unit: TimeUnit, *, null: int, below: int = EARLIEST + 1, above: int = LATEST
) -> Instants:
    """Return times counted in `unit`; those that it can't count, as a year 9999 in nanoseconds, are `below` or `above`.

    By default they are before and after every entity's time.
    """
    factor = _PER_SECOND[unit] // _PER_SECOND[column.type.unit]
    if factor > 1:
        given, most = column.cast(pa.int64()), LATEST // factor
        ticks = pc.if_else(pc.less(given, -most), below, pc.multiply(given, factor))
        ticks = pc.if_else(pc.greater(given, most), above, ticks)
    else:
        ticks = pc.cast(column.cast(pa.timestamp(unit, column.type.tz)), pa.int64())
    if ticks.null_count:
        ticks = ticks.fill_null(null)
    instants: Instants = ticks.to_numpy()
    return instants


def _oldest(upper: Instants, ttl: timedelta | None, unit: TimeUnit) -> Instants | None:
    age = (ttl or timedelta(0)) // _MICROSECOND * (_NANOSECONDS if unit == "ns" else 1)
    if not age or age > LATEST:
        return None
    # Below the first instant there is nothing to be older than.
    return np.where(upper < EARLIEST + 1 + age, EARLIEST + 1, upper - age)


def _entity_instants(at: pa.ChunkedArray, unit: TimeUnit) -> tuple[Instants, Instants]:
    """Return the entities' times rounded down and up: stored times may be coarser than an entity's."""
    if unit == "us" and at.type.unit == "ns":
        fine = _instants(at, "ns", null=EARLIEST)
        down = fine // _NANOSECONDS
        up = -(-fine // _NANOSECONDS)
        none = fine == EARLIEST
        return np.where(none, EARLIEST, down), np.where(none, 0, up)
    # Before all that can be counted nothing is seen; after it all is, but for rows that can't be counted either.
    instants = _instants(at, unit, null=EARLIEST, below=EARLIEST, above=LATEST - 1)
    return instants, np.where(instants == EARLIEST, 0, instants)


def _newest_first(rows: Dataset) -> list[Fragment]:
    """Return the files, by their names in reverse: days come newest first, and most older rows then lose at once."""
    return sorted(rows.get_fragments(), key=lambda fragment: getattr(fragment, "path", ""), reverse=True)
