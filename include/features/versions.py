"""Versions of feature rows: what a rebuild adds to a partition, and which version is the newest.

What belongs here: the rule that a correction adds a row and erases none. What does not: computing
features, and reading or writing tables.

A row is known by its entity's keys and event time; its versions differ in ``created_timestamp``. An entity that
a rebuild no longer finds gets a version whose features are all null: a retraction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP, PARTITION
from include.features.row_order import ordered

_ABSENT = -1


def newest_versions(rows: pa.Table, *, keys: tuple[str, ...], with_retractions: bool = False) -> pa.Table:
    """Return of each entity and event time the version that was created last.

    Parameters
    ----------
    rows : pyarrow.Table
        `keys` (strings), ``event_timestamp``, ``created_timestamp``, the features, and maybe ``dt``.
    keys : tuple of str
        The entity's keys.
    with_retractions : bool
        Whether an entity that was retracted is among them, its features null.

    Returns
    -------
    pyarrow.Table
        Sorted by keys and event time, which are unique in it.
    """
    newest = _newest(rows, keys)
    return newest if with_retractions else without_retractions(newest, keys=keys)


def without_retractions(newest: pa.Table, *, keys: tuple[str, ...]) -> pa.Table:
    """Return those of the newest versions that stand: an entity that was retracted is not among them."""
    is_retraction = _is_retraction(newest, _features(newest, keys))
    return newest.filter(pc.invert(is_retraction)) if pc.any(is_retraction).as_py() else newest


def add_versions(
    stored: pa.Table | None,
    computed: pa.Table,
    *,
    keys: tuple[str, ...],
    known_until: Mapping[date, datetime],
    known_at_last: datetime | None = None,
) -> pa.Table:
    """Return a partition's rows after a rebuild: the stored ones and, of the computed ones, those that differ.

    Parameters
    ----------
    stored : pyarrow.Table or None
        The partition's present rows, all their versions; None where there is no table.
    computed : pyarrow.Table
        One row for each entity and event time, as the sources give it now, in the columns that are wanted.
    keys : tuple of str
        The entity's keys.
    known_until : mapping of date to datetime
        By ``dt``, of partitions whose source was corrected, when the newest of the source's rows up to that day was
        received: a version that differs from the stored one without a later `created_timestamp` of its own, and
        a retraction, are created then.
    known_at_last : datetime, optional
        When the newest of all the source's rows was received. In those partitions what differs without a later time
        up to their day is created then: a correction has moved a row to a later day.

    Returns
    -------
    pyarrow.Table
        Columns of `computed`, sorted by keys, event and created time. A version that could not be told from
        the stored one by its created time takes its place: the data were the same, the definition was not. So
        does one that differs only in columns that the stored rows do not have.
    """
    if stored is None or stored.num_rows == 0:
        return _sorted(computed, keys)
    had = set(stored.column_names)
    stored = _conformed(stored, computed.schema)
    newest, features = _newest(stored, keys), _features(computed, keys)
    of_stored, of_computed = _aligned(newest, computed, keys)
    before, after = _taken(newest, of_stored), _taken(computed, of_computed)
    in_stored, in_computed = of_stored != _ABSENT, of_computed != _ABSENT
    differs = _differ_in(before, after, [name for name in features if name in had])
    added = in_computed & ~in_stored
    changed = in_computed & in_stored & differs
    extended = in_computed & in_stored & ~differs & _differ_in(before, after, [n for n in features if n not in had])
    retracted = in_stored & ~in_computed & differs
    fresh = [
        _columns(after, added, computed.schema),
        _created_later(
            _columns(after, changed, computed.schema), before.filter(pa.array(changed)), known_until, known_at_last
        ),
        _created_later(_columns(after, extended, computed.schema), before.filter(pa.array(extended)), {}),
        _created_later(
            _retractions(before, retracted, features), before.filter(pa.array(retracted)), known_until, known_at_last
        ),
    ]
    arriving = pa.concat_tables([rows.cast(computed.schema) for rows in fresh])
    return _sorted(pa.concat_tables([_without(stored, arriving, keys), arriving]), keys)


def _newest(rows: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    ordered = _sorted(rows, keys)
    if ordered.num_rows < 2:
        return ordered
    is_last = np.ones(ordered.num_rows, dtype=bool)
    is_last[:-1] = False
    for name in (*keys, EVENT_TIMESTAMP):
        column = ordered[name].combine_chunks()
        is_last[:-1] |= pc.fill_null(pc.not_equal(column[1:], column[:-1]), True).to_numpy(zero_copy_only=False)
    return ordered if is_last.all() else ordered.filter(pa.array(is_last))


def _aligned(
    newest: pa.Table, computed: pa.Table, keys: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each entity and event time of either side, its row in both, -1 where there is none."""
    identity = [*keys, EVENT_TIMESTAMP]
    ours = newest.select(identity).append_column("stored_row", pa.array(np.arange(newest.num_rows)))
    theirs = computed.select(identity).append_column("computed_row", pa.array(np.arange(computed.num_rows)))
    both = ours.join(theirs, keys=identity, join_type="full outer")
    rows = (pc.fill_null(both[name], _ABSENT).to_numpy() for name in ("stored_row", "computed_row"))
    return tuple(rows)  # type: ignore[return-value]


