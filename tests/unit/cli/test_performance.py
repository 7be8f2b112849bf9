"""`mlops performance estimate` takes any two files, says what it can't see, and refuses what is no score or label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from include.cli.performance import performance
from include.errors import MlopsError, RefusedError, UnreadableInputError, UsageError
from include.monitoring.check import Check
from include.views.performance import Performance


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=count)
    chance = 1 / (1 + np.exp(-odds))
    return pd.DataFrame(
        {
            "who": [f"c{n // 2}" for n in range(count)],
            "income": odds + rng.normal(0, 0.5, count),
            "is_new": rng.random(count) < 0.3,
            "p": np.round(chance, 4),
            "bought": (rng.random(count) < chance).astype(int),
        }
    )


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path, index=False)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(performance, ["estimate", "--score", "p", "--label", "bought", *map(str, arguments)])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_file_is_estimated_and_held_against_its_labels(suffix, tmp_path):
    reference = write(tmp_path / f"then{suffix}", rows(1200, 1))
    current = write(tmp_path / f"now{suffix}", rows(800, 2))
    done = run("--reference", reference, "--current", current, "--entity", "who", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    auc = told["estimated"]["auc"]
    assert (told["reference_rows"], told["current_rows"]) == (1200, 800)
    assert auc["low"] <= told["realised"]["auc"] <= auc["high"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert told["corrected_by"] == ["income", "is_new"]
    assert told["back_test"]["within"] <= told["back_test"]["windows"] == 6
    assert "can't see concept drift" in told["caveat"]


def test_rows_of_one_in_the_current_file_make_an_estimate_less_sure(tmp_path):
    reference, now = write(tmp_path / "then.parquet", rows(1200, 1)), rows(800, 2)
    widths = []
    for name, whose in (("each", [f"c{n}" for n in range(800)]), ("few", [f"c{n // 20}" for n in range(800)])):
        current = write(tmp_path / f"{name}.parquet", now.sort_values("p").assign(who=whose))
        auc = json.loads(run("--reference", reference, "--current", current, "--entity", "who", "--json").output)
        widths.append(auc["estimated"]["auc"]["high"] - auc["estimated"]["auc"]["low"])
    assert widths[1] > 1.5 * widths[0]


def test_causes_of_a_fall_are_shown_beneath_it(monkeypatch):
    fallen = Check("performance", "auc", 0.7, 0.8, "breach", 0.68, 0.72, reason="predictions of May", causes=("a", "b"))
    found = Performance("churn", "2024-05-01", (fallen,), None, "too few")
    monkeypatch.setattr("include.cli.performance.open_deployment", lambda: None)
    monkeypatch.setattr("include.views.performance.read_performance", lambda *_, **__: found)
    done = CliRunner().invoke(performance, ["show", "--model", "churn", "--date", "2024-05-01"])
    assert done.output.splitlines()[:3] == [
        "auc breach   0.700 [0.680, 0.720]  predictions of May",
        "    - a",
        "    - b",
    ]


def test_a_file_without_labels_has_an_estimate_and_nothing_realised(tmp_path):
    reference = write(tmp_path / "then.parquet", rows(600, 1).assign(bought=lambda r: r["bought"].where(r.index > 50)))
    current = write(tmp_path / "now.parquet", rows(400, 2).drop(columns="bought"))
    done = run("--reference", reference, "--current", current, "--features", "income", "--json")
    told = json.loads(done.output)
    assert (told["realised"], told["reference_rows"], told["corrected_by"]) == (None, 549, ["income"])
    said = run("--reference", reference, "--current", current).output
    assert "corrected by income, is_new" in said
    assert "can't see concept drift" in said
    assert "realised" not in said


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"p": np.nan}, UsageError, "then.parquet: 400 of 400 scores are no numbers"),
        ({"p": "high"}, UsageError, "column 'p' is .*string; it should hold numbers"),
        (
            {"bought": "yes"},
            UsageError,
            "then.parquet: column 'bought' is .*string; a label is 0 or 1, or false or true",
        ),
        ({"bought": 2}, UsageError, "has the label 2; allowed are 0 and 1"),
        ({"bought": 0}, RefusedError, "of 400 rows of the reference 0 are positive"),
        (None, UnreadableInputError, "then.parquet has no column 'p'"),
        ({"who": None}, UsageError, "400 rows of then.parquet have no 'who'"),
        ({"who": [["c1"]] * 400}, UsageError, "column 'who' is list.*; an entity is a text or a number"),
        ({"who": "c1"}, RefusedError, "rows of 1 entities"),
    ],
    ids=["no-number", "text", "label-text", "label", "one-class", "no-column", "nobody", "list", "one-entity"],
)
def test_what_is_no_score_or_no_label_is_refused(changes, error: type[MlopsError], why, tmp_path):
    frame = rows(400, 1)
    reference = write(
        tmp_path / "then.parquet", frame.drop(columns="p") if changes is None else frame.assign(**changes)
    )
    done = run("--reference", reference, "--current", write(tmp_path / "now.parquet", rows(400, 2)), "--entity", "who")
    assert isinstance(done.exception, error)
    with pytest.raises(error, match=why):
        raise done.exception


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["--score", "bought"], "--score and --label are both 'bought'"),
        (["--features", "income,bought"], "'bought' is the label, and no feature"),
        (["--features", "who", "--entity", "who"], "'who' is the entity, and no feature"),
    ],
)
def test_a_column_is_taken_for_one_thing(columns, said, tmp_path):
    file = write(tmp_path / "then.parquet", rows(400, 1))
    done = run("--reference", file, "--current", file, *columns)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)


@pytest.mark.parametrize("scaled", ["then", "now"])
def test_scores_of_two_scales_are_not_compared(scaled, tmp_path):
    files = {
        name: write(tmp_path / f"{name}.parquet", rows(400, 1).assign(p=lambda r, by=by: r["p"] * by))
        for name, by in {"then": 1, "now": 1, scaled: 100}.items()
    }
    done = run("--reference", files["then"], "--current", files["now"])
    assert isinstance(done.exception, UsageError)
    assert "of the scores of now.parquet lie beyond those of then.parquet" in str(done.exception)


def test_scores_that_are_no_numbers_are_told_by_their_file(tmp_path):
    then, now = rows(400, 1), rows(400, 2)
    done = run(
        *("--reference", write(tmp_path / "then.parquet", then)),
        *("--current", write(tmp_path / "now.parquet", now.assign(p=np.inf))),
    )
    assert str(done.exception).startswith("now.parquet: 400 of 400 scores are no numbers")


@pytest.mark.parametrize("name", ["--score", "--label", "--entity"])
def test_a_column_without_a_name_is_none_of_the_files(tmp_path, name):
    given = {"--reference": write(tmp_path / "then.parquet", rows(400, 1)), "--current": tmp_path / "then.parquet"}
    done = run(*(word for option in {**given, name: ""}.items() for word in option))
    assert isinstance(done.exception, UnreadableInputError)
    assert "then.parquet has no column ''; it has " in str(done.exception)
