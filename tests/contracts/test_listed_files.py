"""A table's files as Arrow is given them: those that delta-rs would give, in its order, each with its partition."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as fs
import pytest
from deltalake.exceptions import DeltaProtocolError

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.settings import Settings

DAYS = [f"2026-01-0{day}" for day in range(1, 6)]
# Names of folders escape some of these, and the log escapes that again; an empty one is null.
TEXTS = ["plain", "a b.csv", "x%20y", "p/q=r", "ä?&.csv", "*[1].csv", "..", "c:d", ""]


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


def rows_of(keys: list[str], column: str) -> pa.Table:
    values = [date.fromisoformat(key) for key in keys] if column == "dt" else keys
    return pa.table({"value": pa.array([*range(len(keys))], pa.int64()), column: values})


def listed(dataset: pads.Dataset) -> list[tuple[str, dict]]:
    return [(file.path, pads.get_partition_keys(file.partition_expression)) for file in dataset.get_fragments()]


@pytest.mark.parametrize(("column", "keys"), [("dt", DAYS), ("file", TEXTS)])
def test_files_are_those_that_delta_rs_gives_arrow_and_in_its_order(lake, column, keys):
    lake.replace("raw/x", rows_of(keys, column), keys=keys, partition_by=column)
    for key in keys[::2]:
        lake.replace("raw/x", rows_of([key, key], column), keys=[key], partition_by=column)
    delta, found = lake.delta("raw/x"), lake.dataset("raw/x")
    given = delta.to_pyarrow_dataset(filesystem=found.filesystem)
    assert found.files == given.files
    assert len(found.files) >= len(keys)
    assert listed(found) == listed(given)
    assert found.schema.equals(given.schema)
    assert found.to_table().equals(given.to_table())


def test_what_is_wanted_is_listed_as_delta_rs_does(lake):
    lake.replace("raw/x", rows_of(DAYS, "dt"), keys=DAYS)
    filesystem, folder = open_location(lake.table_uri("raw/x"), lake.s3_endpoint_url)
    given = lake.delta("raw/x").to_pyarrow_dataset(
        filesystem=fs.SubTreeFileSystem(folder, filesystem),
        file_pruning_predicate=[("dt", ">=", DAYS[1]), ("dt", "<=", DAYS[3])],
    )
    assert lake.read("raw/x", start=DAYS[1], end=DAYS[3]).equals(given.to_table())
    assert lake.read("raw/x", keys=[]).num_rows == 0


def test_a_table_with_deleted_rows_in_its_files_is_refused(lake):
    lake.replace("raw/x", rows_of(DAYS, "dt"), keys=DAYS)
    lake.delta("raw/x").alter.set_table_properties({"delta.enableDeletionVectors": "true"})
    with pytest.raises(DeltaProtocolError, match="deletionVectors"):
        lake.dataset("raw/x")
