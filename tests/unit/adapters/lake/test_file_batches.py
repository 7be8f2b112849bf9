"""Batches of a table's files are its rows, in their order and in its columns."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
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
