"""Rows of one feature view, made ready for an online store.

What belongs here: from a table's columns, or Feast's messages, to Feast's bytes, a bounded number of rows at a
time, and the order in which SQL stores are written. What does not: how a value becomes bytes
(``online_encoding``), and writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import from_feast_to_pyarrow_type

from include.adapters.online.encoding import encode_keys, encode_values, value_texts
from include.adapters.online.stored_values import microseconds
from include.errors import MlopsError

# An entity, its features, and when they happened and became known: what Feast hands to a store.
Message: TypeAlias = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


@dataclass(frozen=True)
class EncodedRows:
    """Rows of one view in Feast's bytes.

    Attributes
    ----------
    keys : pyarrow.BinaryArray
        Serialised entity keys, without the project's name.
    values : dict of str to pyarrow.BinaryArray
        Per feature its serialised values; empty bytes where it is null.
    texts : dict of str to pyarrow.StringArray
        Per feature its values as Feast's SQL stores write them out; null where it is null.
    event_us, created_us : pyarrow.Int64Array
        Event and created times, microseconds since 1970; created is null where there is none.
    """

    keys: pa.BinaryArray
    values: dict[str, pa.BinaryArray]
    texts: dict[str, pa.StringArray]
    event_us: pa.Int64Array
    created_us: pa.Int64Array

    def __len__(self) -> int:
        return len(self.keys)

    def in_key_order(self) -> EncodedRows:
        """Return the rows sorted by key, of each key the newest: two writers in one order never wait in a ring."""
        order = newest_in_key_order(self.keys, self.event_us, self.created_us)
        if order is None:
            return self
        return EncodedRows(
            keys=self.keys.take(order),
            values={name: column.take(order) for name, column in self.values.items()},
            texts={name: column.take(order) for name, column in self.texts.items()},
            event_us=self.event_us.take(order),
            created_us=self.created_us.take(order),
        )


def encode_rows(
    view: FeatureView, rows: pa.Table, *, size: int, in_key_order: bool, with_texts: bool
) -> Iterator[EncodedRows]:
    """Encode a table's rows, `size` at a time.

    Parameters
    ----------
    view : FeatureView
        Its entity columns and features must be among the columns, and its source's times.
    rows : pyarrow.Table
        One row per entity and version.
    size : int
        Rows per chunk: what bounds the memory.
    in_key_order : bool
        Sort by the serialised key and keep each key's newest row; else rows come as they are.
    with_texts : bool
        Write values out as well.

    Raises
    ------
    MlopsError
        If a column is missing, or a key or an event time is null.
    """
    _require_columns(view, rows)
    order = newest_in_key_order(_keys(view, rows), *_times(view, rows)) if in_key_order else None
    count = rows.num_rows if order is None else len(order)
    for start in range(0, count, size):
        chunk = rows.slice(start, size) if order is None else rows.take(order.slice(start, size))
        yield _encode_chunk(view, chunk, with_texts=with_texts)


def encode_messages(messages: Sequence[Message], *, key_version: int) -> Iterator[EncodedRows]:
    """Put what Feast hands to a store into columns: rows in a row that have the same features together."""
    for features, group in groupby(messages, key=lambda message: tuple(message[1])):
        keys, values, event, created = zip(*group, strict=True)
        columns = {name: [each[name] for each in values] for name in features}
        yield EncodedRows(
            keys=pa.array([serialize_entity_key(key, key_version) for key in keys], pa.binary()),
            values={name: _serialised(column) for name, column in columns.items()},
            texts={name: _texts(column) for name, column in columns.items()},
            event_us=_instants(event),
            created_us=_instants(created),
        )


def _require_columns(view: FeatureView, rows: pa.Table) -> None:
    wanted = [*(column.name for column in view.entity_columns), view.batch_source.timestamp_field]
    missing = [name for name in [*wanted, *(f.name for f in view.features)] if name not in rows.column_names]
    if missing:
        raise MlopsError(f"rows of {view.name} lack the columns {missing}; they have {rows.column_names}")
    if empty := [name for name in wanted if rows[name].null_count]:
        raise MlopsError(f"rows of {view.name} hold null in {empty}; every row needs its key and its event time")


def _encode_chunk(view: FeatureView, chunk: pa.Table, *, with_texts: bool) -> EncodedRows:
    columns = {
        feature.name: _one_array(chunk[feature.name].cast(from_feast_to_pyarrow_type(feature.dtype)))
        for feature in view.features
    }
    event_us, created_us = _times(view, chunk)
    return EncodedRows(
        keys=_keys(view, chunk),
        values={f.name: encode_values(columns[f.name], f.dtype.to_value_type()) for f in view.features},
        texts={name: value_texts(column) for name, column in columns.items()} if with_texts else {},
        event_us=event_us,
        created_us=created_us,
    )


def _serialised(values: Sequence[Value]) -> pa.Array:
    return pa.array([value.SerializeToString() for value in values], pa.binary())


def _texts(values: Sequence[Value]) -> pa.Array:
    return pa.array([extract_text_and_num(value, False)[0] for value in values], pa.string())


def _instants(times: Sequence[datetime | None]) -> pa.Array:
    return pa.array([None if time is None else microseconds(time) for time in times], pa.int64())


def newest_in_key_order(keys: pa.BinaryArray, event_us: pa.Int64Array, created_us: pa.Int64Array) -> pa.Array | None:
    """Return the rows to take, or None where rows are sorted by key and of one version each."""
    if len(keys) < 2 or pc.all(pc.less(keys[:-1], keys[1:])).as_py():
        return None
    versions = pa.table({"key": keys, "event": event_us, "created": pc.coalesce(created_us, event_us)})
    order = pc.sort_indices(
        versions, sort_keys=[("key", "ascending"), ("event", "descending"), ("created", "descending")]
    )
    ordered = keys.take(order)
    is_first = pa.concat_arrays([pa.array([True]), pc.not_equal(ordered[1:], ordered[:-1])])
    return order.filter(is_first)


def _keys(view: FeatureView, rows: pa.Table) -> pa.BinaryArray:
    return encode_keys({column.name: _one_array(rows[column.name]) for column in view.entity_columns})


def _times(view: FeatureView, rows: pa.Table) -> tuple[pa.Int64Array, pa.Int64Array]:
    source = view.batch_source
    created = source.created_timestamp_column
    event_us = _microseconds(rows[source.timestamp_field])
    if created not in rows.column_names:
        return event_us, pa.nulls(len(event_us), pa.int64())
    return event_us, _microseconds(rows[created])


def _microseconds(column: pa.ChunkedArray) -> pa.Int64Array:
    return _one_array(pc.cast(pc.cast(column, pa.timestamp("us", tz=column.type.tz), safe=False), pa.int64()))


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
