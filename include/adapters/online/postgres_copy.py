"""Rows as a stream of PostgreSQL's binary COPY.

What belongs here: the format, made a column at a time. What does not: statements and connections.

References
----------
PostgreSQL documentation, COPY, "Binary Format": a signature, then per tuple the number of its fields and per field
its length and its bytes, in network order; timestamps are microseconds since 2000.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.online.encoding import fixed_bytes, join_bytes, lengths
from include.adapters.online.rows import EncodedRows

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_FIELDS = struct.pack(">h", 6)
_2000_US = 946_684_800_000_000


def copy_stream(rows: EncodedRows) -> Iterator[bytes | memoryview]:
    """Yield the stream of rows, in their order and per row by the features' names.

    The columns are entity_key, feature_name, value, value_text, event_ts, created_ts.
    """
    yield _HEADER
    if len(rows) and rows.values:
        key, event, created = _field(rows.keys), _times(rows.event_us), _times(rows.created_us)
        parts: list[pa.Array | pa.Scalar] = []
        for name, values in sorted(rows.values.items()):
            stored = name.encode()
            head = pa.scalar(struct.pack(">i", len(stored)) + stored)
            parts += [pa.scalar(_FIELDS), key, head, _field(values), _field(rows.texts[name]), event, created]
        tuples = join_bytes(*parts)
        _, ends, data = tuples.buffers()
        last = int(np.frombuffer(ends, np.int32)[len(rows)])
        yield memoryview(data)[:last]
    yield _TRAILER


def _field(column: pa.Array) -> pa.BinaryArray:
    stored = pc.cast(column, pa.binary())
    held = pc.fill_null(stored, b"")
    field = join_bytes(_big_endian(lengths(held).astype(np.int64), ">i4"), held)
    return pc.if_else(stored.is_valid(), field, _NULL) if stored.null_count else field


def _times(moments_us: pa.Int64Array) -> pa.BinaryArray:
    since = _big_endian(np.asarray(pc.fill_null(moments_us, _2000_US)) - _2000_US, ">i8")
    field = join_bytes(pa.scalar(struct.pack(">i", 8)), since)
    return pc.if_else(moments_us.is_valid(), field, _NULL) if moments_us.null_count else field


def _big_endian(numbers: np.typing.NDArray[np.int64], dtype: str) -> pa.BinaryArray:
    stored = numbers.astype(dtype)
    return fixed_bytes(stored.view(np.uint8).reshape(len(stored), stored.dtype.itemsize))
