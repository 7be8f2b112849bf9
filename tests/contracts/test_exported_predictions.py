"""A night's scores as plain parquet, on each of the lake's file systems: whole where it says so, and repeatable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as fs
import pytest
from click.testing import CliRunner

from include.adapters.arrow_files import open_location
from include.adapters.files import marked_folder
from include.adapters.lake import portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.cli import predictions
from include.errors import UsageError
from include.governance.lifecycle import Stage
from include.settings import Settings
from include.steps.export_predictions import export_predictions
from include.steps.score_batch import score_batch
from tests.contracts.conftest import empty_lakes, on_each_lake
from tests.scoring_lake import BEFORE, NIGHT, feature_rows, publish, scoring_lake

MODEL, GROUP = "churn", "customer_daily"
CUSTOMERS = [(f"c{n:03}",) for n in range(60)]


lake_settings = empty_lakes(daily=["file"])


@pytest.fixture
def deployment(lake_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a deployment with a night that is scored, of more rows than a file of its export has."""
    made = scoring_lake(tmp_path, {(MODEL, 1): "churn_v1", (MODEL, 2): "churn_v1"})
    made.settings, made.lake = lake_settings, LakeAdapter.from_settings(lake_settings)
    made.state.move(MODEL, 1, Stage.PRODUCTION)
    made.state.move(MODEL, 2, Stage.STAGING)
    publish(made, GROUP, feature_rows(GROUP, CUSTOMERS))
    score_batch(made, MODEL, partition=NIGHT)
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 20)
    return made


@pytest.fixture
def out(deployment: Any) -> str:
    return f"{deployment.lake.uri.rpartition('/')[0]}/exports"


def place(deployment: Any, out: str, night: str = NIGHT) -> tuple[fs.FileSystem, str]:
    return open_location(f"{out}/predictions/{MODEL}/{night}", deployment.settings.s3_endpoint_url)


def listed(deployment: Any, out: str) -> dict[str, Any]:
    filesystem, folder = place(deployment, out)
    entries = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    return {entry.base_name: entry.mtime_ns for entry in entries}


def read(deployment: Any, out: str, night: str = NIGHT) -> pa.Table:
    """Read the folder as those do who know nothing of this project."""
    filesystem, folder = place(deployment, out, night)
    return pads.dataset(folder, filesystem=filesystem, format="parquet").to_table()


def test_the_folder_has_the_rows_of_all_roles_and_says_that_it_is_whole(deployment: Any, out: str) -> None:
    score_batch(deployment, MODEL, partition=NIGHT, shadow=2)

    exported = export_predictions(deployment, MODEL, partition=NIGHT, out=out)

    scores = deployment.lake.read(f"predictions/{MODEL}", start=NIGHT, end=NIGHT)
    assert read(deployment, out).equals(scores.select(read(deployment, out).column_names))
    assert set(scores["role"].to_pylist()) == {"champion", "challenger"}
    assert exported.rows == scores.num_rows > 40
    assert exported.uri == f"{out}/predictions/{MODEL}/{NIGHT}"
    names = listed(deployment, out)
    assert "_SUCCESS" in names
    assert len(names) > 2


def test_the_same_scores_again_leave_the_folder_and_others_take_its_place(deployment: Any, out: str) -> None:
    export_predictions(deployment, MODEL, partition=NIGHT, out=out)
    before = listed(deployment, out)
    export_predictions(deployment, MODEL, partition=NIGHT, out=out)
    assert listed(deployment, out) == before

    publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS[:30], seed=5))
    rows = score_batch(deployment, MODEL, partition=NIGHT).rows
    export_predictions(deployment, MODEL, partition=NIGHT, out=out)

    assert read(deployment, out).num_rows == rows
    assert set(listed(deployment, out)) & set(before) == {"_SUCCESS"}


@on_each_lake
def test_a_folder_that_is_half_written_does_not_say_that_it_is_whole(
    deployment: Any, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_predictions(deployment, MODEL, partition=NIGHT, out=out)
    publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, seed=5))
    score_batch(deployment, MODEL, partition=NIGHT)
    real = marked_folder.fs.copy_files

    def broken(*given: Any, **named: Any) -> None:
        real(*given, **named)
        raise OSError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(marked_folder.fs, "copy_files", broken)
        with pytest.raises(UsageError, match="can't be written: no room; choose another --out"):
            export_predictions(deployment, MODEL, partition=NIGHT, out=out)
    assert "_SUCCESS" not in listed(deployment, out)

    export_predictions(deployment, MODEL, partition=NIGHT, out=out)

    scores = deployment.lake.read(f"predictions/{MODEL}", start=NIGHT, end=NIGHT)
    assert read(deployment, out).equals(scores.select(read(deployment, out).column_names))
    assert "_SUCCESS" in listed(deployment, out)


def test_a_night_without_rows_is_a_file_with_none(deployment: Any, out: str) -> None:
    publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, BEFORE).slice(0, 0), BEFORE)
    deployment.state.move(MODEL, 1, Stage.PRODUCTION, at="2024-01-01")
    score_batch(deployment, MODEL, partition=BEFORE)
    assert export_predictions(deployment, MODEL, partition=BEFORE, out=out).rows == 0
    assert "score" in read(deployment, out, BEFORE).column_names


def test_a_night_that_was_not_scored_is_refused_with_the_command_that_scores_it(deployment: Any, out: str) -> None:
    with pytest.raises(UsageError, match=rf"no published partition {BEFORE}; score it first \(mlops score --model"):
        export_predictions(deployment, MODEL, partition=BEFORE, out=out)
    assert listed(deployment, out) == {}


def test_the_command_takes_a_folder_or_an_address(
    deployment: Any, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "open_deployment", lambda: deployment)
    for given, wanted in ((out, out), (str(tmp_path / "a b"), (tmp_path / "a b").as_uri())):
        asked = ["--model", MODEL, "--date", NIGHT, "--out", given, "--json"]
        told = json.loads(CliRunner().invoke(predictions.export, asked, catch_exceptions=False).stdout)
        assert told["uri"] == f"{wanted}/predictions/{MODEL}/{NIGHT}"
        assert read(deployment, wanted).num_rows == told["rows"]
