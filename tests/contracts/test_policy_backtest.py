"""`mlops policy backtest` on nights that a real PostgreSQL holds."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from pydantic import TypeAdapter

from include.adapters.state.state_store import StateStoreAdapter
from include.cli.main import cli
from include.governance import lifecycle
from include.governance.lifecycle import MoveRequest
from include.monitoring.decision_facts import NightMetrics
from tests.unit.governance.evidence_builder import make_evidence
from tests.unit.monitoring.nights import make_nights

END, CHANGE = "2026-06-30", "2026-06-11"


@pytest.fixture
def state(state_database: str, monkeypatch: pytest.MonkeyPatch) -> StateStoreAdapter:
    monkeypatch.setenv("MLOPS_DATABASE_URL", state_database)
    monkeypatch.delenv("MLOPS_SPECS", raising=False)
    state = StateStoreAdapter(state_database)
    for plan in (lifecycle.stage_candidate, lifecycle.promote):
        request = MoveRequest("churn", 1, "2026-05-31", "ada", "first", evidence=make_evidence("2026-05-31"))
        state.append_moves(plan(state.ledger("churn"), request))
    kept = TypeAdapter(NightMetrics)
    for night in make_nights(END, [0] * 10 + [2] * 20):
        state.put_night("churn", night.partition, model_version=1, night=kept.dump_python(night, mode="json"))
    return state


def backtest(*options: str) -> Result:
    return CliRunner().invoke(cli, ["policy", "backtest", "--model", "churn", *options])


def test_two_policies_stand_side_by_side_and_nothing_is_written(state: StateStoreAdapter, tmp_path: Path) -> None:
    (tmp_path / "patient.yaml").write_text("decision:\n  breaches: 5\n  schedule: null\n")
    picture = tmp_path / "nights.svg"
    options = ["--policy", str(tmp_path / "patient.yaml"), "--change", CHANGE, "--price", "40", "--loss", "25"]
    options += ["--point-loss", "9", "--unit", "EUR"]
    told = json.loads(backtest(*options, "--picture", str(picture), "--json").output)
    assert told["costs"] == {"retrain": 40.0, "degraded_day": 25.0, "lost_point": 9.0, "unit": "EUR"}
    found = {each["policy"]: each for each in told["policies"]}
    assert list(found) == ["as it is", "patient", "monthly", "PSI on N of M nights", "never", "best in hindsight"]
    assert [found[name]["days_to_detection"] for name in ("as it is", "patient", "never")] == [
        {CHANGE: 2},
        {CHANGE: 4},
        {CHANGE: None},
    ]
    assert found["best in hindsight"]["retrains"] == [CHANGE]
    assert found["best in hindsight"]["cost"] == min(each["cost"] for each in found.values())
    assert (found["never"]["loss"], found["never"]["cost"]) == (500.0, 500.0)
    assert (found["monthly"]["degraded_days"], found["monthly"]["cost"]) == (19, 515.0)
    drawn = ElementTree.parse(picture)
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}title"))) == 30 * len(found)
    assert [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")].count("costs 500.0 EUR") == 1
    output = backtest(*options).output
    assert "as it is, 2026-06-13: 3 of the last 5 nights" in output
    assert "a retrain costs 40.0 EUR, a degraded day 25.0 EUR, 9.0 EUR for each 0.01 of a known fall" in output
    assert state.decisions("churn") == ()


def test_what_was_not_measured_and_which_version_was_measured_against_are_told(
    state: StateStoreAdapter, tmp_path: Path
) -> None:
    assert backtest().output.startswith("30 measured nights, 2026-06-01 to 2026-06-30\na retrain costs")
    kept = TypeAdapter(NightMetrics)
    for night in make_nights("2026-07-04", [0, 0], version=2):
        state.put_night("churn", night.partition, model_version=2, night=kept.dump_python(night, mode="json"))
    assert backtest().output.startswith(
        "32 measured nights, 2026-06-01 to 2026-07-04; 2 between them were not measured\n"
        "version 1 was measured until 2026-06-30, version 2 from 2026-07-03 on; what each had learned, every policy "
        "below has\na retrain costs"
    )
    picture = tmp_path / "nights.svg"
    backtest("--picture", str(picture))
    drawn, svg = ElementTree.parse(picture), "{http://www.w3.org/2000/svg}"
    ends = [float(cell.attrib["x"]) for cell in drawn.iter(f"{svg}rect") if len(cell)][29:31]
    assert ends[1] - ends[0] == 3 * 9
    assert {"2026-06-01", "2026-07-04"} <= {text.text for text in drawn.iter(f"{svg}text")}
    assert backtest("--end", "2026-06-01").output.startswith("1 measured night, 2026-06-01\na retrain costs")
    policies = json.loads(backtest("--json").output)["policies"]
    assert [night["model_version"] for night in policies[0]["nights"]] == [1] * 30 + [2, 2]


def test_a_long_name_of_a_policy_moves_the_columns_and_covers_no_night(
    state: StateStoreAdapter, tmp_path: Path
) -> None:
    name, picture = "as_patient_as_it_may_be_while_nothing_is_urgent", tmp_path / "nights.svg"
    (tmp_path / f"{name}.yaml").write_text("breaches: 5\n")
    lines = backtest("--policy", str(tmp_path / f"{name}.yaml"), "--picture", str(picture)).output.splitlines()
    rows = [line for line in lines if line.endswith("  -")]
    assert {line.index("  -") for line in rows} == {len(rows[0]) - 3}
    cells = [cell for cell in ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}rect") if len(cell)]
    assert min(float(cell.attrib["x"]) for cell in cells) > 7 * len(name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--start", "2027-01-01"], "no night of churn from 2027-01-01 to the last was measured; there are those from"),
        (["--change", "2026-01-01"], "--change 2026-01-01 is not among the measured nights, 2026-06-01 to 2026-06-30"),
        (["--policy", "{wrong}"], "unknown key 'breeches'"),
        (["--policy", "{empty}"], "empty.yaml: decision must be a mapping of keys to values, found NoneType"),
        (["--picture", "/proc/nights.svg"], "/proc/nights.svg can't be written: No such file or directory"),
        (["--policy", "{many}"], "breaches=9 can't be above windows=5"),
        (["--policy", "{absent}"], "absent.yaml can't be read"),
        (["--policy", "{monthly}"], "two policies are called 'monthly'"),
        (["--policy", "{patient}", "--policy", "{patient}"], "two policies are called 'patient'"),
        (["--price", "nan"], "--price nan is no price"),
        (["--loss", "inf"], "--loss inf is no price"),
        (["--point-loss", "inf"], "--point-loss inf is no price"),
    ],
)
def test_what_can_not_be_played_is_refused(
    state: StateStoreAdapter, tmp_path: Path, options: list[str], said: str
) -> None:
    (tmp_path / "wrong.yaml").write_text("breeches: 2\n")
    (tmp_path / "empty.yaml").write_text("decision:\n")
    (tmp_path / "many.yaml").write_text("breaches: 9\n")
    for name in ("monthly", "patient"):
        (tmp_path / f"{name}.yaml").write_text("breaches: 1\n")
    files = {
        name: str(tmp_path / f"{name}.yaml") for name in ("wrong", "empty", "many", "absent", "monthly", "patient")
    }
    result = backtest(*(option.format(**files) for option in options))
    assert said in str(result.exception)
    assert result.exception.exit_code == 2
