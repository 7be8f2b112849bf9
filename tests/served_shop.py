"""A small simulated shop with three models in Production and its features online: what tests ask the service about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.governance import lifecycle
from include.governance.lifecycle import LedgerMove, MoveRequest
from include.simulation.world import World
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.generate_orders import generate_orders
from include.steps.import_source import import_file
from include.steps.materialize_features import materialize_features
from include.steps.train_model import train_model

MODELS = ("churn", "fraud", "recommendation")
START, NIGHT = "2025-08-01", "2026-01-11"
# A version governs the nights after the one that it was moved on.
AS_OF = partitions.shift(NIGHT, -1)
HORIZON, WINDOW = 7, 28
# Many disputes: of few nothing could be learned in so small a shop.
WORLD = World(arrivals_per_day=3.0, dispute_intercept=2.0)
TRAINING = {
    "window_days": WINDOW,
    "snapshot_every_days": 1,
    "test_days": 7,
    "min_rows": 100,
    "bootstrap_samples": 100,
    "threads": 1,
}


def write_specs(folder: Path, **serving: dict[str, object]) -> Path:
    """Write an overlay of short horizons, with a section on serving of the models that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    for model in MODELS:
        values = {"label": {"horizon_days": HORIZON}, "training": TRAINING, "serving": serving.get(model, {})}
        (folder / f"{model}.yaml").write_text(yaml.safe_dump(values))
    return folder


def play_shop(deployment: Deployment, folder: Path, *, models: Sequence[str] = MODELS) -> None:
    """Build, train, promote and materialise models: the newest night is `NIGHT`."""
    orders = generate_orders(folder / "shop", seed=5, start=START, end=NIGHT, nights=0, world=WORLD)
    assert orders.history is not None
    import_file(deployment, orders.history, source="orders", as_of=partitions.end_of(NIGHT))
    for model in models:
        group = load_model(model).features.group
        build_features(deployment, group, start=partitions.shift(NIGHT, -HORIZON - WINDOW - 2), end=NIGHT)
        materialize_features(deployment, group, start=NIGHT, end=NIGHT)
        train_and_promote(deployment, model, as_of=AS_OF)


def train_and_promote(
    deployment: Deployment, model: str, *, as_of: str, before_promotion: Callable[[], object] = lambda: None
) -> int:
    """Train a version as of a day and put it into Production, whatever its gates say; return its number."""
    version = train_model(deployment, build_training_set(deployment, model, as_of=as_of)).version
    before_promotion()
    move(deployment, model, version, as_of, lifecycle.stage_candidate)
    move(deployment, model, version, as_of, lifecycle.promote)
    return version


def move(
    deployment: Deployment,
    model: str,
    version: int,
    partition: str,
    step: Callable[[tuple[LedgerMove, ...], MoveRequest], tuple[LedgerMove, ...]],
) -> None:
    """Append the moves of one step of the lifecycle to the ledger."""
    request = MoveRequest(model, version, partition, "tester", "a test", None)
    deployment.state.append_moves(step(deployment.state.ledger(model), request))
