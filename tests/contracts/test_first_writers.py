"""Several processes write into a lake that is empty: each row is there once, for every kind of table."""

from __future__ import annotations

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.settings import PROJECT_ROOT
from include.specs.groups import load_feature_groups
from include.specs.lake_tables import list_tables_of
from include.specs.models import load_models
from include.specs.sources import load_sources
from include.tables import TableSpec
from tests.contracts.conftest import empty_lakes
from tests.contracts.first_writers import FILES, file_rows
from tests.everyday import IS_ALL

WRITERS = 6 if IS_ALL else 3
# 50 show what one round in thirty does.
ROUNDS = int(os.environ.get("FIRST_WRITERS_ROUNDS", "1"))

lake_settings = empty_lakes(daily=["file"])


def kinds(lake: LakeAdapter, round_number: int) -> list[TableSpec]:
    """Return a table of each kind; on S3, whose server here takes one request at a time, one of them in turn."""
    [source, *_], [group, *_], [model, *_] = load_sources(), load_feature_groups(), load_models()
    each = [source.raw, source.quarantine, source.deliveries, group.lake_table, *list_tables_of(model)]
    return [each[(round_number + 1) % len(each)]] if lake.uri.startswith("s3://") else each


@pytest.mark.timeout(120 + 120 * ROUNDS)
def test_first_writers_lose_and_double_no_row(lake_settings):
    lake = LakeAdapter.from_settings(lake_settings)
    told = [lake_settings.lake_uri, lake_settings.s3_endpoint_url or ""]
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contracts.first_writers", *told, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
        )
        for number in range(WRITERS)
    ]
    try:
        assert {writer.stdout.readline() for writer in writers} == {"ready\n"}
        for number in range(ROUNDS):
            for writer in writers:
                writer.stdin.write(f"_{number} {' '.join(spec.name for spec in kinds(lake, number))}\n")
                writer.stdin.flush()
            assert {writer.stdout.readline() for writer in writers} == {"done\n"}
            assert wrong_rows(lake, number) == {}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def wrong_rows(lake: LakeAdapter, round_number: int) -> dict[str, list[object]]:
    """Return the rows of each table that are not those that the writers wrote."""
    wrong = {}
    for spec in kinds(lake, round_number):
        expected = pa.concat_tables(
            [file_rows(spec, writer, file) for writer in range(WRITERS) for file in range(FILES)]
        )
        by_key = [(name, "ascending") for name in spec.key]
        found = lake.read(f"{spec.name}_{round_number}").select(expected.column_names).sort_by(by_key)
        if found.to_pylist() != expected.sort_by(by_key).to_pylist():
            wrong[spec.name] = found.select(spec.key).to_pylist()
    return wrong
