"""The lake on a folder and on a real S3 server: one suite.

A new file system joins by one entry in ``conftest.LAKES``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pytest
from deltalake import DeltaTable, write_deltalake

from include.adapters.arrow_files import open_location
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.lake.appends import append_once
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.listing import list_stored
from include.adapters.lake.row_digest import digest
from include.adapters.lake.span import Span
from include.errors import AlteredError, ExpiredError, MlopsError
from include.settings import _SCHEMES, Settings
from tests.contracts.conftest import LAKES
from tests.everyday import IS_ALL


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


def test_every_file_system_that_settings_allow_is_in_the_suite():
    assert {f"{scheme}://" for scheme in LAKES} == set(_SCHEMES)


def rows(day: str, values: list[int]) -> pa.Table:
    return pa.table({"value": pa.array(values, pa.int64()), "dt": pa.array([date.fromisoformat(day)] * len(values))})


def test_a_table_that_was_never_written_is_absent_not_empty(lake):
    assert not lake.exists("raw/x")
    assert lake.version("raw/x") is None
    assert lake.partitions("raw/x") == []
    with pytest.raises(MlopsError, match="there is no lake table raw/x"):
        lake.read("raw/x")


def test_replacing_one_partition_leaves_the_others(lake):
    lake.replace(
        "raw/x", pa.concat_tables([rows("2026-01-01", [1]), rows("2026-01-02", [2])]), keys=["2026-01-01", "2026-01-02"]
    )
    lake.replace("raw/x", rows("2026-01-02", [3, 4]), keys=["2026-01-02"])
    assert sorted(lake.read("raw/x")["value"].to_pylist()) == [1, 3, 4]
    assert lake.read("raw/x", start="2026-01-02", end="2026-01-02")["value"].to_pylist() == [3, 4]


def test_writing_the_same_rows_again_makes_no_new_version(lake):
    first = lake.replace("raw/x", rows("2026-01-01", [1, 2]), keys=["2026-01-01"])
    assert lake.replace("raw/x", rows("2026-01-01", [2, 1]), keys=["2026-01-01"]) == first


def test_a_partition_can_become_empty(lake):
    lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])
    lake.replace("raw/x", rows("2026-01-01", []), keys=["2026-01-01"])
    assert lake.partitions("raw/x") == []


def test_rows_outside_the_named_partitions_are_refused_and_nothing_is_written(lake):
    lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])
    with pytest.raises(MlopsError, match="'2026-01-02' would be written by a replacement of 2026-01-01"):
        lake.replace("raw/x", rows("2026-01-02", [2]), keys=["2026-01-01"])
    assert lake.version("raw/x") == 0


def test_an_older_version_can_still_be_read(lake):
    old = lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])
    lake.replace("raw/x", rows("2026-01-01", [9]), keys=["2026-01-01"])
    assert lake.read("raw/x", version=old.version)["value"].to_pylist() == [1]


def write_versions(lake: LakeAdapter, versions: range) -> None:
    for version in versions:
        lake.replace("raw/x", rows("2026-01-01", [version]), keys=["2026-01-01"])


def age_log(lake: LakeAdapter, *, days: int) -> None:
    then = time.time() - days * 86_400
    for path in Path(lake.table_uri("raw/x").removeprefix("file://"), "_delta_log").iterdir():
        os.utime(path, (then, then))


def drop_log(lake: LakeAdapter, version: int) -> None:
    DeltaTable(lake.table_uri("raw/x"), storage_options=lake.storage_options or None).create_checkpoint()
    filesystem, path = open_location(lake.table_uri("raw/x"), lake.s3_endpoint_url)
    fs.SubTreeFileSystem(path, filesystem).delete_file(f"_delta_log/{version:020d}.json")


def properties(lake: LakeAdapter) -> dict[str, str]:
    return DeltaTable(lake.table_uri("raw/x"), storage_options=lake.storage_options or None).metadata().configuration


# Delta makes a checkpoint of every hundredth version, or as often as a table says, and may drop what is old before one.
OFTEN = {"delta.checkpointInterval": "10"}


@pytest.mark.thorough
def test_a_version_stays_readable_however_old_its_log_and_however_many_follow(tmp_path):
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    write_versions(lake, range(130))
    age_log(lake, days=40)
    write_versions(lake, range(130, 210))
    assert [lake.read("raw/x", version=old)["value"].to_pylist() for old in (1, 5, 59)] == [[1], [5], [59]]
    remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[5])
    assert lake.read("raw/x", version=5)["value"].to_pylist() == [5]


def test_a_version_that_has_expired_is_told_from_one_whose_file_is_lost(lake):
    write_versions(lake, range(3))
    remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[])
    with pytest.raises(ExpiredError, match=r"raw/x has no version 1: it was removed"):
        lake.dataset("raw/x", version=1)
    with pytest.raises(ExpiredError, match="raw/x has no version 1"):
        lake.read("raw/x", version=1)
    filesystem, path = open_location(lake.table_uri("raw/x"), lake.s3_endpoint_url)
    filesystem.delete_dir(f"{path}/dt=2026-01-01")
    with pytest.raises(AlteredError, match=r"a data file of its newest version, .*, is not there; bring it back"):
        lake.dataset("raw/x", version=lake.version("raw/x"))


def test_a_commit_that_was_cut_off_is_told_with_its_table_and_without_a_stack(tmp_path):
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    write_versions(lake, range(2))
    newest = max((tmp_path / "lake/raw/x/_delta_log").glob("*.json"))
    written = newest.read_bytes()
    newest.write_bytes(written[: len(written) // 2])
    with pytest.raises(AlteredError, match=r"raw/x: a commit of its log, .*raw/x/_delta_log, is damaged") as told:
        lake.read("raw/x")
    assert "unknown" not in str(told.value)


def test_a_table_that_was_made_without_it_keeps_its_log_from_the_next_write(tmp_path):
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    write_deltalake(lake.table_uri("raw/x"), rows("2026-01-01", [0]), partition_by=["dt"], configuration=OFTEN)
    write_versions(lake, range(1, 13))
    age_log(lake, days=40)
    write_versions(lake, range(13, 25))
    # The property is version 1, so that the second row is version 2.
    assert lake.read("raw/x", version=2)["value"].to_pylist() == [1]


def test_removing_files_from_a_table_that_was_made_without_it_keeps_its_log(tmp_path):
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    how: dict[str, Any] = {"partition_by": ["dt"], "mode": "overwrite", "configuration": OFTEN}
    for value in range(19):
        write_deltalake(lake.table_uri("raw/x"), rows("2026-01-01", [value]), **how)
    age_log(lake, days=40)
    remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[5])
    assert lake.read("raw/x", version=5)["value"].to_pylist() == [5]


def test_a_table_keeps_its_log_from_its_first_version_on(lake):
    assert lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"]).version == 0
    assert properties(lake)["delta.enableExpiredLogCleanup"] == "false"
    assert lake.replace("raw/x", rows("2026-01-01", [2]), keys=["2026-01-01"]).version == 1


def test_a_version_that_is_gone_is_told_from_a_table_that_never_was(lake):
    write_versions(lake, range(2))
    drop_log(lake, 0)
    for version in (0, 7):
        with pytest.raises(MlopsError, match=rf"raw/x has no version {version}.*the newest is 1.*mlops lake pins"):
            lake.read("raw/x", version=version)


def test_a_version_whose_files_were_removed_is_named(lake):
    write_versions(lake, range(3))
    remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[1])
    assert lake.read("raw/x", version=1)["value"].to_pylist() == [1]
    with pytest.raises(MlopsError, match="raw/x has no version 0"):
        lake.read("raw/x", version=0)


def test_removing_files_says_which_version_to_keep_is_gone(lake):
    write_versions(lake, range(3))
    drop_log(lake, 0)
    with pytest.raises(MlopsError, match=r"raw/x has no version 0.*its old files stay.*training set"):
        remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[2, 0])


def test_removing_files_of_a_table_that_never_was_says_so(lake):
    with pytest.raises(MlopsError, match="there is no lake table raw/x"):
        remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[])


def test_two_writers_of_one_partition_lose_no_row(lake):
    lake.replace("raw/x", rows("2026-01-01", [0]), keys=["2026-01-01"])

    def add(value: int) -> None:
        lake.update("raw/x", ["2026-01-01"], lambda present: pa.concat_tables([present, rows("2026-01-01", [value])]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(1, 7)))
    assert sorted(lake.read("raw/x")["value"].to_pylist()) == list(range(7))


def test_the_first_writers_of_a_table_lose_no_row(lake):
    days = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda day: lake.replace("raw/x", rows(day, [1]), keys=[day]), days))
    assert lake.partitions("raw/x") == days


def test_the_digest_knows_rows_not_their_order_or_files(lake):
    lake.replace("raw/x", rows("2026-01-01", [1, 2]), keys=["2026-01-01"])
    lake.replace("raw/x", rows("2026-01-02", [3]), keys=["2026-01-02"])
    assert lake.digest("raw/x") == digest(pa.concat_tables([rows("2026-01-02", [3]), rows("2026-01-01", [2, 1])]))
    assert lake.digest("raw/x") != digest(rows("2026-01-01", [1, 2, 3]))


def test_a_lake_that_can_not_be_reached_is_named(tmp_path):
    (tmp_path / "lake").write_text("a file where a folder should be")
    with pytest.raises(MlopsError, match="check MLOPS_LAKE_URI"):
        LakeAdapter((tmp_path / "lake").as_uri()).replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])


FOLDERS = ("[ab]", "{a,b}", "a*", "a?", "*/**", "a b", "ü", "100%", "a'b", "#1", "~")
# Of an address as it is a ? or # is the end.
ADDRESSES = [(folder, True) for folder in FOLDERS] + [
    (folder, False) for folder in FOLDERS if not set(folder) & {*"?#"}
]


@pytest.mark.parametrize(("folder", "is_escaped"), ADDRESSES)
def test_a_lake_lies_in_any_folder(tmp_path, folder, is_escaped):
    path = tmp_path / folder
    lake = LakeAdapter(path.as_uri() if is_escaped else f"file://{path}")
    beside = LakeAdapter((tmp_path / "a").as_uri())
    for value in (1, 2):
        lake.replace("raw/x", rows("2026-01-01", [value]), keys=["2026-01-01"])
        beside.replace("raw/x", rows("2026-01-01", [10 * value]), keys=["2026-01-01"])
    computed = DuckDbCompute().run_select(
        "SELECT sum(value)::BIGINT AS s FROM x WHERE dt = DATE '2026-01-01'",
        {"x": lake.dataset("raw/x")},
        purpose="a sum",
    )
    assert computed["s"].to_pylist() == lake.read("raw/x")["value"].to_pylist() == [2]
    assert list_stored(lake) == ["raw/x"]
    assert remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[]) == 1
    assert len(list(path.rglob("*.parquet"))) == 1


def test_reading_does_not_abort_the_interpreter_at_exit(tmp_path):
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])
    code = f"from include.adapters.lake.delta_lake import LakeAdapter; LakeAdapter({lake.uri!r}).read('raw/x')"
    codes = [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in range(3 if IS_ALL else 1)]
    assert set(codes) == {0}


def moments(*days: int) -> pa.Table:
    at = [datetime(2026, 1, day, 12, 0, 0, 500, tzinfo=UTC) for day in days]
    return pa.table({"at": pa.array(at, pa.timestamp("us", tz="UTC")), "dt": [moment.date() for moment in at]})


def test_a_span_leaves_out_the_files_that_can_not_hold_it_and_no_other(lake):
    days = range(1, 8)
    lake.replace("raw/x", moments(*days), keys=[f"2026-01-0{day}" for day in days])
    third, fifth = (datetime(2026, 1, day, 12, 0, 0, 500, tzinfo=UTC) for day in (3, 5))

    found = lake.dataset("raw/x", within=Span("at", third, fifth))

    assert sorted(str(day) for day in found.to_table()["dt"].to_pylist()) == ["2026-01-03", "2026-01-04", "2026-01-05"]
    assert lake.dataset("raw/x", within=Span("at", fifth, None)).count_rows() == 3
    assert lake.dataset("raw/x", within=Span("at", None, None)).count_rows() == 7
    assert lake.dataset("raw/x", within=Span("at", datetime.min.replace(tzinfo=UTC), third)).count_rows() == 3


def test_a_span_finds_a_row_whose_statistics_are_rounded(lake):
    at = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
    rows = pa.table({"at": pa.array([at], pa.timestamp("us", tz="UTC")), "dt": [at.date()]})
    lake.replace("raw/x", rows, keys=["2026-01-01"])
    assert lake.dataset("raw/x", within=Span("at", at, at + timedelta(days=1))).count_rows() == 1
    assert lake.dataset("raw/x", within=Span("at", at - timedelta(days=1), at)).count_rows() == 1


def test_a_span_of_a_column_that_is_not_there_names_the_nearest(lake):
    lake.replace("raw/x", moments(1), keys=["2026-01-01"])
    with pytest.raises(MlopsError, match=r"raw/x has no column 'att'; it has at, dt; did you mean 'at'\?"):
        lake.dataset("raw/x", within=Span("att", None, None))


def more(value: int, **columns: list[float]) -> pa.Table:
    return pa.table({**dict(zip(["value", "dt"], rows("2026-01-01", [value]).columns, strict=True)), **columns})


@pytest.mark.parametrize("is_there", [True, False], ids=["to a table", "to none"])
def test_rows_are_added_once_however_often_and_by_how_many_they_are_added(lake, is_there):
    if is_there:
        lake.replace("raw/x", rows("2026-01-01", [1]), keys=["2026-01-01"])
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda _: append_once(lake, "raw/x", more(7), work="a", number=3), range(4)))
    late = [append_once(lake, "raw/x", more(8), work="a", number=number) for number in (2, 3)]
    assert sorted(added) == [False, False, False, True]
    assert late == [False, False]
    assert sorted(lake.read("raw/x")["value"].to_pylist()) == [*([1] if is_there else []), 7]


def test_works_at_once_each_add_their_rows_and_rows_of_new_columns(lake):
    with ThreadPoolExecutor(4) as pool:
        works = [(f"w{n}", more(n, **{f"x{n % 2}": [n + 0.5]})) for n in range(6)]
        assert all(pool.map(lambda each: append_once(lake, "raw/x", each[1], work=each[0], number=1), works))
    found = {row["value"]: row for row in lake.read("raw/x").to_pylist()}
    assert set(found) == set(range(6))
    assert [(found[n][f"x{n % 2}"], found[n][f"x{1 - n % 2}"]) for n in range(6)] == [(n + 0.5, None) for n in range(6)]


def test_rows_that_were_added_are_replaced_as_any_others_and_one_that_was_altered_is_noticed(lake):
    append_once(lake, "raw/x", more(1), work="a", number=1)
    append_once(lake, "raw/x", more(2), work="a", number=2)
    lake.update("raw/x", ["2026-01-01"], lambda present: present.slice(1))
    assert lake.read("raw/x").num_rows == 1
    with pytest.raises(MlopsError, match="is int64, and its new rows are string that it can't hold"):
        append_once(lake, "raw/x", more(3).set_column(0, "value", pa.array(["x"])), work="a", number=3)
