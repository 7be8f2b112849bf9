"""What is said to be in order is what sorting leaves as it is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.features.row_order import is_ordered, ordered


@pytest.mark.parametrize("seed", range(30))
def test_rows_are_in_order_where_a_sort_leaves_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 5))
    rows = pa.table(
        {"key": [f"k{n}" for n in rng.integers(0, 2, count)], "at": rng.integers(0, 2, count), "row": range(count)},
        schema=pa.schema({"key": pa.string(), "at": pa.int64(), "row": pa.int64()}),
    )
    by_sort = rows.sort_by([("key", "ascending"), ("at", "ascending")])
    assert is_ordered(rows, ["key", "at"]) == rows.equals(by_sort)
    assert ordered(rows, ["key", "at"]).equals(by_sort)


def test_chunks_make_no_difference() -> None:
    rows = pa.table({"key": pa.chunked_array([["a", "b"], ["b", "a"]])})
    assert not is_ordered(rows, ["key"])
    assert ordered(rows, ["key"])["key"].to_pylist() == ["a", "a", "b", "b"]


def test_nulls_are_in_no_order() -> None:
    assert not is_ordered(pa.table({"key": ["a", None]}), ["key"])
