"""A slice holds whole lists, and rows out of order are told apart from those in it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.scoring.slices import UnorderedError, in_slices

SCHEMA = pa.schema({"who": pa.string(), "what": pa.int64()})


def batches_of(rows: pa.Table, sizes: list[int]) -> list[pa.RecordBatch]:
    ends = np.cumsum([0, *sizes])
    return [batch for start, end in zip(ends, [*ends[1:], rows.num_rows], strict=True)
            for batch in rows.slice(start, end - start).to_batches()]  # fmt: skip


def make_rows(lists: int, *, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(lists), rng.integers(1, 9, lists))
    return pa.table({"who": [f"w{n:04}" for n in who], "what": rng.integers(0, 3, len(who))}, schema=SCHEMA)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rows_at_once", [1, 7, 50, 10_000])
def test_slices_are_the_rows_in_their_order_and_no_list_is_in_two(seed: int, rows_at_once: int) -> None:
    rows = make_rows(60, seed=seed)
    sizes = np.random.default_rng(seed).integers(0, 20, 12).tolist()

    batches = batches_of(rows, sizes)

    slices = list(in_slices(batches, SCHEMA, keys=["who"], rows_at_once=rows_at_once))

    assert pa.concat_tables(slices).equals(rows)
    owners = [set(each["who"].to_pylist()) for each in slices]
    assert sum(map(len, owners)) == len(set.union(*owners))
    # A list has at most eight rows; a batch is not cut in two.
    most = rows_at_once + 8 + max(batch.num_rows for batch in batches)
    assert all(each.num_rows <= most for each in slices)


def test_no_rows_are_one_slice() -> None:
    [only] = in_slices([], SCHEMA, keys=["who"], rows_at_once=5)
    assert (only.num_rows, only.schema) == (0, SCHEMA)


def test_a_list_that_is_longer_than_a_slice_is_whole() -> None:
    rows = pa.table({"who": ["a"] * 30 + ["b"], "what": range(31)}, schema=SCHEMA)
    slices = list(in_slices(batches_of(rows, [4] * 7), SCHEMA, keys=["who"], rows_at_once=5))
    assert [each.num_rows for each in slices] == [30, 1]


@pytest.mark.parametrize(
    "who",
    [list("abacd"), list("aabba"), list("dcba"), ["a", "b", None, "d", "e"], ["a", "a", "b", "a", "a", "b"]],
    ids=["within", "again at the end", "descending", "null", "list in two"],
)
@pytest.mark.parametrize("sizes", [[], [2], [1, 1, 1]], ids=str)
def test_rows_out_of_order_are_never_cut_unseen(who: list[str | None], sizes: list[int]) -> None:
    rows = pa.table({"who": who, "what": range(len(who))}, schema=SCHEMA)
    with pytest.raises(UnorderedError):
        list(in_slices(batches_of(rows, sizes), SCHEMA, keys=["who"], rows_at_once=1))
