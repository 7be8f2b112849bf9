"""How well the shipped churn model predicts, beside the best that can be known: the true model's posterior.

On a simulated shop the parameters of the process are known. Given them and a customer's orders until now, the
posterior ranks customers as well as anything can; the model knows neither, and learns from what was ordered.
Both are asked about the same rows. The seeds are the first five after ten, and stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.question.labels import LABEL, snapshot_days
from include.settings import Settings
from include.simulation.world import World
from include.specs.models import ModelSpec, load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.generate_orders import generate_orders
from include.steps.import_source import import_file
from include.training.split import split_by_time
from include.training.version import train_version
from tests.posterior import ShopClock, probability_of_no_order, read_histories
from tests.unit.steps.fakes import FakeState

pytestmark = pytest.mark.timeout(900)

SEEDS = (11, 12, 13, 14, 15)
# The shop of the demo: its first day, the day of the first training, and the end of its history.
START, TRAINED, END = "2024-04-13", "2026-02-28", "2026-03-13"


@dataclass(frozen=True)
class Outcome:
    """One shop: labels of the test window, the posterior's score of each row, and the model's AUC on them."""

    labels: NDArray[np.int8]
    labels_by_truth: NDArray[np.bool_]
    posterior: NDArray[np.float64]
    model_auc: float
    model_rows: int

    @property
    def posterior_auc(self) -> float:
        return float(roc_auc_score(self.labels, self.posterior))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Outcome]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(CONFIG_ROOT / "overlays" / "simulator"))
        return {seed: play(seed, tmp_path_factory.mktemp(f"seed-{seed}")) for seed in SEEDS}


def play(seed: int, folder: Path) -> Outcome:
    """Run the loop's own steps from orders to a trained version, and ask the posterior about its test window."""
    spec, deployment = load_model("churn"), make_deployment(folder)
    shop = generate_orders(folder / "shop", seed=seed, start=START, end=END, nights=0)
    assert shop.history is not None
    import_file(deployment, shop.history, source="orders", as_of=partitions.end_of(END))
    snapshots = snapshot_days(TRAINED, spec.label, spec.training)
    build_features(deployment, spec.features.group, start=snapshots[0], end=snapshots[-1])
    deployment.feature_store.apply()
    training_set = build_training_set(deployment, "churn", as_of=TRAINED)
    manifest, examples = read_training_set(deployment.lake, "churn", training_set.set_id)
    trained = train_version(spec, manifest, examples)
    test = split_by_time(
        examples["event_timestamp"].to_numpy(), test_days=spec.training.test_days, horizon_days=spec.label.horizon_days
    ).test
    tested = examples.filter(pa.array(test))
    posterior, by_truth = judge(spec, tested, pq.read_table(folder / "shop" / "truth" / "orders.parquet"))
    return Outcome(tested[LABEL].to_numpy(), by_truth, posterior, trained.evaluation.auc, trained.evaluation.rows)


def make_deployment(folder: Path) -> Deployment:
    """Return a deployment whose lake and feature store are real; nobody reads the ledger."""
    registries = {f"MLOPS_FEAST_{name}_URL": f"sqlite:///{folder / name}.db" for name in ("REGISTRY", "ONLINE")}
    deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(folder), "MLOPS_CODE_COMMIT": "c0ffee", **registries}))
    vars(deployment)["state"] = FakeState()
    return deployment


def judge(spec: ModelSpec, tested: pa.Table, orders: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return for each row the posterior probability that no order comes, and whether none came."""
    world, horizon = World(), spec.label.horizon_days
    clock = ShopClock(world, start=START, end=END)
    buyers, placed = orders["customer_id"].to_numpy(zero_copy_only=False), clock.at(orders["ordered_at"].to_numpy())
    customers = tested[spec.entity.keys[0]].to_numpy(zero_copy_only=False)
    instants = np.array(tested["event_timestamp"].to_pylist())
    posterior, came = np.full(len(customers), np.nan), np.zeros(len(customers), dtype=bool)
    for instant in np.unique(instants):
        rows = instants == instant
        now, until = (clock.at_start_of(partitions.key_of((instant + timedelta(days=n)).date())) for n in (0, horizon))
        seen = read_histories(buyers, placed, of=customers[rows], now=now)
        posterior[rows] = probability_of_no_order(world, seen, until=until)
        came[rows] = np.isin(customers[rows], buyers[(now <= placed) & (placed < until)])
    return posterior, ~came


@pytest.mark.parametrize("seed", SEEDS)
def test_model_and_posterior_are_asked_about_the_same_rows(outcomes, seed):
    outcome = outcomes[seed]
    assert len(outcome.labels) == outcome.model_rows > 5000
    assert np.isfinite(outcome.posterior).all()
    np.testing.assert_array_equal(outcome.labels, outcome.labels_by_truth)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shipped_model_tells_who_leaves_from_who_stays(outcomes, seed):
    assert outcomes[seed].model_auc > 0.85


def test_the_shipped_model_ranks_as_well_as_the_posterior(outcomes):
    """The 95 % interval of the mean difference between the two lies within two hundredths."""
    short = np.array([outcome.posterior_auc - outcome.model_auc for outcome in outcomes.values()])
    half_width = student.ppf(0.975, len(short) - 1) * short.std(ddof=1) / np.sqrt(len(short))
    assert short.mean() - half_width > -0.02
    assert short.mean() + half_width < 0.02
