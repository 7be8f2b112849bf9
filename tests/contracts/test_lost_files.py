"""A data file that a table's log names and that is not there, on each of the lake's file systems."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.lost_files import lost_partitions, strike_lost
from include.settings import Settings
from tests.contracts.conftest import empty_lakes

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
TABLE = "features/ü b"


lake_settings = empty_lakes(daily=["file"])


def rows(*days: str) -> pa.Table:
    return pa.table({"dt": pa.array([date.fromisoformat(day) for day in days]), "value": list(range(len(days)))})


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    made = LakeAdapter.from_settings(lake_settings)
    made.replace(TABLE, rows(*DAYS), keys=DAYS)
    return made


def lose(lake: LakeAdapter, day: str) -> None:
    filesystem, folder = open_location(lake.table_uri(TABLE), lake.s3_endpoint_url)
    filesystem.delete_dir(f"{folder}/dt={day}")


def test_a_table_that_is_whole_and_one_that_is_not_there_have_lost_nothing(lake):
    assert lost_partitions(lake, TABLE) == frozenset()
    assert lost_partitions(lake, "features/none") == frozenset()


def test_a_partition_whose_file_is_gone_is_named_and_makes_way_for_new_rows(lake):
    lose(lake, DAYS[1])
    assert lost_partitions(lake, TABLE) == {DAYS[1]}
    strike_lost(lake, TABLE, DAYS[1])
    assert lost_partitions(lake, TABLE) == frozenset()
    lake.replace(TABLE, rows(DAYS[1]), keys=DAYS[1:2])
    assert lake.read(TABLE).num_rows == len(DAYS)


def test_a_partition_that_is_whole_is_not_struck_off(lake):
    lose(lake, DAYS[1])
    version = lake.version(TABLE)
    strike_lost(lake, TABLE, DAYS[0])
    assert lake.version(TABLE) == version
    assert lake.partitions(TABLE) == list(DAYS)


def test_a_table_that_is_partitioned_by_another_column_than_the_day_is_looked_through_too(lake_settings):
    made = LakeAdapter.from_settings(lake_settings)
    known = rows(*DAYS).rename_columns(["known_on", "value"])
    made.replace(TABLE, known, keys=DAYS, partition_by="known_on")
    filesystem, folder = open_location(made.table_uri(TABLE), made.s3_endpoint_url)
    filesystem.delete_dir(f"{folder}/known_on={DAYS[1]}")
    assert lost_partitions(made, TABLE) == {DAYS[1]}
    strike_lost(made, TABLE, DAYS[1])
    assert made.partitions(TABLE, partition_by="known_on") == [DAYS[0], DAYS[2]]
