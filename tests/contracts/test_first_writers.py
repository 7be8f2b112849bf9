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
from include.specs.lake_tables import list_tables
from include.specs.models import load_models
from include.tables import ONCE, PER_GROUP, PER_MODEL, QUARANTINE, TableSpec
from tests.contracts.first_writers import FILES, file_rows

FULL = 6
# 50 show what one round in thirty does; then every kind of table has its turn on S3 too, whose server here is slow.
ROUNDS = int(os.environ.get("FIRST_WRITERS_ROUNDS", "1"))


def count_writers(lake: LakeAdapter) -> int:
    return 3 if is_short(lake) else FULL


def is_short(lake: LakeAdapter) -> bool:
    return lake.uri.startswith("s3://") and ROUNDS == 1


def kinds(lake: LakeAdapter) -> list[TableSpec]:
    if is_short(lake):
        return [QUARANTINE]
    groups, models = len(load_feature_groups()), len(load_models())
    found = list_tables()
    assert len(found) == len(ONCE) + groups * len(PER_GROUP) + models * len(PER_MODEL)
    return [*ONCE, *found[len(ONCE) : len(ONCE) + len(PER_GROUP)], *found[-len(PER_MODEL) :]]


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
        for number in range(count_writers(lake))
    ]
    try:
        assert {writer.stdout.readline() for writer in writers} == {"ready\n"}
        for number in range(ROUNDS):
            for writer in writers:
                writer.stdin.write(f"_{number} {' '.join(spec.name for spec in kinds(lake))}\n")
                writer.stdin.flush()
            assert {writer.stdout.readline() for writer in writers} == {"done\n"}
            assert wrong_rows(lake, f"_{number}") == {}
    finally:
        for writer in writers:
            writer.stdin.close()
            writer.wait(timeout=60)
            writer.stdout.close()


def wrong_rows(lake: LakeAdapter, suffix: str) -> dict[str, list[object]]:
    """Return the rows of each table that are not those that the writers wrote."""
    wrong = {}
    for spec in kinds(lake):
        expected = pa.concat_tables(
            [file_rows(spec, writer, file) for writer in range(count_writers(lake)) for file in range(FILES)]
        )
        by_key = [(name, "ascending") for name in spec.key]
        found = lake.read(f"{spec.name}{suffix}").select(expected.column_names).sort_by(by_key)
        if found.to_pylist() != expected.sort_by(by_key).to_pylist():
            wrong[spec.name] = found.select(spec.key).to_pylist()
    return wrong
