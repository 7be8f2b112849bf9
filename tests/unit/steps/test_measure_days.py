"""A data set is played by its days: each is measured as a night, and a policy decides on it as on one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from include.cli.main import cli
from include.errors import MlopsError, UnreadableInputError, UsageError
from include.specs.models import load_model
from include.steps.measure_days import DataSet, measure_days

DAYS = pd.date_range("2026-03-01", periods=30).astype(str)
CHANGE, GONE, BROKEN = DAYS[20], DAYS[9], DAYS[12]


def draw(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x": rng.normal(size=rows), "y": rng.normal(size=rows), "kind": rng.choice(list("abc"), rows)})


def days() -> pd.DataFrame:
    """Days of 300 rows: none on one of them, on one a column that is gone missing, and from one on a shift."""
    rows = draw(300 * len(DAYS), 1).assign(dt=np.repeat(DAYS, 300))
    rows.loc[rows["dt"] >= CHANGE, ["x", "y"]] += 1
    rows.loc[rows["dt"] == BROKEN, "x"] = None
    return rows[rows["dt"] != GONE].sample(frac=1, random_state=0)


@pytest.fixture(params=[".parquet", ".csv"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    found = {"then": draw(3_000, 0).assign(label=1), "now": days()}
    paths = {name: tmp_path / f"{name}{request.param}" for name in found}
    for name, frame in found.items():
        frame.to_csv(paths[name], index=False) if request.param == ".csv" else frame.to_parquet(paths[name])
    return paths


def backtest(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["policy", "backtest", "--model", "churn", *map(str, arguments)])


def of(files: dict[str, Path], *, day: str = "dt") -> tuple[object, ...]:
    return ("--reference", files["then"], "--current", files["now"], "--day", day)


def test_each_day_is_measured_as_a_night(files):
    nights = measure_days(DataSet(files["then"], files["now"], "dt"), load_model("churn").monitoring)
    assert [night.partition for night in nights] == [day for day in DAYS if day != GONE]
    assert {night.rows for night in nights} == {300}
    assert [drift.feature for drift in nights[0].drift] == ["x", "y", "kind"]
    shifted = {n.partition for n in nights if {d.feature for d in n.drift if d.verdict == "significant"} >= {"x", "y"}}
    assert shifted == {day for day in DAYS if day >= CHANGE}
    assert {night.partition for night in nights if night.data_quality.status == "incident"} == {BROKEN}


@pytest.mark.parametrize("as_times", [False, True], ids=["days", "times"])
def test_policies_are_played_on_a_data_set_without_a_home(files, as_times, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("MLOPS_SPECS", raising=False)
    if as_times and files["now"].suffix == ".parquet":
        days().assign(dt=lambda rows: pd.to_datetime(rows["dt"]) + pd.Timedelta("23:59:59")).to_parquet(files["now"])
    (tmp_path / "patient.yaml").write_text("breaches: 5\nschedule: null\n")
    # The whole spec of a model may be given: its decision: is what is played.
    (tmp_path / "bounded.yaml").write_text("model_id: other\ndecision: {false_alarms: 0.05, schedule: null}\n")
    others = [word for name in ("patient", "bounded") for word in ("--policy", tmp_path / f"{name}.yaml")]
    done = backtest(*of(files), *others, "--change", CHANGE, "--json")
    assert done.exit_code == 0, done.output
    found = {each["policy"]: each for each in json.loads(done.stdout)["policies"]}
    assert [found[name]["retrains"] for name in ("as it is", "patient", "bounded", "never", "best in hindsight")] == [
        [DAYS[22]],
        [DAYS[24]],
        [CHANGE],
        [],
        [CHANGE],
    ]
    assert [night["partition"] for night in found["as it is"]["nights"] if night["action"] == "veto"] == [BROKEN]
    assert found["never"]["degraded_days"] == 10
    assert not (tmp_path / "none").exists()


def test_days_are_narrowed_down_and_columns_named(files):
    told = backtest(*of(files), "--columns", "x,kind", "--start", DAYS[15], "--end", DAYS[19])
    assert told.output.startswith(f"5 measured nights, {DAYS[15]} to {DAYS[19]}\n")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--day", "date"], UnreadableInputError, "has no column 'date'; it has x, y, kind, dt"),
        (["--day", "kind"], UsageError, "column 'kind': partition 'a' is not a day"),
        (["--day", "x"], UsageError, "rows of now"),
        (["--columns", "label"], UnreadableInputError, "has no column 'label'"),
        (["--columns", "dt"], UnreadableInputError, "has no column 'dt'"),
        (
            ["--start", "2027-01-01"],
            UsageError,
            "has no day from 2027-01-01 to the last; there are those from 2026-03-01",
        ),
        (["--change", "2027-01-01"], UsageError, "--change 2027-01-01 is not among the measured nights"),
    ],
)
def test_what_is_no_day_and_no_column_is_told(files, options, error: type[MlopsError], said):
    done = backtest(*of(files), *options)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)


@pytest.mark.parametrize(
    ("file", "said"), [("now", "x: the window has 9 rows, below"), ("then", "x: the reference has")]
)
def test_a_data_set_of_which_no_day_tells_anything_is_refused(files, file, said):
    few = draw(9, 3).assign(dt=DAYS[0])
    few.to_csv(files[file], index=False) if files[file].suffix == ".csv" else few.to_parquet(files[file])
    done = backtest(*of(files))
    assert isinstance(done.exception, UsageError)
    assert f"no day of {files['now'].name} can be judged: {said}" in str(done.exception)


@pytest.mark.parametrize("left_out", range(3))
def test_half_a_data_set_is_wrong_use(left_out, tmp_path):
    given = [("--reference", tmp_path / "a.csv"), ("--current", tmp_path / "b.csv"), ("--day", "dt")]
    done = backtest(*(word for place, pair in enumerate(given) if place != left_out for word in pair))
    assert "a data set is --reference FILE --current FILE --day COL, all three" in str(done.exception)
