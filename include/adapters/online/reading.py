"""Online features with what is known about each: its event time, and whether it still counts.

What belongs here: a prepared read of one feature service or group, and the answer's shape. What does not: how a store
is asked (its own module), and which service a caller wants (``feature_store``).

A store keeps one version of a row. A value is ``present`` while its event time is at most the view's ttl old at the
time of the read (both ends included), ``stale`` after that, and ``missing`` where nothing was ever written. A stale
value is withheld. A stored null is present: it is known to be null. A row that is newer than the time of the read is
present too: what stood there before is gone from an online store, so questions about the past belong to the offline
store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, TypeAlias

import pyarrow as pa

from include.adapters.online.keys import Key, check_keys, key_encoder
from include.adapters.online.stored_columns import Fetch, StoredColumn, ViewColumns
from include.adapters.online.stored_values import decode_values, microseconds
from include.errors import UsageError, nearest

Status: TypeAlias = Literal["present", "stale", "missing"]

_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class OnlineColumn:
    """One feature of the keys that were asked for, in their order.

    Attributes
    ----------
    dtype : pyarrow.DataType
        The feature's type.
    values : list
        Python values; None where the status is not present, and for a known null.
    status : list of str
        ``present``, ``stale`` or ``missing``.
    event_us, created_us : list of int or None
        Event and created times, microseconds since 1970; None where missing. A store may know no created time.
    """

    dtype: pa.DataType
    values: list[object]
    status: list[Status]
    event_us: list[int | None]
    created_us: list[int | None]


@dataclass(frozen=True)
class OnlineFeatures:
    """What the online store holds for some keys.

    Tables are made when they are first asked for; a server that answers one request reads `columns`.

    Attributes
    ----------
    join_keys : tuple of str
        Names of the keys' columns.
    keys : tuple of str, or of tuples of str
        As asked: in their order, repeated where they were.
    columns : mapping of str to OnlineColumn
        Per feature, in the service's order.
    unknown : tuple of str, or of tuples of str
        Keys that no view has a row of, each once.
    """

    join_keys: tuple[str, ...]
    keys: tuple[Key, ...]
    columns: Mapping[str, OnlineColumn]
    unknown: tuple[Key, ...]

    @cached_property
    def values(self) -> pa.Table:
        """One row per key: the join keys (string) and the features, null unless present."""
        return self._table({name: pa.array(column.values, column.dtype) for name, column in self.columns.items()})

    @cached_property
    def status(self) -> pa.Table:
        """One row per key: the join keys and per feature ``present``, ``stale`` or ``missing``."""
        return self._table({name: pa.array(column.status, pa.string()) for name, column in self.columns.items()})

    @cached_property
    def event_timestamps(self) -> pa.Table:
        """One row per key: the join keys and per feature its event time (timestamp[us, UTC]), null where missing."""
        return self._table({name: pa.array(column.event_us, _INSTANT) for name, column in self.columns.items()})

    @cached_property
    def created_timestamps(self) -> pa.Table:
        """One row per key: the join keys and per feature its created time (timestamp[us, UTC]), null if not known."""
        return self._table({name: pa.array(column.created_us, _INSTANT) for name, column in self.columns.items()})

    def _table(self, columns: Mapping[str, pa.Array]) -> pa.Table:
        if len(self.join_keys) == 1:
            return pa.table({self.join_keys[0]: pa.array(self.keys, pa.string()), **columns})
        parts = {name: pa.array([key[n] for key in self.keys], pa.string()) for n, name in enumerate(self.join_keys)}
        return pa.table({**parts, **columns})


class OnlineReader:
    """A read of fixed features, everything prepared but the keys.

    Parameters
    ----------
    prepare : callable
        Prepares the store's read of some views that have their join keys in common: they are read in one go.
    wanted : sequence of ViewColumns
        Views and their features.

    Raises
    ------
    UsageError
        If two views share a feature's name.

    Attributes
    ----------
    join_keys : tuple of str
        Names of the keys' columns, each once: those of the first view in its order, then what other views have more.
    """

    def __init__(self, prepare: Callable[[Sequence[ViewColumns]], Fetch], wanted: Sequence[ViewColumns]) -> None:
        self.join_keys = tuple(dict.fromkeys(key for columns in wanted for key in columns.join_keys))
        self.dtypes = _dtypes(wanted)
        self._ttls = [columns.ttl_us for columns in wanted]
        self._shares = _shares(prepare, wanted, self.join_keys)
        # Arrow looks for pandas at its first table, which takes longer than thousands of reads.
        nobody: Key = "" if len(self.join_keys) == 1 else ("",) * len(self.join_keys)
        for answer in (self.read([nobody]), self.read([])):
            _ = answer.values, answer.status, answer.event_timestamps, answer.created_timestamps

    def read(self, keys: Sequence[Key], *, at: datetime | None = None) -> OnlineFeatures:
        """Read some keys' features.

        Parameters
        ----------
        keys : sequence of str, or of tuples of str
            Entity keys, in any order; may be empty. Of several join keys each is a tuple in the order of `join_keys`.
        at : datetime, optional
            When ttl is judged, aware. Default: now.

        Raises
        ------
        UsageError
            If a key is of another form, or `at` is naive.
        """
        check_keys(keys, self.join_keys)
        at_us = microseconds(datetime.now(UTC) if at is None else _aware(at))
        stored = {place: view for share in self._shares for place, view in share.read(keys)}
        dtypes = iter(self.dtypes.items())
        columns = {
            name: _judge(column, dtype, None if ttl is None else at_us - ttl)
            for place, ttl in enumerate(self._ttls)
            for column, (name, dtype) in zip(stored[place], dtypes, strict=False)
        }
        return OnlineFeatures(self.join_keys, tuple(keys), columns, _unknown(keys, columns))


@dataclass(frozen=True)
class _Share:
    """Views that have their join keys in common: where they are among all, and the read of them."""

    places: tuple[int, ...]
    encode: Callable[[Key], bytes]
    fetch: Fetch

    def read(self, keys: Sequence[Key]) -> Iterator[tuple[int, list[StoredColumn]]]:
        """Give each view's place and its columns of the keys, in their order."""
        asked = [self.encode(key) for key in keys]
        distinct = list(dict.fromkeys(asked))
        stored = self.fetch(distinct)
        if len(distinct) < len(asked):
            rows = {key: row for row, key in enumerate(distinct)}
            order = [rows[key] for key in asked]
            stored = [[_take(column, order) for column in columns] for columns in stored]
        return zip(self.places, stored, strict=True)


