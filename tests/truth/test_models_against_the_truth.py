"""How well the shipped models predict, beside the best that can be known of the simulated shop.

On a simulated shop the truth is known: the process by which customers order and leave, what makes an order disputed,
what each customer likes. Given the parameters of the process and a customer's orders until now, the posterior ranks
customers as well as anything can; the probability of a dispute and the tastes themselves are known to nobody else. The
models know none of it, and learn from what was ordered. All are asked about the same rows. The seeds are the first five
after ten, and stay; TRUTH=full (`make truth`) plays all of them, else one, of the demo's size.
Each day asks churn alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import LABEL, snapshot_days
from include.question.matrix import feature_matrix
from include.scoring.lists import number_lists, rank_items
from include.settings import Settings
from include.simulation.baskets import CATEGORIES
from include.simulation.world import World
from include.specs.models import ModelSpec, RankingModelSpec, load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.generate_orders import generate_orders
from include.steps.import_source import import_file
from include.training.list_metrics import measure_lists
from include.training.version import fit_version
from tests.everyday import members
from tests.posterior import ShopClock, probability_of_no_order, read_histories
from tests.unit.steps.fakes import FakeState

pytestmark = pytest.mark.timeout(900)

FULL = os.environ.get("TRUTH") == "full"
SEEDS = (11, 12, 13, 14, 15) if FULL else (11,)
WORLD = World() if FULL else World(arrivals_per_day=6.0)
# The shop of the demo: its first day, the day of the first training, and the end of its history.
START, TRAINED, END = "2024-04-13", "2026-02-28", "2026-03-13"


@dataclass(frozen=True)
class Window:
    """The test window of a model, with the model's scores and what happened."""

    spec: ModelSpec
    examples: pa.Table
    scores: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int8]:
        return self.examples[LABEL].to_numpy()

    def column(self, name: str) -> NDArray[np.object_]:
        return np.array(self.examples[name].to_pylist(), dtype=object)


@dataclass(frozen=True)
class Played:
    """One shop: where its truth lies, and what was tested of each model, which is trained where a test asks for it."""

    deployment: Deployment
    truth: Path

    @cached_property
    def churn(self) -> Window:
        return fit_and_test(self.deployment, load_model("churn"))

    @cached_property
    def fraud(self) -> Window:
        return fit_and_test(self.deployment, load_model("fraud"))

    @cached_property
    def recommendation(self) -> Window:
        return fit_and_test(self.deployment, load_model("recommendation"))


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def seed(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Played]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(CONFIG_ROOT / "overlays" / "simulator"))
        yield {seed: play(seed, tmp_path_factory.mktemp(f"seed-{seed}")) for seed in SEEDS}


def play(seed: int, folder: Path) -> Played:
    """Run the loop's own steps from orders to what a model is trained on."""
    deployment = make_deployment(folder)
    shop = generate_orders(folder / "shop", seed=seed, start=START, end=END, nights=0, world=WORLD)
    assert shop.history is not None
    import_file(deployment, shop.history, source="orders", as_of=partitions.end_of(END))
    deployment.feature_store.apply()
    return Played(deployment, folder / "shop" / "truth")


def fit_and_test(deployment: Deployment, spec: ModelSpec) -> Window:
    snapshots = snapshot_days(TRAINED, spec.label, spec.training)
    build_features(deployment, spec.features.group, start=snapshots[0], end=snapshots[-1])
    training_set = build_training_set(deployment, spec.model_id, as_of=TRAINED)
    manifest, examples = read_training_set(deployment.lake, spec.model_id, training_set.set_id)
    fitted = fit_version(spec, manifest.feature_names, examples)
    tested = examples.filter(pa.array(fitted.split.test))
    scores = fitted.booster.inplace_predict(feature_matrix(tested, manifest.feature_names))
    return Window(spec, tested, scores)


def make_deployment(folder: Path) -> Deployment:
    """Return a deployment whose lake and feature store are real; nobody reads the ledger."""
    registries = {f"MLOPS_FEAST_{name}_URL": f"sqlite:///{folder / name}.db" for name in ("REGISTRY", "ONLINE")}
    deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(folder), "MLOPS_CODE_COMMIT": "c0ffee", **registries}))
    vars(deployment)["state"] = FakeState()
    return deployment


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over seeds; the value itself where there is one."""
    mean = float(np.mean(values))
    if not FULL:
        return mean, mean
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half


def assert_ranks_as_well(what: str, tested: Iterable[tuple[Window, NDArray[np.float64]]]) -> None:
    """Hold a model's AUCs against those of what is true of the same rows: the mean difference, with its interval."""
    short = [roc_auc_score(own.labels, true) - roc_auc_score(own.labels, own.scores) for own, true in tested]
    told(what, short)
    low, high = interval(short)
    assert -0.02 < low <= high < 0.02


@pytest.mark.parametrize("model_id", members(["churn", "fraud"], daily=["churn"]))
def test_a_classifier_passes_its_gate(shops, seed, model_id):
    tested = getattr(shops[seed], model_id)
    assert roc_auc_score(tested.labels, tested.scores) > tested.spec.gates.auc_min


# Churn: beside the posterior -------------------------------------------------------------------------


