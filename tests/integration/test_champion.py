"""Candidates against the version in Production, through the real steps: what passes, by what asked, on which rows."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.errors import MlopsError, RefusedError
from include.governance.evidence import GateReport
from include.governance.lifecycle import Stage, holder, previous_production
from include.monitoring.decision import Decision
from include.question.matrix import feature_matrix
from include.refs import CandidateRef
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.gate_candidate import gate_candidate
from include.steps.gather_examples import gather_examples
from include.steps.import_source import import_file
from include.steps.load_version import load_version
from include.steps.move_model import describe_candidate, promote_version, roll_back, stage_or_refuse
from include.steps.record_decision import record_decision
from include.steps.train_model import train_model
from include.training.auc import auc
from include.training.split import split_by_time
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, OVERLAY, make_orders

pytestmark = pytest.mark.timeout(600)

LAST = partitions.shift(FIRST_DAY, 109)
# A night for each training.
FIRST, DRIFT, SCHEDULE, WORSE_DRIFT, WORSE_SCHEDULE, NARROW, FOURTH, FIFTH = (
    partitions.shift(LAST, days) for days in (-9, -7, -6, -5, -4, -3, -2, 0)
)
EARLIER = partitions.shift(FIRST, -21)
GATES = {"auc_min": 0.5, "latency_p99_ms_max": 1000, "champion_margin": 0.08}
GOOD = {**OVERLAY, "gates": GATES}
CRIPPLED = {
    "training": {**OVERLAY["training"], "hyperparameters": {"n_estimators": 1, "max_depth": 1, "min_child_weight": 100}}
}
OF_SERVICE = {"features": {"service": "recency_v1", "group": "customer_daily"}}
SERVICE = {
    "service": "recency_v1",
    "description": "How long ago a customer ordered.",
    "owner": "growth-analytics",
    "features": {"customer_daily": ["days_since_last_order", "avg_order_gap_days", "total_orders_90d"]},
}


def write_specs(folder: Path, changed: dict) -> Path:
    folder.mkdir()
    (folder / "churn.yaml").write_text(yaml.safe_dump({**GOOD, **changed}))
    (folder / "services").mkdir()
    (folder / "services" / "recency_v1.yaml").write_text(yaml.safe_dump(SERVICE))
    return folder


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("specs")
    again = {"training": {**OVERLAY["training"], "seed": 3}}
    told = {"good": {}, "crippled": CRIPPLED, "narrow": OF_SERVICE, "again": again}
    return {name: write_specs(root / name, changed) for name, changed in told.items()}


@pytest.fixture(scope="module")
def deployment(home: Path, specs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Version 1 is in Production, asked for by a person."""
    folder = tmp_path_factory.mktemp("champion")
    with deployed_beside(home, folder, "champion", specs=specs["good"]) as made:
        pq.write_table(make_orders(days=110, customers=500), folder / "history.parquet")
        import_file(
            made,
            folder / "history.parquet",
            source="orders",
            as_of=datetime.fromisoformat(partitions.shift(LAST, 1)).replace(tzinfo=UTC),
        )
        build_features(made, "customer_daily", start=FIRST_DAY, end=FIRST)
        claim_training(
            made, "churn", partition=FIRST, request=TrainingRequest("first", "asked for by ada", by_hand=True)
        )
        candidate = trained(made, FIRST)
        stage_or_refuse(made, candidate)
        promote_version(made, "churn", version=candidate.version, actor="ada", reason="first")
        yield made


def trained(deployment: Deployment, as_of: str) -> CandidateRef:
    return train_model(deployment, build_training_set(deployment, "churn", as_of=as_of))


def asked_for(deployment: Deployment, as_of: str, trigger: str) -> CandidateRef:
    """A night has come, its decision has asked, a training has claimed it, and a version came of it."""
    known = max(deployment.state.publications("features/customer_daily"))
    build_features(deployment, "customer_daily", start=partitions.shift(known, 1), end=as_of)
    decision = Decision("retrain", trigger, (trigger,))
    row = record_decision(deployment, load_model("churn"), decision, partition=as_of, run_id=f"night {as_of}")
    assert row.acted
    claim_training(deployment, "churn", partition=as_of, request=TrainingRequest(f"training {as_of}"))
    return trained(deployment, as_of)