def _taken(rows: pa.Table, at: NDArray[np.int64]) -> pa.Table:
    return rows.take(pa.array(at, mask=at == _ABSENT))


def _differ_in(before: pa.Table, after: pa.Table, features: Sequence[str]) -> NDArray[np.bool_]:
    differs = np.zeros(before.num_rows, dtype=bool)
    for name in features:
        differs |= _differ(before[name], after[name])
    return differs


def _differ(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    unequal = pc.fill_null(pc.not_equal(one, other), False)
    if pa.types.is_floating(one.type):
        unequal = pc.and_not(unequal, pc.fill_null(pc.and_(pc.is_nan(one), pc.is_nan(other)), False))
    return pc.or_(unequal, pc.xor(pc.is_null(one), pc.is_null(other))).to_numpy()  # type: ignore[no-any-return]


def _columns(rows: pa.Table, wanted: NDArray[np.bool_], schema: pa.Schema) -> pa.Table:
    return rows.filter(pa.array(wanted)).select(schema.names)


def _retractions(before: pa.Table, retracted: NDArray[np.bool_], features: Sequence[str]) -> pa.Table:
    gone = before.filter(pa.array(retracted))
    for name in features:
        field = gone.schema.field(name)
        gone = gone.set_column(gone.column_names.index(name), field, pa.nulls(gone.num_rows, field.type))
    return gone


def _created_later(
    rows: pa.Table, before: pa.Table, known_until: Mapping[date, datetime], known_at_last: datetime | None = None
) -> pa.Table:
    created, stored = rows[CREATED_TIMESTAMP], before[CREATED_TIMESTAMP]
    days, moments = pa.array(known_until.keys(), pa.date32()), pa.array(known_until.values(), stored.type)
    until = moments.take(pc.index_in(before[PARTITION], value_set=days).combine_chunks())
    last = pc.if_else(pc.is_valid(until), pa.scalar(known_at_last, stored.type), None)
    at = stored
    # The first that is later than what is stored.
    for later in (last, until, created):
        at = pc.if_else(pc.fill_null(pc.greater(later, stored), False), later, at)
    return rows.set_column(rows.column_names.index(CREATED_TIMESTAMP), CREATED_TIMESTAMP, at)


def _without(stored: pa.Table, arriving: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    identity = [*keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP]
    if arriving.num_rows == 0:
        return stored
    numbered = stored.select(identity).append_column("row", pa.array(np.arange(stored.num_rows)))
    kept = numbered.join(arriving.select(identity), keys=identity, join_type="left anti")
    return stored.take(kept["row"])


def _conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows in the wanted columns: one that the table did not have yet is null."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _is_retraction(rows: pa.Table, features: Sequence[str]) -> pa.ChunkedArray:
    absent = pa.chunked_array([pa.array(np.ones(rows.num_rows, dtype=bool))])
    for name in features:
        absent = pc.and_(absent, pc.is_null(rows[name]))
    return absent


def _features(rows: pa.Table, keys: tuple[str, ...]) -> list[str]:
    own = {*keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP, PARTITION}
    return [name for name in rows.column_names if name not in own]


def _sorted(rows: pa.Table, keys: tuple[str, ...]) -> pa.Table:
    return ordered(rows, (*keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP))
