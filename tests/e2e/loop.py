"""A home that runs the loop, and what a test's person does in it.

What belongs here: bringing a version into Production, and waiting for what was started. What does not: a claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include import partitions
from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.logins import read_password
from include.steps.import_source import import_file
from tests.dags.test_policies import TOPOLOGY
from tests.shop import FIRST_DAY, make_orders, on_days

TRAINED = "2026-04-14"
NIGHT = "2026-04-30"
WRITE_BACK = "materialize_features__churn_scores"
OLDER = partitions.span("2026-04-27", "2026-04-29")
# Of the cores that the tests share. No spec changes while a home is up: to parse the DAGs twice a minute would take a
# fifth of one, and to look twice a second for what can start nearly a tenth.
UNHURRIED = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1.5",
}


@dataclass
class Loop:
    """A running home, and what the test's person did in it."""

    deployment: Deployment
    api: AirflowApi
    runs: dict[str, str] = field(default_factory=dict)
    orders: pa.Table = field(default_factory=lambda: make_orders(days=120))

    def until(self, is_true: Callable[[], bool], what: str, timeout_s: float = 600) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
            time.sleep(0.5)

    def ended(self, dag_id: str, run_id: str, state: str = "success") -> None:
        def has_ended() -> bool:
            found = self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            assert found in ("queued", "running", state), f"run {run_id} of {dag_id} is {found}"
            return bool(found == state)

        self.until(has_ended, f"run {run_id} of {dag_id}")

    def monitored(self, nights: list[str], runs_each: int) -> None:
        def all_there() -> bool:
            done = [r["partition_key"] for r in self.api.runs("monitor_model__churn") if r["state"] == "success"]
            return all(done.count(night) == runs_each for night in nights)

        self.until(all_there, f"monitoring of {nights[0]} … {nights[-1]} ({runs_each} each)")

    def waiting(self) -> list[dict[str, Any]]:
        return self.api.waiting_approvals()

    def decisions(self, partition: str) -> list[Any]:
        return [d for d in self.deployment.state.decisions("churn") if d.partition == partition]

    def trainings(self) -> list[dict[str, Any]]:
        return self.api.runs("train_model__churn")

    def as_user(self, name: str) -> AirflowApi:
        """Return the API as another of the home's users sees it."""
        return AirflowApi(self.api.address, read_password(self.deployment.settings.home, name), user=name)


def bring_into_production(loop: Loop, folder: Path) -> None:
    history = folder / "history.parquet"
    pq.write_table(on_days(loop.orders, FIRST_DAY, OLDER[-1]), history)
    import_file(loop.deployment, history, source="orders", as_of=datetime(2026, 5, 1, tzinfo=UTC))
    known = lambda: {d["dag_id"] for d in loop.api.request("GET", "/dags", limit=100)["dags"]}  # noqa: E731
    loop.until(lambda: set(TOPOLOGY) <= known(), "parsing")
    _fill(loop, FIRST_DAY, TRAINED)
    loop.api.unpause("train_model__churn")
    # The day as the form's Param, without a partition key: consumers must be reached all the same.
    loop.runs["first training"] = loop.api.trigger("train_model__churn", conf={"partition": TRAINED})
    loop.ended("train_model__churn", loop.runs["first training"])
    loop.until(lambda: len(loop.waiting()) == 1, "the first approval")
    (approval,) = loop.waiting()
    loop.api.answer(approval, "Approve", reason="first version")
    loop.ended("promote_model__churn", approval["task_instance"]["dag_run_id"])
    _fill(loop, partitions.shift(TRAINED, 1), OLDER[-1])
    for dag_id in ("ingest_orders", "materialize_features__customer_daily"):
        loop.api.unpause(dag_id)


def _fill(loop: Loop, start: str, end: str) -> None:
    run_id = loop.api.trigger("backfill_features__customer_daily", conf={"start": start, "end": end})
    loop.ended("backfill_features__customer_daily", run_id)
