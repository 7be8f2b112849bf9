"""What no feature shows is found once its labels are known: in the simulated shop customers leave who always stayed.

From one day on a share of all who order leaves for good, the loyal too. Before they are missed they look as they always
did, and the model's order of them means less. A horizon of two weeks stands for the two months of the shipped model.
What came true of the nights before is within what was estimated of them. CHURN_DRIFT=full plays five seeds, each beside
the same shop without that; else one shop is played, of which fewer nights are looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from scipy.stats import ks_2samp

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.adapters.registry.model_files import LoadedModel
from include.governance.lifecycle import Stage
from include.monitoring.check import Check
from include.monitoring.estimated_performance import EstimatedAuc, ScoredRows, estimate_auc, expected_auc
from include.question.labels import LABEL, snapshot_days
from include.question.matrix import feature_matrix
from include.scoring.model import ScoringModel
from include.settings import Settings
from include.simulation.incidents import parse_incident
from include.simulation.world import World
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.generate_orders import generate_orders
from include.steps.import_source import import_file
from include.steps.measure_performance import measure_performance
from include.steps.read_outcomes import read_labelled
from include.steps.read_tested import read_tested
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.training.artifacts import Signature
from include.training.clusters import number_entities
from include.training.fitting import to_bytes
from include.training.task_registry import find_task
from include.training.version import fit_version
from include.views.performance import Performance, read_performance
from tests.scoring_lake import Ledger

pytestmark = pytest.mark.timeout(1800)

FULL = os.environ.get("CHURN_DRIFT") == "full"
SEEDS = (11, 12, 13, 14, 15) if FULL else (11,)
HORIZON = 14
OVERLAY = {
    "label": {"horizon_days": HORIZON},
    "training": {"window_days": 84, "test_days": 28, "bootstrap_samples": 100},
    "monitoring": {"min_rows": 100},
}
START, TRAINED = "2025-06-01", "2026-02-28"
DRIFTED = partitions.shift(TRAINED, 10)
AFTER = range(-9, 14) if FULL else range(-3, 4)
SCORED = [partitions.shift(DRIFTED, days) for days in AFTER]
MEASURED = [partitions.shift(night, HORIZON) for night in SCORED]


@dataclass(frozen=True)
class Played:
    """One shop, each of whose nights was scored, and later measured.

    Attributes
    ----------
    checks : mapping of str to mapping of str to Check
        By the night that measured, by name.
    estimates : mapping of str to (EstimatedAuc, float)
        By the night that was scored: what was estimated of it, and what came true.
    scores : mapping of str to ndarray
    told : Performance
        What `mlops performance show` reads of the last night that was scored.
    """

    checks: Mapping[str, Mapping[str, Check]]
    estimates: Mapping[str, tuple[EstimatedAuc, float]]
    scores: Mapping[str, np.ndarray]
    told: Performance


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Played, Played | None]]:
    """Give of each seed a shop of which customers leave, and beside it the same shop as it always was."""
    folder = tmp_path_factory.mktemp("shops")
    (folder / "churn.yaml").write_text(yaml.safe_dump(OVERLAY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder))
        return {
            seed: (
                play(folder / f"left-{seed}", seed, f"churn_drift@{DRIFTED}*0.4"),
                play(folder / f"as-ever-{seed}", seed) if FULL else None,
            )
            for seed in SEEDS
        }


@pytest.fixture(params=SEEDS, ids=lambda seed: f"seed-{seed}")
def left(request: pytest.FixtureRequest, shops: dict[int, tuple[Played, Played | None]]) -> Played:
    return shops[request.param][0]


def play(folder: Path, seed: int, *incidents: str) -> Played:
    """Run the loop's own steps from orders to what a night's scores were worth."""
    known = {"MLOPS_HOME": str(folder), "MLOPS_CODE_COMMIT": "c0ffee", "MLOPS_SPECS": os.environ["MLOPS_SPECS"]}
    deployment: Any = Deployment(Settings.from_env(known))
    vars(deployment)["state"] = Ledger()
    told = [parse_incident(each) for each in incidents]
    shop = generate_orders(
        folder / "shop", seed=seed, start=START, end=MEASURED[-1], nights=0, world=World(), incidents=told
    )
    import_file(deployment, shop.history, source="orders", as_of=partitions.end_of(MEASURED[-1]))
    spec = load_model("churn")
    snapshots = snapshot_days(TRAINED, spec.label, spec.training)
    for days in (snapshots, SCORED):
        build_features(deployment, spec.features.group, start=days[0], end=days[-1])
    loaded, reference = train(deployment, spec)
    vars(deployment)["model_registry"] = SimpleNamespace(load=lambda *_, **__: loaded)
    deployment.state.record_registration("churn", 1, run_id="r", files={})
    deployment.state.move("churn", 1, Stage.PRODUCTION, at=TRAINED)
    for night in SCORED:
        score_batch(deployment, "churn", partition=night)
    checks = {}
    for night in MEASURED:
        record_outcomes(deployment, "churn", partition=night)
        tested = read_tested(deployment, spec, loaded) if night == MEASURED[-1] else None
        checks[night] = {check.name: check for check in measure_performance(deployment, spec, night, tested=tested)}
    rows = read_labelled(deployment, spec, SCORED, partition=MEASURED[-1])
    nights = {night: rows.filter(pc.equal(rows["dt"], partitions.parse(night))) for night in SCORED}
    return Played(
        checks,
        {night: estimated(reference, own) for night, own in nights.items()},
        {night: own["score"].to_numpy() for night, own in nights.items()},
        read_performance(deployment, "churn", partition=SCORED[-1]),
    )


def train(deployment: Any, spec: Any) -> tuple[LoadedModel, ScoredRows]:
    """Return a version, and the rows of its test."""
    built = build_training_set(deployment, "churn", as_of=TRAINED)
    manifest, examples = read_training_set(deployment.lake, "churn", built.set_id)
    fitted = fit_version(spec, manifest.feature_names, examples)
    names = tuple(manifest.feature_names)
    signature = Signature(spec.features.service, spec.entity.keys, tuple((n, "float64") for n in names), spec.task)
    model = ScoringModel(names, native=to_bytes(fitted.booster), onnx=b"")
    tested = examples.filter(pa.array(fitted.split.test))
    scores = model.predict(feature_matrix(tested, names))
    unread: Any = None
    metrics = find_task(spec).judge(tested, scores).evaluation.numbers()
    reference = ScoredRows(
        scores.astype(np.float64),
        np.empty((len(scores), 0)),
        tested[LABEL].to_numpy().astype(np.float64),
        number_entities(tested["customer_id"].to_pylist()),
    )
    return LoadedModel(model, signature, unread, metrics, manifest), reference


def estimated(reference: ScoredRows, night: pa.Table) -> tuple[EstimatedAuc, float]:
    scores = night["score"].to_numpy().astype(np.float64)
    found = estimate_auc(reference, ScoredRows(scores, np.empty((len(scores), 0))), samples=200 if FULL else 100)
    return found, expected_auc(scores, night[LABEL].to_numpy().astype(np.float64))


def breaches(shop: Played, name: str) -> list[int]:
    """Return how many days after the drift a check was a breach."""
    return [
        partitions.days_between(DRIFTED, night)
        for night, checks in shop.checks.items()
        if checks[name].verdict == "breach"
    ]


def test_it_is_found_when_its_labels_are_known_and_on_every_night_from_then(left):
    last = partitions.days_between(DRIFTED, MEASURED[-1])
    for name, days in (("auc", 2), *((("auc_7_nights", 5),) if FULL else ())):
        found = breaches(left, name)
        assert HORIZON <= found[0] <= HORIZON + days, name
        assert found == list(range(found[0], last + 1)), name
    fallen = [check for check in left.checks[MEASURED[-1]].values() if check.causes]
    assert [check.name for check in fallen] == ["auc_28_nights"]
    kind, part, *others = fallen[0].causes
    assert re.search(r"what becomes of those with the same features (has changed; by their features|too$)", kind), kind
    # The loyal leave too, who order often and spend much.
    told = re.match(r"total_(?:orders|spend)_\d+d>=\d+: AUC (0\.\d+) where the test had (0\.\d+)", part)
    assert told is not None, part
    assert float(told[1]) < float(told[2]) - 0.2
    # Who has left orders no more: in some shops it shows that others are scored, which brings a little of the fall.
    assert [other.partition(":")[0] for other in others] in ([], ["days_since_last_order"])
    reason = left.checks[MEASURED[-1]]["auc"].reason
    assert "of the version's test, where 5% is allowed, and not by chance" in reason


if FULL:  # The shop without the drift is not played else.

    @pytest.mark.parametrize("seed", SEEDS)
    def test_nothing_is_found_without_it(shops, seed):
        _, as_ever = shops[seed]
        names = ("auc", "auc_7_nights", "auc_28_nights")
        assert {name: breaches(as_ever, name) for name in names} == {name: [] for name in names}
        assert {check.verdict for checks in as_ever.checks.values() for check in checks.values()} == {"ok"}


def test_scores_of_the_first_days_do_not_show_it(left):
    before = left.scores[partitions.shift(DRIFTED, -1)]
    for days in (0, 1, 2, 3):
        assert ks_2samp(before, left.scores[partitions.shift(DRIFTED, days)], method="asymp").pvalue > 0.2


def test_what_came_true_is_within_what_was_estimated_on_nine_of_ten_nights(shops):
    nights = SCORED if FULL else [night for night in SCORED if night < DRIFTED]
    played = [as_ever or left for left, as_ever in shops.values()]
    told = [[shop.estimates[night] for night in nights] for shop in played]
    within = [sum(found.low <= realised <= found.high for found, realised in each) for each in told]
    print(f"{within} of {len(nights)} nights within")
    assert sum(within) >= 0.9 * len(nights) * len(played)


def test_an_estimate_does_not_see_that_they_leave(left):
    by_scores, realised = left.estimates[SCORED[-1]]
    assert realised < by_scores.low
    by_features = left.told.estimated
    assert by_features.is_corrected
    assert realised < by_features.low
    assert by_features.uncorrected == pytest.approx(by_scores.value, abs=1e-9)
    assert "can't see concept drift" in left.told.told
    assert left.told.to_json()["estimated"]["auc"]["value"] == by_features.value