def select_features(known: Sequence[str], asked: Sequence[str] | None, *, of: str) -> tuple[str, ...]:
    """Return the features asked for, or all where none are named.

    Raises
    ------
    UsageError
        If one isn't known, naming the nearest.
    """
    if asked is None:
        return tuple(known)
    for name in asked:
        if name not in known:
            raise UsageError(f"{of} has no feature {name!r}{nearest(str(name), known)}; it has {', '.join(known)}")
    return tuple(dict.fromkeys(asked))


def _dtypes(wanted: Sequence[ViewColumns]) -> dict[str, pa.DataType]:
    names = [name for columns in wanted for name in columns.dtypes]
    if len(set(names)) < len(names):
        raise UsageError(f"two views have a feature {max(names, key=names.count)!r}; a service may have it once")
    return {name: dtype for columns in wanted for name, dtype in columns.dtypes.items()}


def _is_present_throughout(column: StoredColumn, oldest_us: int | None) -> bool:
    events = [event for event in column.event_us if event is not None]
    is_whole = None not in column.values and len(events) == len(column.values)
    return is_whole and (oldest_us is None or min(events, default=oldest_us) >= oldest_us)


def _judge(column: StoredColumn, dtype: pa.DataType, oldest_us: int | None) -> OnlineColumn:
    if _is_present_throughout(column, oldest_us):
        status: list[Status] = ["present"] * len(column.values)
        return OnlineColumn(dtype, decode_values(column.values), status, column.event_us, column.created_us)
    status = [_verdict(value, event, oldest_us) for value, event in zip(column.values, column.event_us, strict=True)]
    shown = [value if verdict == "present" else None for value, verdict in zip(column.values, status, strict=True)]
    values = decode_values(shown)
    # A row may be older than a feature that was added to its view: then its times are not this feature's.
    held = [value is not None for value in column.values]
    return OnlineColumn(dtype, values, status, _where(held, column.event_us), _where(held, column.created_us))


def _verdict(value: bytes | None, event_us: int | None, oldest_us: int | None) -> Status:
    if value is None or event_us is None:
        return "missing"
    return "stale" if oldest_us is not None and event_us < oldest_us else "present"


def _where(held: Sequence[bool], times: Sequence[int | None]) -> list[int | None]:
    return [time if is_held else None for is_held, time in zip(held, times, strict=True)]


def _unknown(keys: Sequence[Key], columns: Mapping[str, OnlineColumn]) -> tuple[Key, ...]:
    if not all("missing" in column.status for column in columns.values()):
        return ()
    verdicts = zip(*(column.status for column in columns.values()), strict=True)
    return tuple(dict.fromkeys(key for key, row in zip(keys, verdicts, strict=True) if set(row) == {"missing"}))


def _take(column: StoredColumn, order: Sequence[int]) -> StoredColumn:
    return StoredColumn(
        [column.values[row] for row in order],
        [column.event_us[row] for row in order],
        [column.created_us[row] for row in order],
    )


def _shares(
    prepare: Callable[[Sequence[ViewColumns]], Fetch], wanted: Sequence[ViewColumns], join_keys: tuple[str, ...]
) -> list[_Share]:
    places: dict[frozenset[str], list[int]] = {}
    for place, columns in enumerate(wanted):
        places.setdefault(frozenset(columns.join_keys), []).append(place)
    return [
        _Share(tuple(mine), key_encoder(join_keys, of=names), prepare([wanted[n] for n in mine]))
        for names, mine in places.items()
    ]


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise UsageError(f"at={at} has no time zone; pass an aware time, e.g. datetime(2024, 1, 1, tzinfo=UTC)")
    return at
