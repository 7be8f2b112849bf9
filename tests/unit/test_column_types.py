"""What an Arrow type holds, and which may stand for which."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.column_types import is_binary, is_instant, is_lossless, is_number, is_text, key_family, value_type


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pa.int32(), pa.int64()),
        (pa.uint32(), pa.int64()),
        (pa.int64(), pa.float32()),
        (pa.float32(), pa.float64()),
        (pa.null(), pa.string()),
        (pa.large_string(), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.string())),
        (pa.timestamp("ms"), pa.timestamp("us", tz="UTC")),
        (pa.list_(pa.int32()), pa.list_(pa.int64())),
    ],
    ids=str,
)
def test_a_type_that_holds_every_value_may_stand_for_the_declared_one(found: pa.DataType, expected: pa.DataType):
    assert is_lossless(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pa.float64(), pa.float32()),
        (pa.float64(), pa.int64()),
        (pa.int64(), pa.int32()),
        (pa.uint64(), pa.int64()),
        (pa.int64(), pa.uint64()),
        (pa.string(), pa.int64()),
        (pa.int64(), pa.string()),
        (pa.string(), pa.binary()),
        (pa.bool_(), pa.int64()),
        (pa.list_(pa.float64()), pa.list_(pa.float32())),
    ],
    ids=str,
)
def test_a_type_that_could_lose_something_may_not(found: pa.DataType, expected: pa.DataType):
    assert not is_lossless(found, expected)


def test_keys_are_compared_within_their_family_only():
    families = [key_family(t) for t in (pa.string(), pa.large_string(), pa.int16(), pa.uint64(), pa.float64())]
    assert families == ["text", "text", "integer", "integer", "double"]


KINDS = {
    "text": [pa.string(), pa.large_string(), pa.string_view()],
    "bytes": [pa.binary(), pa.large_binary(), pa.binary_view()],
    "number": [pa.int8(), pa.uint64(), pa.float16(), pa.float64(), pa.decimal128(9, 2), pa.decimal256(40, 2)],
    "instant": [pa.timestamp("s", "UTC"), pa.timestamp("ns", "America/New_York")],
    None: [
        pa.bool_(),
        pa.null(),
        pa.date32(),
        pa.time64("us"),
        pa.timestamp("us"),
        pa.duration("s"),
        pa.list_(pa.int8()),
    ],
}


@pytest.mark.parametrize(
    ("kind", "found"), [(kind, found) for kind, types in KINDS.items() for found in types], ids=str
)
def test_a_type_is_of_one_kind_however_arrow_keeps_the_values(kind: str | None, found: pa.DataType):
    tests = {"text": is_text, "bytes": is_binary, "number": is_number, "instant": is_instant}
    assert [name for name, test in tests.items() if test(found)] == ([kind] if kind else [])
    assert value_type(pa.dictionary(pa.int16(), found)) == value_type(found) == found
