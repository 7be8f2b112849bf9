"""The demo: drive the loop through the scheduler and the REST API, as a person with a browser would.

What belongs here: the order of a person's actions, and waiting for what they start. What does not: any of
the loop's own work, which the DAGs do; the files that are played (`demo_plan`); the closing report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.adapters.deployment import Deployment
from include.demo.account import APPROVED_BY_DEMO
from include.demo.pace import Narrator, Pace
from include.demo.plan import DemoPlan
from include.demo.refusal import gates_advice
from include.embedded.api import AirflowApi
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import ProcessTable
from include.errors import MlopsError, RefusedError
from include.governance import lifecycle
from include.governance.lifecycle import Stage
from include.settings import local_path
from include.specs.models import ModelSpec, load_model
from include.specs.sources import load_source
from include.steps.find_untrained import find_untrained
from include.steps.generate_orders import deliver_night
from include.steps.import_source import import_file

_POLL_S = 0.5
# Adding up what thirty processes hold takes a tenth of a second of a core.
_MEMORY_EVERY_S = 5.0
_STEP_TIMEOUT_S = 900
_ENDED = ("success", "failed")


@dataclass
class DemoReport:
    """What the demo measured of itself."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_pss_mb: float = 0.0


class Demo:
    """One pass of the loop; what is done already is left as it is.

    Parameters
    ----------
    deployment : Deployment
        The home's adapters.
    api : AirflowApi
        The home's Airflow.
    plan : DemoPlan
        What is played.
    pace : Pace
        How fast, and who approves.
    narrator : Narrator
        Tells a person.
    """

    def __init__(self, deployment: Deployment, api: AirflowApi, plan: DemoPlan, pace: Pace, narrator: Narrator) -> None:
        self.deployment = deployment
        self.api = api
        self.plan = plan
        self.pace = pace
        self.narrator = narrator
        self.spec: ModelSpec = load_model(plan.arguments.model_id)
        self.report = DemoReport()
        self._processes = ProcessTable(deployment.settings.home)
        self._postgres = EmbeddedPostgres(deployment.settings.home)
        self._measured_at = 0.0
        self._patience_s = pace.approve_after_s

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs of the loop, in order."""
        group, model = self.spec.features.group, self.spec.model_id
        return (
            self._ingest,
            f"backfill_features__{group}",
            f"materialize_features__{group}",
            f"train_model__{model}",
            f"promote_model__{model}",
            f"score_batch__{model}",
            f"monitor_model__{model}",
        )

    def run(self) -> DemoReport:
        """Import the history, fill the features, train, have it approved, then let the nights arrive."""
        plan, model = self.plan, self.spec.model_id
        with self._stage("import the history"):
            self._import_history()
        with self._stage("wait until Airflow has parsed the DAGs"):
            self._wait_for_dags()
        with self._stage(f"build features {plan.features_from} … {plan.history_end} in one run"):
            self._fill_features()
        with self._stage(f"train {model} as of {plan.trained_as_of}, hold it against its gates"):
            self._train_first()
        with self._stage("approve and promote"):
            self._settle()
            if lifecycle.holder(self._ledger(), Stage.PRODUCTION) is None:
                raise RefusedError(
                    f"no version of {model} is in Production, so no night can be scored: {self._ledger()[-1].reason}; "
                    f"{gates_advice(self.spec)}"
                )
        for dag_id in self._producers:
            self.api.unpause(dag_id)
        with self._stage(f"{len(plan.nights)} nights: ingest, build, score, monitor, decide"):
            for night in plan.nights:
                self._play(night)
            monitoring = f"monitor_model__{model}"
            self._until(lambda: not self._open_runs(monitoring), f"{monitoring} did not come to an end")
        for dag_id in self._producers:
            self.api.unpause(dag_id, paused=True)
        return self.report

    @property
    def _producers(self) -> tuple[str, str]:
        return self._ingest, f"materialize_features__{self.spec.features.group}"

    @property
    def _ingest(self) -> str:
        return load_source(self.plan.arguments.source).ingest_dag_id

    def _import_history(self) -> None:
        plan = self.plan
        chosen = plan.arguments
        import_file(
            self.deployment,
            Path(plan.history),
            source=chosen.source,
            file_format=chosen.file_format,
            as_of=load_source(chosen.source).end_of_day(plan.history_end),
            history_until=plan.history_end,
        )

    def _fill_features(self) -> None:
        plan, group = self.plan, self.spec.features.group
        if plan.history_end in self.deployment.state.publications(f"online/{group}"):
            return
        dag_id = f"backfill_features__{group}"
        days = {"start": plan.features_from, "end": plan.history_end}
        self._wait(dag_id, self.api.trigger(dag_id, conf=days))

    def _train_first(self) -> None:
        dag_id = f"train_model__{self.spec.model_id}"
        if self._ledger() or self._open_runs(dag_id):
            return
        self._wait(dag_id, self.api.trigger(dag_id, partition=self.plan.trained_as_of))
        self._require_trained()
        if not self._ledger():
            raise MlopsError(f"{dag_id} ended without a version; its tasks say why: {self.api.address}/dags/{dag_id}")

    def _require_trained(self) -> None:
        """Stop where no version has come of a training: the nights after it would show nothing of it."""
        model = self.spec.model_id
        if untrained := find_untrained(self.deployment, model):
            run = f"{self.api.address}/dags/train_model__{model}/runs/{untrained.trained_by}"
            raise MlopsError(f"{untrained}; look at {run}, and then go on with the same command")

    def _play(self, night: str) -> None:
        started = time.monotonic()
        landing = local_path(self.deployment.settings.landing_uri)
        if not self._has_decision(night):
            deliver_night(Path(self.plan.arrivals), night, landing)
            if night in self.plan.happened:
                self.narrator.say(f"  night {night}: {self.plan.happened[night]}")
            with self.narrator.working_on(f"night {night}"):
                for dag_id in self._producers:
                    self._wait(dag_id, self.api.trigger(dag_id, partition=night))
                self._until(lambda: self._is_decided(night), f"night {night} was not monitored")
            self.narrator.say(f"  night {night}: {self._told(night)}")
        self._settle()
        time.sleep(max(0.0, self.pace.night_s - (time.monotonic() - started)))

    def _is_decided(self, night: str) -> bool:
        for stage in ("score_batch", "monitor_model"):
            dag_id = f"{stage}__{self.spec.model_id}"
            for run in self.api.runs(dag_id):
                if run["state"] == "failed" and run["partition_key"] == night:
                    raise self._failed(dag_id, run["dag_run_id"])
        return self._has_decision(night)

    def _has_decision(self, night: str) -> bool:
        return any(d.partition == night for d in self.deployment.state.decisions(self.spec.model_id))

    def _told(self, night: str) -> str:
        last = next(d for d in reversed(self.deployment.state.decisions(self.spec.model_id)) if d.partition == night)
        acted = "" if last.action != "retrain" else (" (acts)" if last.acted else " (recorded, does not act)")
        return f"{last.action}{acted} — {last.reasons[0]}"

    def _settle(self) -> None:
        """Wait for the training that a decision has set off, and for a person's answer to what came of it."""
        model = self.spec.model_id
        training, promotion = f"train_model__{model}", f"promote_model__{model}"

        def is_quiet_or_asks() -> bool:
            untrained = [d for d in self.deployment.state.decisions(model) if d.acted and d.trained_by is None]
            if untrained or self._open_runs(training):
                return False
            if self._waiting(promotion):
                return True
            return lifecycle.holder(self._ledger(), Stage.STAGING) is None and not self._open_runs(promotion)

        while True:
            self._until(is_quiet_or_asks, f"{training} and {promotion} did not come to an end")
            questions = self._waiting(promotion)
            if not questions:
                self._require_trained()
                return
            self._have_answered(promotion, questions[0])
            moved = self._ledger()[-1]
            self.narrator.say(
                f"  version {moved.version}: {moved.from_stage} → {moved.to_stage} by {moved.actor}: {moved.reason}"
            )

    def _have_answered(self, dag_id: str, question: dict[str, Any]) -> None:
        run_id = question["task_instance"]["dag_run_id"]
        self.narrator.say(f"  {question['subject']}")
        if self._patience_s != 0 and self._is_answered_by_person(dag_id, run_id):
            return
        self.narrator.say(f"  {APPROVED_BY_DEMO}")
        # Who did not answer the first question is not there for the next one.
        self._patience_s = 0
        self.api.answer(question, "Approve", reason=f"{APPROVED_BY_DEMO}: its gates passed")
        self._wait(dag_id, run_id)

    def _is_answered_by_person(self, dag_id: str, run_id: str) -> bool:
        where = f"{self.api.address}/dags/{dag_id}/runs/{run_id}/tasks/approve/required_actions"
        patience = f" (for {self._patience_s:.0f} s, then the demo answers)" if self._patience_s is not None else ""
        self.narrator.say(f"  the demo waits for your answer{patience}: {where}")
        until = time.monotonic() + self._patience_s if self._patience_s is not None else None
        with self.narrator.working_on("waiting for your approval"):
            while self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"] not in _ENDED:
                self._measure_memory()
                time.sleep(_POLL_S)
                if until is not None and time.monotonic() > until and self._waiting(dag_id):
                    return False
        return True

    def _waiting(self, dag_id: str) -> list[dict[str, Any]]:
        return [a for a in self.api.waiting_approvals() if a["task_instance"]["dag_id"] == dag_id]

    def _open_runs(self, dag_id: str) -> list[dict[str, Any]]:
        return [run for run in self.api.runs(dag_id) if run["state"] not in _ENDED]

    def _ledger(self) -> tuple[lifecycle.LedgerMove, ...]:
        return self.deployment.state.ledger(self.spec.model_id)

    def _wait_for_dags(self) -> None:
        def parsed() -> bool:
            known = {dag["dag_id"] for dag in self.api.request("GET", "/dags", limit=100)["dags"]}
            errors = self.api.request("GET", "/importErrors")["import_errors"]
            if errors:
                raise MlopsError(f"{errors[0]['filename']} can't be imported: {errors[0]['stack_trace'][-400:]}")
            return set(self.dags) <= known

        self._until(parsed, "the DAGs were not parsed")

    def _wait(self, dag_id: str, run_id: str) -> None:
        def ended() -> bool:
            run = self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
            if run["state"] == "failed":
                raise self._failed(dag_id, run_id)
            return bool(run["state"] == "success")

        self._until(ended, f"run {run_id} of {dag_id} did not end")

    def _failed(self, dag_id: str, run_id: str) -> MlopsError:
        return MlopsError(f"run {run_id} of {dag_id} failed; look at {self.api.address}/dags/{dag_id}/runs/{run_id}")

    def _until(self, is_true: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _STEP_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline:
                raise MlopsError(f"{otherwise} within {_STEP_TIMEOUT_S} s; look at {self.api.address}")
            self._measure_memory()
            time.sleep(_POLL_S)

    def _measure_memory(self) -> None:
        if time.monotonic() - self._measured_at > _MEMORY_EVERY_S:
            self._measured_at = time.monotonic()
            self.report.peak_pss_mb = max(self.report.peak_pss_mb, self._processes.pss_mb(self._postgres.pid() or 0))

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        with self.narrator.working_on(name):
            yield
        self.report.seconds[name] = time.monotonic() - started
        self.narrator.say(f"✓ {name} ({self.report.seconds[name]:.0f} s)")
