"""`mlops features join`: two files in, one out, each entity row in its place; bad input changes nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from include.cli.features import features
from include.errors import MlopsError, UnreadableInputError, UsageError
from include.steps.join_features import parse_ttl
from tests.real_data import real_data

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def entity_rows(**columns: Any) -> pd.DataFrame:
    at = [NOON, NOON + 5 * DAY, NOON - DAY, NOON + DAY]
    return pd.DataFrame(
        {"label": [3, 1, 2, 0], "customer_id": ["007", "7", "007", None], "event_timestamp": at, **columns}
    )


def feature_rows(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ["007", "7", "007"],
            "event_timestamp": [NOON, NOON + DAY, NOON],
            "created_timestamp": [NOON, NOON + DAY, NOON + 2 * DAY],
            "spend": [1.5, 2.5, 9.5],
            "country": ["FR", "NA", "DE"],
            **columns,
        }
    )


def write(path: Path, rows: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path, index=False)
    return path


def run(folder: Path, entities: pd.DataFrame, stored: pd.DataFrame, *options: str, kind: str = "parquet") -> Result:
    files = (write(folder / f"entities.{kind}", entities), write(folder / f"features.{kind}", stored))
    return call(*files, folder / f"out.{kind}", *options)


def call(entities: Path, stored: Path, out: Path, *options: str, key: str = "customer_id") -> Result:
    paths = ["--entities", str(entities), "--features", str(stored), "--out", str(out), "--key", key]
    return CliRunner().invoke(features, ["join", *paths, *options])


def failure(result: Result) -> MlopsError:
    assert isinstance(result.exception, MlopsError), result.output
    return result.exception


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_every_entity_row_is_written_in_its_order_with_the_features_after_its_columns(
    tmp_path: Path, kind: str
) -> None:
    result = run(tmp_path, entity_rows(), feature_rows(), kind=kind)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("4 rows with 2 features in ")
    assert result.stderr == ""
    out = tmp_path / f"out.{kind}"
    rows = (
        pd.read_csv(out, dtype={"customer_id": str}, keep_default_na=False) if kind == "csv" else pd.read_parquet(out)
    )
    assert rows.columns.tolist() == ["label", "customer_id", "event_timestamp", "spend", "country"]
    assert rows["label"].tolist() == [3, 1, 2, 0]
    assert rows["customer_id"].tolist() == ["007", "7", "007", "" if kind == "csv" else None]
    assert pd.to_numeric(rows["spend"]).fillna(-1).tolist() == [1.5, 2.5, -1, -1]
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_known_at_is_on_unless_it_is_switched_off(tmp_path: Path) -> None:
    assert run(tmp_path, entity_rows(), feature_rows()).exit_code == 0
    assert pd.read_parquet(tmp_path / "out.parquet")["spend"].tolist()[0] == 1.5
    assert run(tmp_path, entity_rows(), feature_rows(), "--no-known-at").exit_code == 0
    assert pd.read_parquet(tmp_path / "out.parquet")["spend"].tolist()[0] == 9.5


@pytest.mark.parametrize(("ttl", "expected"), [("4d", 2.5), ("96h", 2.5), ("5759m", None), ("345599s", None)])
def test_ttl_is_inclusive_in_every_unit(tmp_path: Path, ttl: str, expected: float | None) -> None:
    assert run(tmp_path, entity_rows(), feature_rows(), "--ttl", ttl).exit_code == 0
    spend = pq.read_table(tmp_path / "out.parquet")["spend"].to_pylist()
    assert spend[1] == expected


@pytest.mark.parametrize("text", ["31", "d", "1w", "-1d", "1.5d", "1 d", "", "31D"])
def test_another_form_of_ttl_is_told_the_allowed_ones(text: str) -> None:
    with pytest.raises(UsageError, match="31d, 12h, 30m, 45s"):
        parse_ttl(text)


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("ttl0", ["--no-known-at"]),
        ("ttl7", ["--no-known-at", "--ttl", "7d"]),
        ("ttl31", ["--no-known-at", "--ttl", "31d"]),
        ("known_at", []),
    ],
)
def test_the_real_log_is_joined_as_other_libraries_join_it(tmp_path: Path, case: str, options: list[str]) -> None:
    prefix, out = "peer_runs/online_retail_pit_", tmp_path / "out.parquet"
    entities = real_data(f"{prefix}entities.parquet")

    result = call(entities, real_data(f"{prefix}features.parquet"), out, *options)

    assert result.exit_code == 0, result.output
    rows, expected = pd.read_parquet(out), pd.read_parquet(real_data(f"{prefix}expected.parquet"))
    names = ["total_orders_30d", "avg_order_value", "days_since_last_order"]
    assert rows.columns.tolist() == [*pd.read_parquet(entities).columns, *names]
    assert rows["row_id"].tolist() == expected["row_id"].tolist()
    for name in names:
        np.testing.assert_array_equal(rows[name].to_numpy(float), expected[f"{name}__{case}"].to_numpy(float), name)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_naive_times_are_read_as_utc_and_said_so_and_written_as_they_were(tmp_path: Path, kind: str) -> None:
    entities = entity_rows()
    entities["event_timestamp"] = entities["event_timestamp"].dt.tz_localize(None)

    result = run(tmp_path, entities, feature_rows(), kind=kind)

    assert result.exit_code == 0, result.output
    assert result.stderr == f"read as UTC, as they name no time zone: entities.{kind}: event_timestamp\n"
    if kind == "parquet":
        rows = pd.read_parquet(tmp_path / "out.parquet")
        pd.testing.assert_series_equal(rows["event_timestamp"], entities["event_timestamp"])
        assert rows["spend"].tolist()[:2] == [1.5, 2.5]


def test_times_of_another_zone_are_the_same_instants(tmp_path: Path) -> None:
    stored = feature_rows()
    for name in ("event_timestamp", "created_timestamp"):
        stored[name] = stored[name].dt.tz_convert("America/New_York")
    assert run(tmp_path, entity_rows(), stored).exit_code == 0
    assert pd.read_parquet(tmp_path / "out.parquet")["spend"].tolist()[:2] == [1.5, 2.5]


def test_created_is_another_name_and_without_either_known_at_can_not_be_told(tmp_path: Path) -> None:
    renamed = feature_rows().rename(columns={"created_timestamp": "created"})
    assert run(tmp_path, entity_rows(), renamed).exit_code == 0
    assert "created" not in pd.read_parquet(tmp_path / "out.parquet").columns

    without = feature_rows().drop(columns="created_timestamp")
    error = failure(run(tmp_path, entity_rows(), without))
    assert error.exit_code == 2
    assert "neither created_timestamp nor created" in str(error)
    assert "--no-known-at" in str(error)
    assert run(tmp_path, entity_rows(), without, "--no-known-at").exit_code == 0


def test_whole_numbers_in_a_csv_are_compared_with_those_of_a_parquet_file(tmp_path: Path) -> None:
    stored = write(tmp_path / "features.parquet", feature_rows(customer_id=[17850, 7, 17850]))
    entities = write(tmp_path / "entities.csv", entity_rows(customer_id=["17850", "7", "17850", ""]))
    assert call(entities, stored, tmp_path / "out.parquet").exit_code == 0
    assert pd.read_parquet(tmp_path / "out.parquet")["spend"].tolist()[:2] == [1.5, 2.5]

    for wrong in ("17850.0", "007"):
        entities = write(tmp_path / "entities.csv", entity_rows(customer_id=[wrong, "7", "", ""]))
        error = failure(call(entities, stored, tmp_path / "out.parquet"))
        assert f"holds '{wrong}', but the other file's keys are whole numbers" in str(error)


def test_a_sentinel_of_the_year_9999_is_joined_to_times_in_nanoseconds(tmp_path: Path) -> None:
    entities = entity_rows()
    entities["event_timestamp"] = entities["event_timestamp"].astype("datetime64[ns, UTC]")
    stored = feature_rows()
    never = datetime(9999, 12, 31, tzinfo=UTC)
    stored["created_timestamp"] = pd.Series([NOON, never, NOON], dtype="datetime64[us, UTC]")

    result = run(tmp_path, entities, stored)

    assert result.exit_code == 0, result.output
    assert pq.read_table(tmp_path / "out.parquet")["spend"].to_pylist() == [9.5, None, None, None]


def test_several_keys_must_all_agree(tmp_path: Path) -> None:
    entities = entity_rows(shop=[1, 1, 1, 1])
    result = run(tmp_path, entities, feature_rows(shop=[1, 2, 1]), "--key", "shop")
    assert result.exit_code == 0, result.output
    assert pq.read_table(tmp_path / "out.parquet")["spend"].to_pylist() == [1.5, None, None, None]


def test_no_entity_rows_give_a_file_with_every_column(tmp_path: Path) -> None:
    assert run(tmp_path, entity_rows().head(0), feature_rows()).exit_code == 0
    out = pq.read_table(tmp_path / "out.parquet")
    assert (out.num_rows, out.column_names[-2:]) == (0, ["spend", "country"])
    assert out.schema.field("spend").type == pa.float64()


@pytest.mark.parametrize(
    ("entities", "stored", "message"),
    [
        (entity_rows(customer_id=[7, 8, 9, 10]), feature_rows(), r"key 'customer_id' is int64 .* and string .*exactly"),
        (entity_rows(customer_id=[7.0, 8, 9, 1]), feature_rows(), r"is double .*17850\.0 is not '17850'"),
        (entity_rows(spend=0), feature_rows(), r"both files have the columns spend; rename them"),
        (entity_rows().drop(columns="customer_id"), feature_rows(), r"entities.parquet has no column 'customer_id'"),
        (entity_rows().rename(columns={"event_timestamp": "event_time"}), feature_rows(), r"did you mean 'event_time'"),
        (entity_rows(), feature_rows().drop(columns="event_timestamp"), r"features.parquet has no .*'event_timestamp'"),
        (entity_rows(event_timestamp=["yesterday"] * 4), feature_rows(), r"entities.*'event_timestamp' is .*not times"),
        (
            entity_rows(),
            feature_rows(created_timestamp=[1, 2, 3]),
            r"features.*'created_timestamp' is int64, not times",
        ),
        (entity_rows(), feature_rows().drop(columns=["spend", "country"]), r"features.parquet has no feature"),
    ],
    ids=[
        "integer key",
        "float key",
        "column in both",
        "no key",
        "no time",
        "no event",
        "text for times",
        "numbers for times",
        "nothing to join",
    ],
)
def test_a_wrong_column_is_named_and_the_old_output_stays(
    tmp_path: Path, entities: pd.DataFrame, stored: pd.DataFrame, message: str
) -> None:
    (tmp_path / "out.parquet").write_text("of yesterday")
    error = failure(run(tmp_path, entities, stored))
    assert isinstance(error, UsageError)
    assert pytest.raises(UsageError, match=message).matches(error)
    assert (tmp_path / "out.parquet").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entities.parquet", "features.parquet", "out.parquet"]


@pytest.mark.parametrize("side", ["entities", "features"])
@pytest.mark.parametrize("damage", ["absent", "empty", "truncated", "extension"])
def test_a_file_that_can_not_be_read_is_named_and_nothing_is_written(tmp_path: Path, side: str, damage: str) -> None:
    files = {
        "entities": write(tmp_path / "entities.parquet", entity_rows()),
        "features": write(tmp_path / "features.parquet", feature_rows()),
    }
    path = files[side]
    if damage == "absent":
        path.unlink()
    elif damage == "extension":
        files[side] = path.rename(path.with_suffix(".xlsx"))
    else:
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -100])
    error = failure(call(files["entities"], files["features"], tmp_path / "out.parquet"))
    assert isinstance(error, UnreadableInputError)
    assert files[side].name in str(error)
    assert not (tmp_path / "out.parquet").exists()


def test_an_output_that_can_not_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    assert "name it *.parquet or *.csv" in str(failure(call(*_pair(tmp_path), tmp_path / "out.xlsx")))
    assert "there is no folder" in str(failure(call(*_pair(tmp_path), tmp_path / "no" / "out.csv")))
    nested = feature_rows(spend=[[1], [2], [3]])
    error = failure(call(_pair(tmp_path)[0], write(tmp_path / "features.parquet", nested), tmp_path / "out.csv"))
    assert "can't be written" in str(error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entities.parquet", "features.parquet"]


def _pair(folder: Path) -> tuple[Path, Path]:
    return write(folder / "entities.parquet", entity_rows()), write(folder / "features.parquet", feature_rows())


def test_the_command_itself_leaves_with_two_and_one_line(tmp_path: Path) -> None:
    entities, stored = _pair(tmp_path)
    command = ["join", "--entities", entities, "--features", stored, "--key", "customer", "--out", tmp_path / "o.csv"]
    done = subprocess.run(
        [sys.executable, "-c", "from include.cli.main import main; main()", "features", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "entities.parquet has no column 'customer'" in done.stderr
    assert "did you mean 'customer_id'?" in done.stderr
    assert len(done.stderr.splitlines()) == 1
