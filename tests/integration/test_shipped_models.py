"""The models that ship, on a small simulated shop: whom each is asked about on ten nights, and what its files give.

Some nights bring rows late or wrong. Whom to expect is computed anew from the delivered files, in plain Python. With
MLflow and the lake; only the ledger is a stand-in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.errors import UsageError
from include.question.matrix import feature_matrix
from include.simulation.incidents import parse_incident
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.generate_orders import deliver_night, generate_orders
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery, import_file
from include.steps.load_version import load_version
from include.steps.read_inputs import read_snapshots
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from tests.integration.test_train_and_score import make_deployment
from tests.served_shop import HORIZON, MODELS, TRAINING, WINDOW, WORLD

pytestmark = pytest.mark.timeout(600)

START, HISTORY_END, END = "2025-08-01", "2026-01-11", "2026-01-21"
NIGHTS = partitions.span(partitions.shift(HISTORY_END, 1), END)
# What comes on two nights. Of the first three the label is known at the end.
LATE = {NIGHTS[1]: "late_rows@{}+2*0.4", NIGHTS[2]: "late_rows@{}+1*0.6", NIGHTS[3]: "corrections@{}+3*0.5"}

Entity = tuple[str, ...]


@dataclass(frozen=True)
class Played:
    """What was asked on each night, by model: whom the predictions name, and whom the files that had come make."""

    deployment: Deployment
    scored: dict[str, dict[str, list[Entity]]]
    expected: dict[str, dict[str, set[Entity]]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("shipped")
    (folder / "specs").mkdir()
    for model in MODELS:
        values = {"label": {"horizon_days": HORIZON}, "training": TRAINING}
        (folder / "specs" / f"{model}.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder / "specs"))
        yield play(folder)


def play(folder: Path) -> Played:
    incidents = [parse_incident(text.format(night)) for night, text in LATE.items()]
    orders = generate_orders(
        folder / "shop", seed=5, start=START, end=END, nights=len(NIGHTS), world=WORLD, incidents=incidents
    )
    assert orders.history is not None
    deployment = make_deployment(folder / "home")
    import_file(deployment, orders.history, source="orders", as_of=partitions.end_of(HISTORY_END))
    groups = [load_model(model).features.group for model in MODELS]
    for group in groups:
        build_features(deployment, group, start=partitions.shift(HISTORY_END, -HORIZON - WINDOW), end=HISTORY_END)
    for model in MODELS:
        assert train_model(deployment, build_training_set(deployment, model, as_of=HISTORY_END)).version == 1
    deployment.state.version = 1
    played = Played(deployment, {model: {} for model in MODELS}, {model: {} for model in MODELS})
    known = {(line["order_id"], line["line"]): line for line in pq.read_table(orders.history).to_pylist()}
    for nights in between({partitions.shift(incident.day, incident.after_days) for incident in incidents}):
        for night in nights:
            deliver_night(folder / "shop" / "arrivals", night, folder / "home" / "landing")
            import_delivery(deployment, night, source="orders", cross_check=False)
            known |= {(line["order_id"], line["line"]): line for line in delivered(folder / "home" / "landing", night)}
            for model in MODELS:
                played.expected[model][night] = ASKED[model]([*known.values()], night)
        for group in groups:
            build_features(deployment, group, start=nights[0], end=nights[-1])
        for model, night in product(MODELS, nights):
            score_batch(deployment, model, partition=night)
            rows = deployment.lake.read(f"predictions/{model}", start=night, end=night)
            played.scored[model][night] = entities_of(rows, model)
    for group in groups:
        assert heal_features(deployment, group) is not None
    return played


def between(late: set[str]) -> Iterator[list[str]]:
    """Give the nights that may be built together: nothing comes late among them, but for the first."""
    for first, following in pairwise([NIGHTS[0], *sorted(late), partitions.shift(END, 1)]):
        yield partitions.span(first, partitions.shift(following, -1))


def delivered(landing: Path, night: str) -> Iterator[dict[str, Any]]:
    for path in sorted((landing / "orders" / f"dt={night}").glob("*.parquet")):
        yield from pq.read_table(path).to_pylist()


def entities_of(rows: pa.Table, model: str) -> list[Entity]:
    return sorted(zip(*(rows[key].to_pylist() for key in load_model(model).entity.keys), strict=True))


# Whom to expect, of the lines that were known on a night ------------------------------------------------


def active_customers(lines: list[dict[str, Any]], night: str) -> set[Entity]:
    """Customers whose last order is at most 30 whole days old."""
    placed: dict[tuple[str, str], Any] = {}
    for line in lines:
        if line["kind"] == "sale":
            order = line["customer_id"], line["order_id"]
            placed[order] = min(placed.get(order, line["ordered_at"]), line["ordered_at"])
    now = partitions.end_of(night)
    return {(customer,) for (customer, _), at in placed.items() if (now - at) // timedelta(days=1) <= 30}


def orders_of_the_day(lines: list[dict[str, Any]], night: str) -> set[Entity]:
    first: dict[str, Any] = {}
    for line in lines:
        if line["kind"] == "sale":
            first[line["order_id"]] = min(first.get(line["order_id"], line["ordered_at"]), line["ordered_at"])
    return {(order,) for order, at in first.items() if at.date() == partitions.parse(night)}


def candidates(lines: list[dict[str, Any]], night: str) -> set[Entity]:
    """Each customer of the last 30 days with the 20 categories that the shop, or the customer's country, buys most."""
    last = partitions.parse(night)
    recent = [line for line in lines if line["kind"] == "sale" and 0 <= (last - line["ordered_at"].date()).days < 30]
    of_shop = most_bought(line["category"] for line in recent)
    visits: dict[str, dict[Any, set[str]]] = {}
    for line in recent:
        visits.setdefault(line["customer_id"], {}).setdefault(line["ordered_at"].date(), set()).add(line["country"])
    lives_in = {customer: min(days[max(days)]) for customer, days in visits.items()}
    of_country = {
        country: most_bought(line["category"] for line in recent if line["country"] == country)
        for country in set(lives_in.values())
    }
    return {
        (customer, category) for customer, country in lives_in.items() for category in of_shop | of_country[country]
    }