def report_of(deployment: Deployment, candidate: CandidateRef) -> GateReport:
    return next(each for each in gate_candidate(deployment, candidate).gates if each.gate == "champion")


def stage(deployment: Deployment, version: int) -> str:
    return next(m.to_stage for m in reversed(deployment.state.ledger("churn")) if m.version == version)


@contextmanager
def altered(deployment: Deployment, version: int) -> Iterator[None]:
    """Have a version's model.onnx be another file, wherever it is kept."""
    sha256 = deployment.state.registration("churn", version).files["model.onnx"]
    found = deployment.settings.home.rglob("model.onnx")
    kept = [path for path in found if hashlib.sha256(path.read_bytes()).hexdigest() == sha256]
    saved = [path.read_bytes() for path in kept]
    for path in kept:
        path.write_bytes(b"another")
    try:
        yield
    finally:
        for path, content in zip(kept, saved, strict=True):
            path.write_bytes(content)


def test_the_first_version_is_compared_with_nothing(deployment):
    (staged, promoted) = deployment.state.ledger("churn")
    report = next(each for each in staged.evidence.gates if each.gate == "champion")
    assert (report.verdict, staged.evidence.champion) == ("not_applicable", None)
    assert promoted.to_stage == "Production"


def test_an_equal_one_is_staged_where_drift_asked(deployment):
    candidate = asked_for(deployment, DRIFT, "drift")
    stage_or_refuse(deployment, candidate)
    move = deployment.state.ledger("churn")[-1]
    report = next(each for each in move.evidence.gates if each.gate == "champion")
    assert (move.to_stage, report.verdict, report.threshold, move.evidence.champion) == ("Staging", "pass", -0.08, 1)
    assert -0.08 < report.value < 0
    assert "version 1 in Production has 0." in report.reason
    assert "drift asked, so that it must not be worse by 0.08" in report.reason
    assert report.reason in move.reason
    assert report.reason in describe_candidate(deployment, "churn", version=candidate.version)


def test_an_equal_one_is_refused_where_the_schedule_asked(deployment):
    candidate = asked_for(deployment, SCHEDULE, "schedule")
    with pytest.raises(RefusedError, match=r"champion fail .*the schedule asked, so that it must be better"):
        stage_or_refuse(deployment, candidate)
    assert stage(deployment, candidate.version) == "Archived"


@pytest.mark.parametrize(
    ("as_of", "trigger"),
    [(WORSE_DRIFT, "drift"), pytest.param(WORSE_SCHEDULE, "schedule", marks=pytest.mark.thorough)],
)
def test_a_worse_one_is_refused_whoever_asked_though_it_passes_every_other_gate(
    deployment, specs, monkeypatch, as_of, trigger
):
    monkeypatch.setenv("MLOPS_SPECS", str(specs["crippled"]))
    candidate = asked_for(deployment, as_of, trigger)
    with pytest.raises(RefusedError, match=r"gates not passed: champion fail .*, and it is worse\)$"):
        stage_or_refuse(deployment, candidate)
    assert stage(deployment, candidate.version) == "Archived"


def test_a_champion_on_another_service_is_scored_on_its_own_features_of_then(deployment, specs, monkeypatch):
    ordinary = gather_examples(deployment, load_model("churn"), as_of=NARROW)
    monkeypatch.setenv("MLOPS_SPECS", str(specs["narrow"]))
    candidate = asked_for(deployment, NARROW, "drift")
    manifest = load_version(deployment, "churn", candidate.version).manifest
    assert manifest.feature_service == "recency_v1"
    report, champion = report_of(deployment, candidate), load_version(deployment, "churn", 1)
    assert champion.signature.feature_service == "churn_v1"
    # The same examples with all the features of the champion's service, read for a training set of its own.
    spec, rows = load_model("churn"), ordinary.examples
    split = split_by_time(rows["event_timestamp"].to_numpy(), test_days=14, horizon_days=14)
    scores = champion.model.predict(feature_matrix(rows, champion.signature.feature_names)[split.test])
    expected = auc(rows["label"].to_numpy()[split.test], scores)
    assert f"version 1 in Production has {expected:.4f} on the same {int(split.test.sum())} rows;" in report.reason
    assert spec.features.service == "recency_v1"


