"""The demo: drive the loop through the scheduler and the REST API, as a person with a browser would.

What belongs here: the order of a person's actions, waiting for what they start, and the closing
account. What does not: any of the loop's own work, which the DAGs do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import ProcessTable
from include.errors import MlopsError
from include.specs import ModelSpec, load_model
from include.steps.import_orders import OrdersAccount, import_orders
from include.steps.split_orders import OrdersSplit

_POLL_S = 1.0
_STEP_TIMEOUT_S = 900
_ENDED = ("success", "failed")


@dataclass
class DemoReport:
    """What the demo saw, stage by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    history: OrdersAccount | None = None
    peak_pss_mb: float = 0.0


class Demo:
    """One pass of the loop over a shop's real log.

    Parameters
    ----------
    deployment : Deployment
        The home's adapters.
    api : AirflowApi
        The home's Airflow.
    model_id : str
        The model that is trained.
    say : callable
        Takes a line of progress.
    """

    def __init__(self, deployment: Deployment, api: AirflowApi, model_id: str, say: Callable[[str], None]) -> None:
        self.deployment = deployment
        self.api = api
        self.spec: ModelSpec = load_model(model_id)
        self.say = say
        self.report = DemoReport()
        self.processes = ProcessTable(deployment.settings.home)
        self.postgres = EmbeddedPostgres(deployment.settings.home)

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs of the loop, in order."""
        group, model = self.spec.features.group, self.spec.model_id
        return (
            "ingest_orders",
            f"backfill_features__{group}",
            f"materialize_features__{group}",
            f"train_model__{model}",
            f"promote_model__{model}",
            f"score_batch__{model}",
            f"monitor_model__{model}",
        )

    def run(self, split: OrdersSplit, *, order_format: str) -> DemoReport:
        """Import the history, fill the features, train, approve, then deliver the nights."""
        first, cut = split.first, split.history_end
        with self._stage("parse the DAGs"):
            self._wait_for_dags()
        with self._stage("import the history"):
            self.report.history = import_orders(
                self.deployment, split.history, order_format=order_format, as_of=datetime.now(UTC)
            )
        group, model = self.spec.features.group, self.spec.model_id
        with self._stage(f"build features {first} … {cut} in one run"):
            self._wait(f"backfill_features__{group}", self._start_range(group, first, cut))
        with self._stage(f"train {model} as of {cut}, run its gates"):
            self._wait(f"train_model__{model}", self.api.trigger(f"train_model__{model}", partition=cut))
        with self._stage("approve and promote"):
            self._approve(cut)
        with self._stage(f"ingest {len(split.nights)} nights, build, score and monitor each"):
            self._deliver(split.nights)
        return self.report

    def _start_range(self, group: str, start: str, end: str) -> str:
        return self.api.trigger(f"backfill_features__{group}", conf={"start": start, "end": end})

    def _wait_for_dags(self) -> None:
        def parsed() -> bool:
            known = {dag["dag_id"] for dag in self.api.request("GET", "/dags", limit=100)["dags"]}
            errors = self.api.request("GET", "/importErrors")["import_errors"]
            if errors:
                raise MlopsError(f"{errors[0]['filename']} can't be imported: {errors[0]['stack_trace'][-400:]}")
            return set(self.dags) <= known

        self._until(parsed, "the DAGs were not parsed")

    def _approve(self, cut: str) -> None:
        dag_id = f"promote_model__{self.spec.model_id}"
        self._until(lambda: bool(self._waiting(dag_id)), f"no approval of {dag_id} came up")
        waiting = self._waiting(dag_id)[0]
        self.say(f"  {waiting['subject']} — approved by the demo, in place of a person")
        self.api.answer(waiting, "Approve", reason=f"demo: first version, gates passed as of {cut}")
        self._wait(dag_id, waiting["task_instance"]["dag_run_id"])

    def _waiting(self, dag_id: str) -> list[dict[str, Any]]:
        return [a for a in self.api.waiting_approvals() if a["task_instance"]["dag_id"] == dag_id]

    def _deliver(self, nights: list[str]) -> None:
        group, model = self.spec.features.group, self.spec.model_id
        producers = ("ingest_orders", f"materialize_features__{group}")
        for dag_id in producers:
            self.api.unpause(dag_id)
            self.api.backfill(dag_id, nights[0], nights[-1])
        seen: set[str] = set()

        def done() -> bool:
            for dag_id in producers:
                self._raise_on_failure(dag_id, nights)
            ended = self._ended(f"monitor_model__{model}", nights)
            for night in sorted(ended - seen):
                self.say(f"  night {night}: {self._told(night)}")
            seen.update(ended)
            return ended == set(nights)

        self._until(done, f"not every night was monitored ({nights[0]} … {nights[-1]})")
        for dag_id in producers:
            self.api.unpause(dag_id, paused=True)
        self._settle()

    def _told(self, night: str) -> str:
        last = next(d for d in reversed(self.deployment.state.decisions(self.spec.model_id)) if d.partition == night)
        acted = "" if last.action != "retrain" else (" (acts)" if last.acted else " (recorded, does not act)")
        return f"{last.action}{acted} — {last.reasons[0]}"

    def _settle(self) -> None:
        """Wait for what the nights have set off, up to a person's answer."""
        model = self.spec.model_id

        def quiet() -> bool:
            open_training = [r for r in self.api.runs(f"train_model__{model}") if r["state"] not in _ENDED]
            promotions = [r for r in self.api.runs(f"promote_model__{model}") if r["state"] not in _ENDED]
            return not open_training and len(promotions) == len(self._waiting(f"promote_model__{model}"))

        self._until(quiet, "the training that the nights set off did not end")

    def _ended(self, dag_id: str, nights: list[str]) -> set[str]:
        self._raise_on_failure(dag_id, nights)
        return {r["partition_key"] for r in self.api.runs(dag_id) if r["state"] == "success"} & set(nights)

    def _raise_on_failure(self, dag_id: str, nights: list[str]) -> None:
        for run in self.api.runs(dag_id):
            if run["state"] == "failed" and run["partition_key"] in nights:
                raise MlopsError(f"run {run['dag_run_id']} of {dag_id} failed; look at {self._link(dag_id, run)}")

    def _wait(self, dag_id: str, run_id: str) -> None:
        def ended() -> bool:
            run = self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
            if run["state"] == "failed":
                raise MlopsError(f"run {run_id} of {dag_id} failed; look at {self._link(dag_id, run)}")
            return bool(run["state"] == "success")

        self._until(ended, f"run {run_id} of {dag_id} did not end")

    def _link(self, dag_id: str, run: dict[str, Any]) -> str:
        return f"{self.api.address}/dags/{dag_id}/runs/{run['dag_run_id']}"

    def _until(self, is_true: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _STEP_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline:
                raise MlopsError(f"{otherwise} within {_STEP_TIMEOUT_S} s; look at {self.api.address}")
            self.report.peak_pss_mb = max(self.report.peak_pss_mb, self.processes.pss_mb(self.postgres.pid() or 0))
            time.sleep(_POLL_S)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        self.say(f"→ {name}")
        yield
        self.report.seconds[name] = time.monotonic() - started
        self.say(f"  done in {self.report.seconds[name]:.0f} s")