def most_bought(categories: Iterator[str]) -> set[str]:
    sold = sorted(Counter(categories).items(), key=lambda found: (-found[1], found[0]))
    return {category for category, _ in sold[:20]}


ASKED: dict[str, Callable[[list[dict[str, Any]], str], set[Entity]]] = {
    "churn": active_customers,
    "fraud": orders_of_the_day,
    "recommendation": candidates,
}


@pytest.mark.parametrize("model", MODELS)
class TestPopulation:
    def test_a_night_scores_those_that_its_orders_make_each_once(self, shop, model):
        assert shop.scored[model].keys() == set(NIGHTS)
        for night, scored in shop.scored[model].items():
            assert scored == sorted(shop.expected[model][night]), night
        assert min(map(len, shop.scored[model].values())) >= 5

    def test_a_training_would_see_the_same_whatever_has_come_since(self, shop, model):
        found = read_snapshots(shop.deployment, load_model(model), NIGHTS)
        assert found.unpublished == ()
        for night in NIGHTS:
            assert entities_of(at_end_of(found.rows, night), model) == shop.scored[model][night], night

    def test_a_training_set_holds_the_same_of_each_night_whose_label_is_known(self, shop, model):
        made = build_training_set(shop.deployment, model, as_of=END)
        _, examples = read_training_set(shop.deployment.lake, model, made.set_id)
        labelled = NIGHTS[:-HORIZON]
        for night in labelled:
            assert entities_of(at_end_of(examples, night), model) == shop.scored[model][night], night

    def test_what_came_late_would_have_made_it_another(self, shop, model):
        """What the tests above claim is that this does not matter."""
        group = load_model(model).features.group
        rows = shop.deployment.lake.read(f"features/{group}", start=NIGHTS[0])
        late = pc.greater(rows["created_timestamp"], rows["event_timestamp"])
        others = [
            set(entities_of(at_end_of(rows.filter(late), night), model)) - set(shop.scored[model][night])
            for night in NIGHTS
        ]
        assert any(others)


def at_end_of(rows: pa.Table, night: str) -> pa.Table:
    return rows.filter(pc.equal(rows["event_timestamp"], pa.scalar(partitions.end_of(night))))


@pytest.mark.parametrize("model", MODELS)
class TestFormats:
    def test_onnx_equals_native_on_ten_thousand_rows_with_nulls(self, shop, model):
        scoring, rows = load_version(shop.deployment, model, 1).model, drawn_rows(shop.deployment, model)
        native, onnx = (scoring.predict(rows, engine=engine) for engine in ("native", "onnx"))
        assert len(np.unique(native)) > 100
        # float32 adds the leaves in another order: the error grows with the margin, beyond 1 as it does.
        assert np.abs(native - onnx).max() <= 1e-6 * max(1, np.abs(native).max())

    @pytest.mark.parametrize("engine", ["native", "onnx"])
    def test_columns_in_another_order_are_refused(self, shop, model, engine):
        scoring, rows = load_version(shop.deployment, model, 1).model, drawn_rows(shop.deployment, model)
        names = scoring.feature_names
        with pytest.raises(UsageError, match="in another order"):
            scoring.predict(rows, engine=engine, feature_names=(names[1], names[0], *names[2:]))
        assert len(scoring.predict(rows, engine=engine, feature_names=names)) == 10_000


def drawn_rows(deployment: Deployment, model: str) -> np.ndarray:
    """Return rows of the model's features, each value of another row, one in six missing."""
    names, rng = load_version(deployment, model, 1).model.feature_names, np.random.default_rng(6)
    found = feature_matrix(deployment.lake.read(f"features/{load_model(model).features.group}", start=END), names)
    drawn = np.column_stack([rng.choice(column, 10_000) for column in found.T])
    drawn[rng.random(drawn.shape) < 1 / 6] = np.nan
    return drawn