def test_rows_of_the_time_that_the_champion_was_fitted_on_are_left_out(deployment):
    """A person trains as of a day whose test lies before the champion's."""
    claim = TrainingRequest("looking back", "asked for by ada", by_hand=True)
    claim_training(deployment, "churn", partition=EARLIER, request=claim)
    candidate = trained(deployment, EARLIER)
    report = report_of(deployment, candidate)
    _, examples = read_training_set(
        deployment.lake, "churn", load_version(deployment, "churn", candidate.version).manifest.set_id
    )
    split = split_by_time(examples["event_timestamp"].to_numpy(), test_days=14, horizon_days=14)
    assert report.verdict == "unknown"
    assert f"without the {int(split.test.sum())} rows of the time of labels that it was fitted on: " in report.reason
    with pytest.raises(RefusedError, match="champion unknown"):
        stage_or_refuse(deployment, candidate)


def test_a_champion_whose_files_were_altered_is_unknown_and_asked_about_again_once_they_are_back(deployment):
    candidate = asked_for(deployment, FOURTH, "drift")
    refused = r"champion unknown .*can't be compared with version 1 in Production"
    with altered(deployment, 1), pytest.raises(RefusedError, match=refused):
        stage_or_refuse(deployment, candidate)
    assert stage(deployment, candidate.version) == "Archived"
    stage_or_refuse(deployment, candidate)
    assert stage(deployment, candidate.version) == "Staging"


def test_a_promotion_is_refused_once_another_version_is_in_production_and_is_asked_about_anew(deployment):
    """Version A takes version 1's place, a newer one is compared with A, and A is rolled back."""
    waiting = next(m.version for m in reversed(deployment.state.ledger("churn")) if m.to_stage == "Staging")
    promote_version(deployment, "churn", version=waiting, actor="ada", reason="drift")
    newer = asked_for(deployment, FIFTH, "drift").version
    stage_or_refuse(deployment, CandidateRef("churn", newer, "run", FIFTH))
    roll_back(deployment, "churn", leaving=waiting, actor="ada", reason="complaints")
    told = f"was compared with version {waiting}, and version 1 is in Production now"
    assert told in describe_candidate(deployment, "churn", version=newer)

    with pytest.raises(RefusedError, match=f"{told}: .*approve it again"):
        promote_version(deployment, "churn", version=newer, actor="ada", reason="better")

    renewed = deployment.state.ledger("churn")[-1]
    assert (renewed.from_stage, renewed.to_stage, renewed.evidence.champion) == ("Staging", "Staging", 1)
    assert told in renewed.reason
    assert told not in describe_candidate(deployment, "churn", version=newer)
    promote_version(deployment, "churn", version=newer, actor="ada", reason="better")
    assert stage(deployment, newer) == "Production"


def test_a_version_whose_files_were_altered_comes_into_production_by_no_way(deployment, specs, monkeypatch):
    """No night could be scored with it."""
    monkeypatch.setenv("MLOPS_SPECS", str(specs["again"]))
    candidate = trained(deployment, FIFTH)
    stage_or_refuse(deployment, candidate)
    moves = deployment.state.ledger("churn")
    present, previous = holder(moves, Stage.PRODUCTION), previous_production(moves)
    told = "model.onnx has sha256 .*, it was registered with"
    with altered(deployment, candidate.version), pytest.raises(MlopsError, match=told):
        promote_version(deployment, "churn", version=candidate.version, actor="ada", reason="better")
    with altered(deployment, previous), pytest.raises(MlopsError, match=told):
        roll_back(deployment, "churn", leaving=present, actor="ada", reason="complaints")
    assert deployment.state.ledger("churn") == moves
    promote_version(deployment, "churn", version=candidate.version, actor="ada", reason="better")
    assert roll_back(deployment, "churn", leaving=candidate.version, actor="ada", reason="complaints") == present


def test_the_ledger_is_whole_and_its_cache_makes_no_difference(deployment):
    from include.steps.verify_registry import verify_registry

    shutil.rmtree(deployment.settings.home / "cache", ignore_errors=True)
    assert verify_registry(deployment, "churn").findings == ()
