"""The bytes of Feast's online layout, made a column at a time.

What belongs here: entity keys, feature values and event times as every online store of Feast keeps them, and
rows put into the order of their keys. What does not: how a store lays these bytes out, which is its own module, and
reading them back (``stored_values``).

Feast serialises one protobuf message per value, in Python. The same bytes are a constant tag and the value's
own bytes, so that a whole column is made by Arrow. A null is no bytes at all, and so is a float that is not a
number, as in Feast.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast import ValueType
from feast.protos.feast.types.Value_pb2 import ValueType as StoredType
from feast.type_map import python_values_to_proto_values
from google.protobuf.timestamp_pb2 import Timestamp

from include.adapters.online import stored_values as tags
from include.adapters.online.stored_values import KEY_TEXT, MICROSECOND, key_head
from include.column_types import is_text
from include.errors import MlopsError

# Between these Arrow and Python write a float alike, but for the ".0" of a whole one.
_PLAIN_MIN, _PLAIN_MAX = 1e-4, 1e10


def encode_keys(columns: Mapping[str, pa.Array]) -> pa.BinaryArray:
    """Serialise entity keys as Feast's version 3 does.

    Parameters
    ----------
    columns : mapping of str to pyarrow.Array
        Join keys (string or int64) and their values, none null.

    Raises
    ------
    MlopsError
        If a key is of another type.
    """
    parts: list[pa.Array | pa.Scalar] = [pa.scalar(key_head(columns))]
    for name in sorted(columns):
        parts.extend(_key_parts(name, columns[name]))
    return join_bytes(*parts)


def encode_values(column: pa.Array, value_type: ValueType) -> pa.BinaryArray:
    """Serialise a feature's values as ``feast.types.Value`` does.

    Parameters
    ----------
    column : pyarrow.Array
        Values in the type that belongs to `value_type`.
    value_type : feast.ValueType
        Scalars of numbers, strings and booleans are made by the column, others one by one by Feast.

    Returns
    -------
    pyarrow.BinaryArray
        As long as `column`, no null: empty bytes for a null and for NaN.
    """
    make = _ENCODERS.get(column.type)
    if make is None:
        made = python_values_to_proto_values(column.to_pylist(), value_type)
        return pa.array([value.SerializeToString() for value in made], pa.binary())
    encoded = make(column)
    known = _known(column)
    return encoded if known is None else pc.if_else(known, encoded, b"")


def value_texts(column: pa.Array) -> pa.StringArray:
    """Write values as Feast's SQL stores do in ``value_text``: Python's ``str`` of each, null for a null."""
    if is_text(column.type):
        return pc.cast(column, pa.string())
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "True", "False")
    if pa.types.is_integer(column.type):
        return pc.cast(column, pa.string())
    if pa.types.is_floating(column.type):
        return _float_texts(pc.cast(column, pa.float64()))
    return pa.nulls(len(column), pa.string())


def encode_timestamps(moments_us: pa.Int64Array) -> pa.BinaryArray:
    """Serialise times as ``google.protobuf.Timestamp`` does."""
    # Rows of a partition share their event time: each distinct one is made once.
    distinct = moments_us.dictionary_encode()
    return pa.array([timestamp_bytes(us) for us in distinct.dictionary.to_pylist()], pa.binary()).take(distinct.indices)


def timestamp_bytes(moment_us: int) -> bytes:
    """Serialise one time, in microseconds since 1970, as ``google.protobuf.Timestamp`` does."""
    seconds, micros = divmod(moment_us, MICROSECOND)
    return bytes(Timestamp(seconds=seconds, nanos=micros * 1000).SerializeToString())


def join_bytes(*parts: pa.Array | pa.Scalar) -> pa.BinaryArray:
    """Concatenate byte strings row by row; a scalar stands in every row."""
    return pc.binary_join_element_wise(*parts, b"")


def fixed_bytes(matrix: npt.NDArray[np.uint8]) -> pa.BinaryArray:
    """Return the rows of a matrix of bytes, of shape (n_rows, n_bytes), as byte strings."""
    count, width = matrix.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32) if width else np.zeros(count + 1, np.int32)
    data = pa.py_buffer(np.ascontiguousarray(matrix))
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), data])


def lengths(column: pa.BinaryArray) -> npt.NDArray[np.int32]:
    """Return the number of bytes of every string."""
    return np.asarray(pc.binary_length(column), dtype=np.int32)


def _key_parts(name: str, column: pa.Array) -> Sequence[pa.Array | pa.Scalar]:
    if is_text(column.type):
        stored = pc.cast(column, pa.binary())
        return [pa.scalar(KEY_TEXT), _little_endian(lengths(stored), "<u4"), stored]
    if pa.types.is_int64(column.type):
        return [pa.scalar(struct.pack("<II", StoredType.INT64, 8)), _little_endian(np.asarray(column), "<i8")]
    raise MlopsError(f"join key {name} is of type {column.type}; online stores are keyed by string or int64")


def _little_endian(numbers: npt.NDArray[np.integer], dtype: str) -> pa.BinaryArray:
    stored = numbers.astype(dtype)
    return fixed_bytes(stored.view(np.uint8).reshape(len(stored), stored.dtype.itemsize))


def _tagged(tag: int, numbers: npt.NDArray[np.generic]) -> pa.BinaryArray:
    stored = np.ascontiguousarray(numbers).view(np.uint8).reshape(len(numbers), numbers.dtype.itemsize)
    return fixed_bytes(np.hstack([np.full((len(numbers), 1), tag, np.uint8), stored]))


def _floats(tag: int, dtype: str) -> Callable[[pa.Array], pa.BinaryArray]:
    return lambda column: _tagged(tag, column.to_numpy(zero_copy_only=False).astype(dtype))


def _integers(tag: int) -> Callable[[pa.Array], pa.BinaryArray]:
    def encode(column: pa.Array) -> pa.BinaryArray:
        # A negative number is its two's complement of 64 bits, of 32-bit types too.
        numbers = np.asarray(pc.fill_null(column, 0)).astype(np.int64).view(np.uint64)
        return join_bytes(pa.scalar(bytes([tag])), _varints(numbers))

    return encode


def _varints(numbers: npt.NDArray[np.uint64]) -> pa.BinaryArray:
    width = max(1, -(-int(numbers.max(initial=0)).bit_length() // 7))
    groups = [numbers >> np.uint64(7 * place) for place in range(width)]
    used = np.maximum(sum((group != 0).astype(np.int32) for group in groups), 1)
    place = np.arange(width, dtype=np.int32)
    low = np.stack([(group & np.uint64(0x7F)).astype(np.uint8) for group in groups], axis=1)
    stored = np.where(place < (used - 1)[:, None], low | np.uint8(0x80), low)
    offsets = np.concatenate([[0], np.cumsum(used)]).astype(np.int32)
    data = pa.py_buffer(stored[place < used[:, None]])
    return pa.Array.from_buffers(pa.binary(), len(numbers), [None, pa.py_buffer(offsets), data])


def _strings(column: pa.Array) -> pa.BinaryArray:
    stored = pc.fill_null(pc.cast(column, pa.binary()), b"")
    return join_bytes(pa.scalar(bytes([tags.STRING])), _varints(lengths(stored).astype(np.uint64)), stored)


def _booleans(column: pa.Array) -> pa.BinaryArray:
    return _tagged(tags.BOOL, np.asarray(pc.fill_null(column, False)).astype(np.uint8))


_ENCODERS: dict[pa.DataType, Callable[[pa.Array], pa.BinaryArray]] = {
    pa.float32(): _floats(tags.FLOAT, "<f4"),
    pa.float64(): _floats(tags.DOUBLE, "<f8"),
    pa.int32(): _integers(tags.INT32),
    pa.int64(): _integers(tags.INT64),
    pa.bool_(): _booleans,
    pa.string(): _strings,
}


def _known(column: pa.Array) -> pa.BooleanArray | None:
    """Say which values are neither null nor NaN; None where all are known."""
    known = column.is_valid()
    if pa.types.is_floating(column.type):
        known = pc.and_(known, pc.invert(pc.fill_null(pc.is_nan(column), True)))
    return None if pc.all(known).as_py() else known


def _float_texts(column: pa.DoubleArray) -> pa.StringArray:
    known = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    size = pc.abs(known)
    plain = pc.or_(pc.equal(size, 0.0), pc.and_(pc.greater_equal(size, _PLAIN_MIN), pc.less(size, _PLAIN_MAX)))
    texts = pc.cast(known, pa.string())
    whole = pc.invert(pc.match_substring(texts, "."))
    texts = pc.if_else(whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
    if pc.all(plain).as_py() is not False:
        return texts
    odd = pc.invert(plain)
    written = pa.array([str(number) for number in known.filter(odd).to_pylist()], pa.string())
    return pc.replace_with_mask(texts, pc.fill_null(odd, False), written)
