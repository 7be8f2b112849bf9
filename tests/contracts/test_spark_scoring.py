"""Spark, and chunks, score a night to the rows that the native path gives, on each of the lake's file systems."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.lake import portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.errors import RefusedError
from include.governance.lifecycle import Stage
from include.settings import Settings
from include.steps import commit_scores as commit_module
from include.steps import score_on_spark
from include.steps.score_batch import score_batch
from include.steps.score_chunks import commit_chunks, plan_chunks, remove_staged, score_chunk
from tests.contracts.conftest import LAKES
from tests.everyday import members
from tests.real_data import require
from tests.scoring_lake import NIGHT, feature_rows, publish, scoring_lake, write_scoring

OVERLAYS = Path(__file__).parents[1] / "overlays"
SERVICES = {("winback", 1): "customer_features", ("winback", 2): "churn_v1", ("next_shelf", 1): "shelf_v1"}
CUSTOMERS = [(f"c{n:03}",) for n in range(400)]


@pytest.fixture(scope="module", autouse=True)
def spark() -> None:
    if not shutil.which("java"):
        require("there is no Java on PATH (openjdk-17-jre-headless in packages.txt)")
    if find_spec("pyspark") is None:
        require("pyspark is not installed (uv sync --group spark)")


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of both models' specs."""
    folder = tmp_path / "specs"
    for name in ("more_models", "rankings"):
        shutil.copytree(OVERLAYS / name, folder, dirs_exist_ok=True)
    monkeypatch.setenv("MLOPS_SPECS", str(folder))
    return folder


@pytest.fixture
def deployment(lake_settings: Settings, specs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a lake in which a night of two models is several tasks, each of several slices."""
    monkeypatch.setattr(score_on_spark, "ROWS_AT_ONCE", 150)
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 130)
    monkeypatch.setattr(commit_module, "ROWS_OF_A_SLICE", 20)
    made = scoring_lake(tmp_path, SERVICES)
    made.settings, made.lake = replace(lake_settings, specs_overlay=specs), LakeAdapter.from_settings(lake_settings)
    for model_id, version in SERVICES:
        made.state.move(model_id, version, Stage.PRODUCTION if version == 1 else Stage.STAGING)
    publish(made, "customer_daily", feature_rows("customer_daily", CUSTOMERS))
    known = CUSTOMERS[:300]
    publish(made, "churn_scores", feature_rows("churn_scores", known, churn_risk_score=np.linspace(0, 1, len(known))))
    sizes = np.random.default_rng(0).integers(1, 12, 80)
    pairs = [(f"c{n:03}", f"k{item:02}") for n, size in enumerate(sizes) for item in range(size)]
    publish(made, "shelf_daily", feature_rows("shelf_daily", pairs, buyers_30d=[20] * len(pairs)))
    return made


def scores(deployment: Any, model_id: str) -> pa.Table:
    return deployment.lake.read(f"predictions/{model_id}", start=NIGHT, end=NIGHT)


@pytest.mark.parametrize(
    ("model_id", "lake_settings"),
    [
        ("winback", "file"),
        ("next_shelf", "s3"),
        pytest.param("winback", "s3", marks=pytest.mark.thorough),
        pytest.param("next_shelf", "file", marks=pytest.mark.thorough),
    ],
    indirect=["lake_settings"],
)
def test_spark_and_chunks_and_the_native_path_give_one_night_the_same_rows_and_account(
    deployment: Any, specs: Path, model_id: str
) -> None:
    found = {}
    for compute in ("local", "spark"):
        write_scoring(specs, model_id, compute=compute, challenger=model_id == "winback")
        ref = score_batch(deployment, model_id, partition=NIGHT)
        found[compute] = ref, scores(deployment, model_id), read_scoring_manifests(deployment.lake, model_id, NIGHT)
    write_scoring(specs, model_id, compute="local", chunk_rows=1_000)
    [chunk] = plan_chunks(deployment, model_id, partition=NIGHT)
    ref = commit_chunks(deployment, chunk, [score_chunk(deployment, chunk)])
    found["chunks"] = ref, scores(deployment, model_id), read_scoring_manifests(deployment.lake, model_id, NIGHT)
    remove_staged(deployment, chunk)
    with pytest.raises(RefusedError, match="does not stand any more"):
        score_chunk(deployment, chunk)

    # The others commit nothing: their rows are those of the first, to the bit.
    assert found["chunks"] == found["spark"] == found["local"]
    assert found["spark"][0].version == 0
    assert found["spark"][1].num_rows > 150
    deployment.lake.replace(f"predictions/{model_id}", found["local"][1].slice(0, 0), keys=[NIGHT])
    score_batch(deployment, model_id, partition=NIGHT)
    assert scores(deployment, model_id).equals(found["local"][1])


@pytest.mark.parametrize("lake_settings", members(LAKES, daily=["file"]), indirect=True)
def test_a_challenger_that_fails_on_a_worker_is_told_of_and_leaves_the_champion(
    deployment: Any, specs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scoring(specs, "winback", compute="spark", challenger=True)
    real = deployment.model_registry.load

    def load(name: str, version: int, **how: Any) -> Any:
        loaded = real(name, version, **how)
        if version == 2:
            loaded.model._native = b"no model"
        return loaded

    monkeypatch.setattr(deployment.model_registry, "load", load)
    scored = score_batch(deployment, "winback", partition=NIGHT)
    assert scored.rows == scores(deployment, "winback").num_rows > 100
    assert scored.challenger_failure is not None
    assert "the native model can't be read by XGBoost" in scored.challenger_failure