def of_posterior(tested: Window, truth: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return for each row the posterior probability that no order comes, and whether none came."""
    orders = pq.read_table(truth / "orders.parquet")
    world, horizon = WORLD, tested.spec.label.horizon_days
    clock = ShopClock(world, start=START, end=END)
    buyers, placed = orders["customer_id"].to_numpy(zero_copy_only=False), clock.at(orders["ordered_at"].to_numpy())
    customers, instants = tested.column("customer_id"), tested.column(EVENT_TIMESTAMP)
    posterior, came = np.full(len(customers), np.nan), np.zeros(len(customers), dtype=bool)
    for instant in np.unique(instants):
        rows = instants == instant
        now, until = (clock.at_start_of(partitions.key_of((instant + timedelta(days=n)).date())) for n in (0, horizon))
        seen = read_histories(buyers, placed, of=customers[rows], now=now)
        posterior[rows] = probability_of_no_order(world, seen, until=until)
        came[rows] = np.isin(customers[rows], buyers[(now <= placed) & (placed < until)])
    return posterior, ~came


def test_churn_and_the_posterior_are_asked_about_the_same_rows(shops, seed):
    tested = shops[seed].churn
    posterior, labels = of_posterior(tested, shops[seed].truth)
    assert len(posterior) > 3000
    assert np.isfinite(posterior).all()
    np.testing.assert_array_equal(tested.labels, labels)


def test_churn_ranks_as_well_as_the_posterior(shops):
    pairs = [(shop.churn, of_posterior(shop.churn, shop.truth)[0]) for shop in shops.values()]
    assert_ranks_as_well("churn: AUC of the posterior less the model's", pairs)


# Fraud: beside the probability of a dispute ------------------------------------------------------------


def of_disputes(tested: Window, truth: Path) -> NDArray[np.float64]:
    """Return the true probability that each order is disputed."""
    orders = pq.read_table(truth / "orders.parquet")
    place = pc.index_in(tested.examples["order_id"], orders["order_id"])
    return orders["dispute_probability"].take(place).to_numpy()


@pytest.mark.thorough
def test_fraud_is_asked_about_every_order_of_its_window_once(shops, seed):
    examples, orders = shops[seed].fraud.examples, pq.read_table(shops[seed].truth / "orders.parquet")
    ends = pc.min_max(examples[EVENT_TIMESTAMP]).as_py()
    since, until = ends["min"] - timedelta(days=1), ends["max"]
    placed = orders["ordered_at"]
    wanted = orders.filter(pc.and_(pc.greater_equal(placed, since), pc.less(placed, until)))
    assert sorted(examples["order_id"].to_pylist()) == sorted(wanted["order_id"].to_pylist())


@pytest.mark.thorough
def test_fraud_ranks_as_well_as_the_true_probability_of_a_dispute(shops):
    pairs = [(shop.fraud, of_disputes(shop.fraud, shop.truth)) for shop in shops.values()]
    assert_ranks_as_well("fraud: AUC of the true probability less the model's", pairs)


# Recommendation: beside the true tastes, and the two lists that a shop makes without a model -------------------


def ndcg_of(tested: Window, scores: NDArray[np.float64]) -> float:
    """Return the NDCG of the places that are read, of the lists that scores make."""
    spec = tested.spec
    assert isinstance(spec, RankingModelSpec)
    lists = number_lists(tested.examples, [EVENT_TIMESTAMP, *spec.list_keys])
    ranks = rank_items(lists, scores.astype(np.float32), tested.examples[spec.item_key])
    return float(np.nanmean(measure_lists(lists, ranks, tested.labels, k=spec.ranking.top_k).ndcg))


def of_tastes(tested: Window, truth: Path) -> NDArray[np.float64]:
    """Return how much each customer likes each category."""
    customers = pq.read_table(truth / "customers.parquet")
    tastes = np.array(customers["taste"].to_pylist())
    who = pc.index_in(tested.examples["customer_id"], customers["customer_id"]).to_numpy()
    what = pc.index_in(tested.examples["category"], pa.array(CATEGORIES)).to_numpy()
    return tastes[who, what]


def of_most_bought_lately(tested: Window) -> NDArray[np.float64]:
    return -tested.examples["shop_rank_30d"].to_numpy().astype(float)


def of_last_bought(tested: Window) -> NDArray[np.float64]:
    """Order by how long ago the customer bought from the category; what was never bought by what sells most."""
    days = tested.examples["days_since_bought"].fill_null(10_000).to_numpy()
    return -(days + tested.examples["shop_rank_30d"].to_numpy() / 1000)


@pytest.mark.thorough
def test_recommendation_passes_its_gate(shops, seed):
    tested = shops[seed].recommendation
    assert ndcg_of(tested, tested.scores) > tested.spec.gates.ndcg_min


@pytest.mark.thorough
def test_recommendation_comes_near_the_true_preferences(shops):
    share = [
        ndcg_of(tested, tested.scores) / ndcg_of(tested, of_tastes(tested, shop.truth))
        for shop in shops.values()
        for tested in [shop.recommendation]
    ]
    told("recommendation: share of the NDCG@5 of the true preferences", share)
    assert interval(share)[0] >= 0.90


@pytest.mark.thorough
@pytest.mark.parametrize("naive", [of_most_bought_lately, of_last_bought])
def test_recommendation_beats_the_list_that_needs_no_model(shops, naive):
    times = [
        ndcg_of(tested, tested.scores) / ndcg_of(tested, naive(tested))
        for shop in shops.values()
        for tested in [shop.recommendation]
    ]
    told(f"recommendation: NDCG@5 against {naive.__name__}", times)
    assert interval(times)[0] >= 1.15


def told(what: str, values: Sequence[float]) -> None:
    low, high = interval(values)
    print(f"{what}: {np.mean(values):.4f} [{low:.4f}, {high:.4f}] over {len(values)} seeds {np.round(values, 4)}")
