"""Every row of a night is told of once: scored, skipped and why, or not asked about."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from click.testing import CliRunner

from include import partitions
from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.cli import pipeline
from include.governance.lifecycle import Stage
from include.scoring.manifest import NightAccount, ScoringManifest
from include.scoring.model import ScoringModel
from include.specs.models import load_model
from include.steps.find_stale_scores import find_stale_scores
from include.steps.read_night import read_partition
from include.steps.score_batch import score_batch
from tests.scoring_lake import BEFORE, NIGHT, feature_rows, publish, scoring_lake

SPECS = Path(__file__).parents[2] / "overlays" / "more_models"
MODEL, GROUP, OTHER = "winback", "customer_daily", "churn_scores"
CUSTOMERS = [(f"c{n:02}",) for n in range(40)]
# Asked about: whose last order is 7 to 30 days old.
OUTSIDE, CORRECTED, RETRACTED, STALE, MISSING, LONG_AGO = (
    {("c00",), ("c01",), ("c02",)}, {("c05",), ("c06",)}, {("c10",)}, {("c20",), ("c21",)}, {("c30",)}, {("c31",)},
)  # fmt: skip


def ages(entities: list[tuple[str]]) -> list[float]:
    return [50.0 if entity in OUTSIDE else 10.0 for entity in entities]


@pytest.fixture(params=["score", "skip"])
def incomplete(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Give what the spec says of entities that another group does not know."""
    values = yaml.safe_load((SPECS / f"{MODEL}.yaml").read_text())
    values["scoring"]["incomplete"] = request.param
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / f"{MODEL}.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setenv("MLOPS_SPECS", str(specs))
    return request.param


@pytest.fixture
def deployment(incomplete: str, tmp_path: Path) -> Any:
    made = scoring_lake(tmp_path, {(MODEL, 1): "customer_features"})
    made.state.move(MODEL, 1, Stage.PRODUCTION)
    first = feature_rows(GROUP, CUSTOMERS, days_since_last_order=ages(CUSTOMERS))
    later = timedelta(days=2)
    again = feature_rows(GROUP, sorted(CORRECTED), seed=1, known_after=later, days_since_last_order=[10.0, 10.0])
    nothing = feature_rows(GROUP, sorted(RETRACTED), known_after=later)
    for name in nothing.column_names[3:-1]:
        place = nothing.column_names.index(name)
        nothing = nothing.set_column(place, name, pa.nulls(1, nothing.schema.field(name).type))
    names = [(name, "ascending") for name in ("customer_id", "event_timestamp", "created_timestamp")]
    publish(made, GROUP, pa.concat_tables([first, again, nothing]).sort_by(names))
    publish_scores(made, NIGHT, [each for each in CUSTOMERS if each not in STALE | MISSING | LONG_AGO])
    # A week is how long a score serves.
    publish_scores(made, partitions.shift(NIGHT, -9), sorted(STALE))
    publish_scores(made, partitions.shift(NIGHT, -30), sorted(LONG_AGO))
    return made


def publish_scores(deployment: Any, night: str, entities: list[tuple[str]]) -> None:
    rows = feature_rows(OTHER, entities, night, churn_risk_score=[0.5] * len(entities))
    publish(deployment, OTHER, rows, night)


def scores(deployment: Any) -> pa.Table:
    return deployment.lake.read(f"predictions/{MODEL}", start=NIGHT, end=NIGHT)


def test_the_account_tells_of_every_row_of_the_partition_once(deployment: Any, incomplete: str) -> None:
    scored = score_batch(deployment, MODEL, partition=NIGHT)

    told = {f"missing: {OTHER}": 2, f"stale: {OTHER}": 2}
    asked = len(CUSTOMERS) - len(OUTSIDE) - len(RETRACTED)
    skips = incomplete == "skip"
    [manifest] = read_scoring_manifests(deployment.lake, MODEL, NIGHT)
    assert manifest.account == NightAccount(
        rows=43, superseded=3, retracted=1, outside_population=3, scored=asked - 4 * skips,
        skipped=told if skips else {}, incomplete={} if skips else told,
    )  # fmt: skip
    assert manifest.account.balances
    assert scored.rows == manifest.account.scored == scores(deployment).num_rows
    assert (scored.outside_population, scored.skipped) == (3, 4 * skips)
    assert deployment.state.publications(f"predictions/{MODEL}") == {NIGHT: scored.rows}


