"""A shop's nights, played on the steps that the DAGs run, with faults and without: what leaves what it should.

Events are what Airflow makes of them: a paused consumer never hears of those of its pause.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import NullPool, create_engine, text

from include import partitions
from include.adapters.deployment import Deployment
from include.errors import RefusedError
from include.governance import lifecycle
from include.settings import embedded_database_url
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.decide_retrain import decide_retrain
from include.steps.find_waiting import find_waiting
from include.steps.import_source import import_delivery, import_file
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import measure_night
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from tests.databases import make_database
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, deliver, make_orders, on_days

# From the shop's first day on.
DAYS = 125
TRAINED = "2026-04-14"
NIGHTS = partitions.span("2026-04-15", "2026-04-27")
UNSCORED, UNBUILT, UNMONITORED, UNTRAINED, FAILED = (f"2026-04-{day}" for day in (16, 17, 18, 20, 22))
# Published in reverse; from then on the group is online.
REVERSED = ["2026-04-23", "2026-04-24"]
# The scheduler is down: what is delivered lies in the landing folder.
DOWN = NIGHTS[-3:]
# Rows that are gone from a table, though they were published.
DELETED = {
    "features/customer_daily": "2026-04-15",
    "predictions/churn": "2026-04-19",
    "outcomes/churn": "2026-04-21",
}
# Due once, on the night whose training is missed; no drift asks.
DECISION = {"schedule": "0 0 21 4 *", "cooldown_days": 0, "windows": 90, "breaches": 90}
TABLES = (
    "raw/orders", "quarantine/orders", "deliveries/orders", "features/customer_daily", "predictions/churn",
    "outcomes/churn",
)  # fmt: skip


@dataclass
class Loop:
    """The chain of DAGs, by the steps of each; what is paused does not hear of an event."""

    deployment: Deployment
    paused: set[str] = field(default_factory=set)
    trainings: list[str] = field(default_factory=list)

    def deliver(self, night: str) -> None:
        import_delivery(self.deployment, night, source="orders", cross_check=False)

    def build(self, night: str) -> None:
        build_features(self.deployment, "customer_daily", start=night, end=night)
        if night >= REVERSED[0]:
            materialize_features(self.deployment, "customer_daily", start=night, end=night)

    def score(self, night: str) -> None:
        if "score" not in self.paused:
            score_batch(self.deployment, "churn", partition=night)
            self.monitor(night)

    def monitor(self, night: str) -> None:
        if "monitor" in self.paused:
            return
        record_outcomes(self.deployment, "churn", partition=night)
        measure_night(self.deployment, "churn", partition=night)
        run_id = f"monitor {night} {len(self.deployment.state.decisions('churn'))}"
        if decide_retrain(self.deployment, "churn", partition=night, run_id=run_id).acted:
            self.train(night)
        for waiting in find_waiting(self.deployment, "churn", before=night)[:1]:
            self.train(waiting)

    def train(self, night: str) -> None:
        if "train" in self.paused:
            return
        self.trainings.append(night)
        run = TrainingRequest(f"training {len(self.trainings)}")
        claimed = claim_training(self.deployment, "churn", partition=night, request=run)
        stage_or_refuse(self.deployment, trained(self.deployment, claimed.partition))

    def reasons(self, night: str) -> str:
        """Return the reasons of a night's first decision."""
        return "; ".join(next(d for d in self.deployment.state.decisions("churn") if d.partition == night).reasons)


def trained(deployment: Deployment, as_of: str):
    return train_model(deployment, build_training_set(deployment, "churn", as_of=as_of))


def begin(deployment: Deployment) -> None:
    """Bring a shop to its first night: its history, and version 1 in Production."""
    orders = make_orders(days=DAYS)
    history = deployment.settings.home / "history.parquet"
    pq.write_table(on_days(orders, FIRST_DAY, TRAINED), history)
    import_file(deployment, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
    for night in NIGHTS:
        deliver(deployment.settings.home / "landing", orders, night)
    build_features(deployment, "customer_daily", start=FIRST_DAY, end=TRAINED)
    stage_or_refuse(deployment, trained(deployment, TRAINED))
    promote_version(deployment, "churn", version=1, actor="ada", reason="first")


@contextmanager
def taken_up(home: Path, start: Path, folder: Path, *, specs: Path) -> Iterator[Loop]:
    """Give the loop of a deployment in `folder`, which goes on from a copy of what another in `start` has written.

    Each has its databases by its folder's name. Version 1 lies where it was registered.
    """
    shutil.copytree(start, folder, dirs_exist_ok=True)
    server = embedded_database_url(home, "postgres")
    with deployed_beside(home, folder, folder.name, specs=specs) as made:
        with create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
            # MLflow keeps its connections, and a database that is in use can't be copied.
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(text(ended), {"name": f"{start.name}_mlflow"})
        for database in ("mlflow", "state"):
            make_database(server, f"{folder.name}_{database}", like=f"{start.name}_{database}")
        yield Loop(made)


def play_clean(loop: Loop) -> None:
    for night in NIGHTS:
        loop.deliver(night)
        loop.build(night)
        loop.score(night)


def play_with_faults(loop: Loop) -> None:
    paused = {UNSCORED: "score", UNMONITORED: "monitor", UNTRAINED: "train", FAILED: "score"}
    for night in NIGHTS[:-5]:
        loop.paused = {paused[night]} if night in paused else set()
        loop.deliver(night)
        if night != UNBUILT:
            loop.build(night)
            loop.score(night)
    loop.paused = set()
    earlier, later = REVERSED
    loop.deliver(later)
    with pytest.raises(RefusedError, match=f"{earlier} are missing"):
        loop.build(later)
    loop.deliver(earlier)
    for night in (later, earlier):
        loop.build(night)
        score_batch(loop.deployment, "churn", partition=night)
    for night in (later, earlier):
        loop.monitor(night)
    for table, night in DELETED.items():
        delta = loop.deployment.lake.delta(table)
        delta.delete(f"{delta.metadata().partition_columns[0]} = '{night}'")


def approve(loop: Loop) -> None:
    """Answer at the end, so that every night is scored by one version."""
    waiting = lifecycle.holder(loop.deployment.state.ledger("churn"), lifecycle.Stage.STAGING)
    promote_version(loop.deployment, "churn", version=waiting, actor="ada", reason="better")


def written(loop: Loop) -> dict[str, object]:
    state, lake = loop.deployment.state, loop.deployment.lake
    sets = (loop.deployment.settings.home / "lake/training_sets/churn").iterdir()
    return {
        **{table: lake.digest(table) for table in TABLES},
        "online": state.publications("online/customer_daily"),
        "nights": state.nights("churn"),
        "training sets": sorted(path.name for path in sets),
        "versions": [(m.version, m.to_stage, m.evidence and m.evidence.as_of) for m in state.ledger("churn")],
        "acted": [d.partition for d in state.decisions("churn") if d.acted],
    }
