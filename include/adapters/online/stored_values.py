"""Stored keys, values and times as Feast's online layout has them, one at a time, read without Feast.

What belongs here: the tags of that layout, and Python values of its bytes. What does not: whole columns, which are made
by Arrow (``encoding``), and where a store keeps them.

A server that answers requests imports this and not Feast, which takes seconds to start.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

MICROSECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What stands before the length of a string in a serialised key: feast.types.ValueType.STRING.
KEY_TEXT = struct.pack("<I", 2)

# Tags of feast.types.Value, (field number << 3) | wire type, each one byte.
STRING, INT32, INT64, DOUBLE, FLOAT, BOOL = 0x12, 0x18, 0x20, 0x29, 0x35, 0x38
_VARINTS = frozenset({INT32, INT64, BOOL})
# Tags of google.protobuf.Timestamp.
_SECONDS, _NANOS = 0x08, 0x10
# By the size of a serialised float: its tag, and how struct reads it.
_WHOLE_COLUMN = {9: (DOUBLE, "xd"), 5: (FLOAT, "xf")}


def key_head(join_keys: Iterable[str]) -> bytes:
    """Return what the serialised keys of an entity begin with: how many join keys it has, and their names, sorted."""
    names = [name.encode() for name in sorted(join_keys)]
    return struct.pack("<I", len(names)) + b"".join(KEY_TEXT + struct.pack("<I", len(name)) + name for name in names)


def microseconds(moment: datetime) -> int:
    """Return the microseconds since 1970; a naive time is UTC, as everywhere in Feast."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def timestamp_us(stored: bytes) -> int:
    """Return the microseconds since 1970 of a serialised ``google.protobuf.Timestamp``."""
    seconds, nanos, at = 0, 0, 0
    while at < len(stored):
        tag, (number, at) = stored[at], _varint(stored, at + 1)
        if tag == _SECONDS:
            seconds = number
        elif tag == _NANOS:
            nanos = number
    return seconds * MICROSECOND + nanos // 1000


def decode_values(stored: Sequence[bytes | None]) -> list[object]:
    """Return the Python values of serialised ``feast.types.Value``; None for a null or nothing.

    Examples
    --------
    >>> decode_values([b"", None, bytes([0x20, 0x2A])])
    [None, None, 42]
    """
    if None not in stored and len(sizes := set(map(len, stored))) == 1:  # type: ignore[arg-type]
        # A column of floats without a null is read as one piece, which is most of a read's time.
        tag, unit = _WHOLE_COLUMN.get(sizes.pop(), (0, ""))
        joined = b"".join(stored)  # type: ignore[arg-type]
        if unit and joined[:: len(joined) // len(stored)].count(tag) == len(stored):
            return list(struct.unpack("<" + unit * len(stored), joined))
    return [_decode(value) for value in stored]


def _decode(stored: bytes | None) -> object:
    if not stored:
        return None
    tag = stored[0]
    if tag == DOUBLE:
        return struct.unpack_from("<d", stored, 1)[0]
    if tag == FLOAT:
        return struct.unpack_from("<f", stored, 1)[0]
    if tag in _VARINTS:
        number = _varint(stored, 1)[0]
        return bool(number) if tag == BOOL else number
    if tag == STRING:
        return stored[_varint(stored, 1)[1] :].decode()
    return _decode_by_feast(stored)


def _varint(stored: bytes, at: int) -> tuple[int, int]:
    """Return the signed number of 64 bits that begins at a place, and the place behind it."""
    number, shift = 0, 0
    while True:
        byte = stored[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return (number - (1 << 64) if number >> 63 else number), at
        shift += 7


def _decode_by_feast(stored: bytes) -> object:
    """Return a list, a map or a moment, which no feature of a model is."""
    from feast.protos.feast.types.Value_pb2 import Value

    message = Value.FromString(stored)
    kind = message.WhichOneof("val")
    return None if kind is None else getattr(message, kind)
