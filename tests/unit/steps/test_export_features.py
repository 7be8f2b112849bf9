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
from tests.raw_orders import line, orders, publish_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, DAY = "customer_daily", "2024-01-02"


@pytest.fixture
def deployment(tmp_path: Path) -> Any:
    made: Any = FakeDeployment(tmp_path / "lake")
    raw = orders(line("2024-01-02", customer="b"), line("2024-01-02", customer="a"))
    publish_orders(made.lake, raw)
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


@pytest.mark.parametrize(
    ("name", "day", "message"),
    [
        ("out.xlsx", DAY, r"name it \*\.parquet or \*\.csv"),
        ("absent/out.csv", DAY, "there is no folder"),
        ("out.csv", "2024-01-03", "has no partition 2024-01-03"),
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
