from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

from include.errors import UsageError
from include.features.checks import expected_schema
from include.specs.groups import load_feature_group
from include.steps.build_features import build_features
from include.steps.export_features import export_features
from tests.raw_orders import line, orders, publish_source
from tests.unit.steps.fakes import FakeDeployment

GROUP, DAY = "customer_daily", "2024-01-02"


@pytest.fixture
def deployment(tmp_path: Path) -> Any:
    made: Any = FakeDeployment(tmp_path / "lake")
    raw = orders(line("2024-01-02", customer="b"), line("2024-01-02", customer="a"))
    publish_source(made.lake, raw)
    build_features(made, GROUP, start=DAY, end=DAY)
    return made


def test_a_parquet_file_holds_the_partition_in_the_columns_of_the_spec(deployment: Any, tmp_path: Path) -> None:
    ref = export_features(deployment, GROUP, partition=DAY, path=tmp_path / "out.parquet")

    found = pq.read_table(tmp_path / "out.parquet")
    assert (ref.rows, found["customer_id"].to_pylist()) == (2, ["a", "b"])
    assert found.schema == expected_schema(load_feature_group(GROUP))


def test_a_csv_file_holds_the_same_rows(deployment: Any, tmp_path: Path) -> None:
    export_features(deployment, GROUP, partition=DAY, path=tmp_path / "out.csv")

    assert csv.read_csv(tmp_path / "out.csv")["total_orders_30d"].to_pylist() == [1, 1]


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_a_published_day_without_rows_is_a_file_with_none_and_the_columns_of_the_spec(
    deployment: Any, tmp_path: Path, name: str
) -> None:
    build_features(deployment, GROUP, start="2024-01-01", end="2024-01-01")

    ref = export_features(deployment, GROUP, partition="2024-01-01", path=tmp_path / name)

    expected = expected_schema(load_feature_group(GROUP))
    found = pq.read_table(tmp_path / name) if name.endswith("parquet") else csv.read_csv(tmp_path / name)
    assert (ref.rows, found.num_rows, found.column_names) == (0, 0, expected.names)
    assert found.schema == expected or name.endswith("csv")


def test_a_group_of_which_only_a_day_without_rows_was_built_is_exported(tmp_path: Path) -> None:
    made: Any = FakeDeployment(tmp_path / "lake")
    publish_source(made.lake, orders(line("2024-01-02")))
    build_features(made, GROUP, start="2024-01-01", end="2024-01-01")

    export_features(made, GROUP, partition="2024-01-01", path=tmp_path / "out.parquet")

    assert pq.read_table(tmp_path / "out.parquet").schema == expected_schema(load_feature_group(GROUP))


def test_rows_that_lie_in_the_lake_and_were_not_published_are_not_exported(deployment: Any, tmp_path: Path) -> None:
    deployment.state.forget(f"features/{GROUP}", DAY)
    with pytest.raises(UsageError, match="no published partition"):
        export_features(deployment, GROUP, partition=DAY, path=tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("name", "day", "message"),
    [
        ("out.xlsx", DAY, r"name it \*\.parquet or \*\.csv"),
        ("absent/out.csv", DAY, "there is no folder"),
        ("out.csv", "2024-01-03", "has no published partition 2024-01-03"),
        ("out.csv", "2024-13-01", "is not a day of the calendar"),
    ],
    ids=["extension", "folder", "partition", "date"],
)
def test_a_wrong_request_is_refused_and_leaves_no_file(
    deployment: Any, tmp_path: Path, name: str, day: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_features(deployment, GROUP, partition=day, path=tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_that_can_not_be_written_is_refused_and_leaves_nothing_beside_it(
    deployment: Any, tmp_path: Path
) -> None:
    (tmp_path / "out.csv").mkdir()

    with pytest.raises(UsageError, match=r"out\.csv can't be written"):
        export_features(deployment, GROUP, partition=DAY, path=tmp_path / "out.csv")

    assert list(tmp_path.glob(".*.unfinished")) == []