def test_whom_another_group_does_not_know_is_scored_with_missing_values_or_not_at_all(
    deployment: Any, incomplete: str
) -> None:
    score_batch(deployment, MODEL, partition=NIGHT)

    lacking = {key for (key,) in STALE | MISSING | LONG_AGO}
    rows = scores(deployment)
    if incomplete == "skip":
        assert not lacking & set(rows["customer_id"].to_pylist())
        return
    unknown = rows.filter(pc.is_null(rows[f"{OTHER}_created_timestamp"]))
    assert set(unknown["customer_id"].to_pylist()) == lacking
    assert unknown["score"].null_count == 0


def test_who_was_skipped_makes_no_score_stale(deployment: Any, incomplete: str) -> None:
    score_batch(deployment, MODEL, partition=NIGHT)
    assert find_stale_scores(deployment, load_model(MODEL), until=NIGHT) == ()
    publish_scores(deployment, NIGHT, [each for each in CUSTOMERS if each not in LONG_AGO])
    [stale] = find_stale_scores(deployment, load_model(MODEL), until=NIGHT)
    assert stale.scores == 3


def test_the_engine_of_the_version_scores_the_night_and_the_manifest_says_so(deployment, monkeypatch) -> None:
    load, predict, asked = deployment.model_registry.load, ScoringModel.predict, set()

    def predicting(model: ScoringModel, matrix: Any, *, engine: Any) -> Any:
        asked.add(engine)
        return predict(model, matrix)

    monkeypatch.setattr(ScoringModel, "predict", predicting)
    monkeypatch.setattr(deployment.model_registry, "load", lambda *v, **how: replace(load(*v, **how), engine="onnx"))
    score_batch(deployment, MODEL, partition=NIGHT)
    assert asked == {"onnx"}
    assert [each.engine for each in read_scoring_manifests(deployment.lake, MODEL, NIGHT)] == ["onnx"]


def test_the_manifest_says_what_made_the_scores_and_from_what(deployment: Any, tmp_path: Path) -> None:
    score_batch(deployment, MODEL, partition=NIGHT)

    path = tmp_path / "lake" / "scoring_manifests" / MODEL / "champion" / f"{NIGHT}.json"
    manifest = ScoringManifest.from_json(path.read_text())
    assert (manifest.model_version, manifest.feature_service, manifest.engine) == (1, "customer_features", "native")
    assert manifest.sources == {f"features/{GROUP}": 0, f"features/{OTHER}": 2}
    assert manifest.version == deployment.lake.version(f"predictions/{MODEL}") == 0
    read = read_partition(deployment, load_model(MODEL), NIGHT, service="customer_features")
    assert read.sources == manifest.sources
    assert manifest.decided == pc.sum(scores(deployment)["decision"]).as_py()


def test_the_command_tells_the_account_as_one_object(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "open_deployment", lambda: deployment)
    asked = ["--model", MODEL, "--date", NIGHT]

    ref = json.loads(CliRunner().invoke(pipeline.score, asked, catch_exceptions=False).stdout)
    told = json.loads(CliRunner().invoke(pipeline.score, [*asked, "--json"], catch_exceptions=False).stdout)

    [manifest] = read_scoring_manifests(deployment.lake, MODEL, NIGHT)
    assert told == {"champion": json.loads(manifest.to_json())}
    assert (ref["rows"], ref["outside_population"]) == (told["champion"]["account"]["scored"], 3)


def test_a_published_night_without_rows_has_an_account_of_none(deployment: Any) -> None:
    empty = feature_rows(GROUP, CUSTOMERS, BEFORE).slice(0, 0)
    publish(deployment, GROUP, empty, BEFORE)
    publish_scores(deployment, BEFORE, [])
    deployment.state.move(MODEL, 1, Stage.PRODUCTION, at=partitions.shift(BEFORE, -1))

    scored = score_batch(deployment, MODEL, partition=BEFORE)

    [manifest] = read_scoring_manifests(deployment.lake, MODEL, BEFORE)
    assert (scored.rows, manifest.account) == (0, NightAccount())
