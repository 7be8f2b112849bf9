"""Batches of a table's files are its rows, in their order and in its columns."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.file_batches import read_batches

DAY, NEXT = "2024-03-10", "2024-03-11"


@pytest.fixture
def lake(tmp_path: Path) -> LakeAdapter:
    """Return a lake with a table to which the second day has added a column, of three files on the first."""
    made = LakeAdapter(tmp_path.as_uri())
    first = pa.table({"n": range(1_000), "s": map(str, range(1_000)), "dt": [date.fromisoformat(DAY)] * 1_000})
    made.rewrite("t", [DAY], lambda _: (first.slice(start, 400) for start in (0, 400, 800)))
    made.replace("t", pa.table({"n": [1], "s": ["x"], "dt": [date.fromisoformat(NEXT)], "more": [0.5]}), keys=[NEXT])
    return made


@pytest.mark.parametrize("rows_at_once", [1, 64, 400, 5_000])
def test_batches_are_what_the_dataset_has(lake: LakeAdapter, rows_at_once: int) -> None:
    for keys in ([DAY], [NEXT], None):
        files = lake.dataset("t", keys=keys)
        batches = list(read_batches(files, rows_at_once=rows_at_once))
        assert max(batch.num_rows for batch in batches) <= rows_at_once
        assert pa.Table.from_batches(batches, schema=files.schema).equals(files.to_table())


def test_no_files_are_no_batches(lake: LakeAdapter) -> None:
    assert list(read_batches(lake.dataset("t", keys=["2020-01-01"]), rows_at_once=5)) == []


@pytest.mark.parametrize("row_group", [7, 100, 1_000])
@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 400), (399, 401), (150, 950), (400, 800), (999, 1_000), (5, 5)])
def test_a_part_is_its_rows_wherever_files_and_row_groups_end(
    tmp_path: Path, row_group: int, start: int, end: int
) -> None:
    for first in (0, 400, 800):
        numbers = range(first, min(first + 400, 1_000))
        rows = pa.table({"n": numbers, "s": map(str, numbers)})
        pq.write_table(rows, tmp_path / f"{first}.parquet", row_group_size=row_group)
    files = pads.dataset(sorted(map(str, tmp_path.glob("*.parquet"))))

    batches = list(read_batches(files, rows_at_once=64, columns=["n"], start=start, end=end))

    assert [n for batch in batches for n in batch.column("n").to_pylist()] == list(range(start, end))
