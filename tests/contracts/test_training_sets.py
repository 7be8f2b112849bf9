"""Training sets and reports on each of the lake's file systems; a new one joins by its entry in ``conftest.LAKES``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pyarrow as pa
import pytest

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.partition_reports import list_reports, read_report, write_report
from include.adapters.lake.training_sets import read_manifest, read_training_set, write_training_set
from include.errors import MlopsError
from include.features.partition_report import PartitionReport
from include.settings import Settings
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


@pytest.fixture(scope="module")
def examples() -> pa.Table:
    return make_examples(entities=20)


def test_a_set_comes_back_as_it_was_written(lake, examples):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, manifest, examples)
    found, rows = read_training_set(lake, "churn", manifest.set_id)
    assert found == manifest
    assert rows.equals(examples)


def test_a_set_that_is_not_there_is_none_and_reading_it_names_the_next_move(lake):
    assert read_manifest(lake, "churn", "2024-06-30-abc") is None
    with pytest.raises(MlopsError, match=r"mlops training-set build --model churn --as-of 2024-06-30"):
        read_training_set(lake, "churn", "2024-06-30-abc")


def test_rows_that_are_not_the_manifests_are_found(lake, examples):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, replace(manifest, set_id="2024-06-30-changed"), examples.slice(1))
    with pytest.raises(MlopsError, match="somebody changed it"):
        read_training_set(lake, "churn", "2024-06-30-changed")


DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "pages of zeros": lambda content: content[:40] + bytes(len(content) - 400) + content[-360:],
    "another format": lambda _: b"customer_id,label\nc001,1\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_examples_are_one_message_with_what_to_do(lake, examples, damage):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, manifest, examples)
    filesystem, folder = open_location(lake.table_uri(f"training_sets/churn/{manifest.set_id}"), lake.s3_endpoint_url)
    with filesystem.open_input_file(f"{folder}/examples.parquet") as stream:
        content = stream.read()
    with filesystem.open_output_stream(f"{folder}/examples.parquet") as stream:
        stream.write(DAMAGES[damage](content))
    with pytest.raises(MlopsError) as raised:
        read_training_set(lake, "churn", manifest.set_id)
    told = str(raised.value)
    assert f"training set {manifest.set_id} of churn" in told
    assert f"remove {folder} and build the set again" in told
    assert "\n" not in told


def test_a_set_without_its_examples_is_told_from_one_that_is_damaged(lake, examples):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, manifest, examples)
    filesystem, folder = open_location(lake.table_uri(f"training_sets/churn/{manifest.set_id}"), lake.s3_endpoint_url)
    filesystem.delete_file(f"{folder}/examples.parquet")
    with pytest.raises(MlopsError, match=r"has no examples\.parquet any more; remove .* and build the set again"):
        read_training_set(lake, "churn", manifest.set_id)


def test_of_several_who_write_a_set_one_gives_it_its_manifest(lake, examples):
    # By their id they have the same rows; what they were read from may differ.
    manifest = make_manifest(make_spec(), examples)
    told = [replace(manifest, sources={"raw/orders": version}) for version in range(6)]
    with ThreadPoolExecutor(6) as pool:
        written = list(pool.map(lambda mine: write_training_set(lake, mine, examples), told))
    assert written.count(True) == 1
    assert read_training_set(lake, "churn", manifest.set_id)[0] == told[written.index(True)]


def test_a_report_is_whole_whoever_writes_it_at_the_same_time(lake):
    reports = [
        PartitionReport("customer_daily", "2026-01-01", "2026-01-31", rows=rows, checks=()) for rows in (10, 1_000_000)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda report: write_report(lake, report), reports * 10))
    assert read_report(lake, "customer_daily", "2026-01-31") in reports
    assert list_reports(lake, "customer_daily") == ["2026-01-31"]
