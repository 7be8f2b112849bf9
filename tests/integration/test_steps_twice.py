"""Every step twice, and nights out of order: the tables are the same, and the online store keeps the newest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import RefusedError
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.decide_retrain import decide_retrain
from include.steps.import_source import import_delivery, import_file
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import measure_night
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, deliver, make_orders, on_days
from tests.unit.steps.fakes import FakeState

pytestmark = pytest.mark.timeout(400)

TRAINED = "2026-04-14"
NIGHTS = partitions.span("2026-04-15", "2026-04-17")
SHUFFLED = ["2026-04-17", "2026-04-15", "2026-04-16"]
TABLES = ("raw/orders", "quarantine/orders", "deliveries/orders", "features/customer_daily", "predictions/churn")


@pytest.fixture(scope="module")
def deployment(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed_beside(home, tmp_path_factory.mktemp("twice"), "twice") as made:
        yield made


def prepare(deployment: Deployment) -> Path:
    orders = make_orders(days=107)
    history = deployment.settings.home / "history.parquet"
    pq.write_table(on_days(orders, FIRST_DAY, TRAINED), history)
    for night in NIGHTS:
        deliver(deployment.settings.home / "landing", orders, night)
    return history


def run_history(deployment: Deployment, history: Path) -> None:
    import_file(deployment, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
    build_features(deployment, "customer_daily", start=FIRST_DAY, end=TRAINED)
    materialize_features(deployment, "customer_daily", start=TRAINED, end=TRAINED)
    candidate = train_model(deployment, build_training_set(deployment, "churn", as_of=TRAINED))
    assert candidate.version == 1
    if not any(move.to_stage == "Production" for move in deployment.state.ledger("churn")):
        stage_or_refuse(deployment, candidate)
    promote_version(deployment, "churn", version=1, actor="ada", reason="first")


def run_night(deployment: Deployment, night: str) -> None:
    build_features(deployment, "customer_daily", start=night, end=night)
    materialize_features(deployment, "customer_daily", start=night, end=night)
    score_batch(deployment, "churn", partition=night)
    measure_night(deployment, "churn", partition=night)
    decide_retrain(deployment, "churn", partition=night, run_id=f"run-{night}")


def written(deployment: Deployment) -> dict[str, object]:
    state = deployment.state
    return {
        **{table: deployment.lake.digest(table) for table in TABLES},
        "ledger": [(m.seq, m.version, m.to_stage) for m in state.ledger("churn")],
        "decisions": [(d.partition, d.action, d.acted) for d in state.decisions("churn")],
        "nights": state.nights("churn"),
        "training sets": sorted(p.name for p in (deployment.settings.home / "lake/training_sets/churn").iterdir()),
    }


def online(deployment: Deployment) -> list[tuple[object, ...]]:
    keys = sorted(set(deployment.lake.read("features/customer_daily")["customer_id"].to_pylist()))
    found = deployment.feature_store.online("churn_v1", keys, at=partitions.end_of(NIGHTS[-1])).values
    columns = [found[name].to_pylist() for name in ("total_orders_90d", "days_since_last_order")]
    return sorted(zip(keys, *columns, strict=True))


@pytest.fixture(scope="module")
def once(deployment: Deployment) -> dict[str, object]:
    """What the tables hold after deliveries, and then nights, came out of order the first time."""
    run_history(deployment, prepare(deployment))
    assert sorted(SHUFFLED) == NIGHTS != SHUFFLED
    for night in SHUFFLED:
        import_delivery(deployment, night, source="orders", cross_check=False)
    for night in reversed(SHUFFLED):
        run_night(deployment, night)
    return {**written(deployment), "online": online(deployment), "versions": versions(deployment)}


def versions(deployment: Deployment) -> dict[str, int | None]:
    return {table: deployment.lake.version(table) for table in TABLES}


def test_the_online_store_holds_the_newest_night(deployment, once):
    newest = deployment.lake.read("features/customer_daily", start=NIGHTS[-1], end=NIGHTS[-1])
    columns = (newest[name].to_pylist() for name in ("customer_id", "total_orders_90d", "days_since_last_order"))
    assert once["online"] == sorted(zip(*columns, strict=True))


def test_every_step_again_in_order_changes_nothing_and_makes_no_new_table_version(deployment, once):
    run_history(deployment, deployment.settings.home / "history.parquet")
    for night in NIGHTS:
        import_delivery(deployment, night, source="orders", cross_check=False)
        run_night(deployment, night)
    assert {**written(deployment), "online": online(deployment), "versions": versions(deployment)} == once


def beside(deployment: Deployment, lake: Path) -> SimpleNamespace:
    """The deployment with a lake and a state of its own."""
    return SimpleNamespace(
        settings=deployment.settings,
        lake=LakeAdapter(lake.as_uri()),
        compute=deployment.compute,
        duckdb=deployment.duckdb,
        state=FakeState(),
    )


def test_features_built_out_of_order_equal_one_run_over_the_range(deployment, once, tmp_path):
    other = beside(deployment, tmp_path / "lake")
    history = deployment.settings.home / "history.parquet"
    import_file(other, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
    for night in NIGHTS:
        import_delivery(other, night, source="orders", cross_check=False)
    build_features(other, "customer_daily", start=FIRST_DAY, end=NIGHTS[-1])
    assert other.lake.digest("raw/orders") == once["raw/orders"]
    assert other.lake.digest("features/customer_daily") == once["features/customer_daily"]


def test_a_night_is_not_built_over_a_missing_one(deployment, once, tmp_path):
    other = beside(deployment, tmp_path / "lake")
    for night in (NIGHTS[0], NIGHTS[2]):
        import_delivery(other, night, source="orders", cross_check=False)
    with pytest.raises(RefusedError, match=f"{NIGHTS[1]} are missing while later days are there"):
        build_features(other, "customer_daily", start=NIGHTS[2], end=NIGHTS[2])
