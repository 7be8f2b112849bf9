"""Which stored type may stand for which declared one."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.features.column_types import is_lossless, key_family


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
