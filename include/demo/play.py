"""The demo: drive the loop through the scheduler and the REST API, as a person with a browser would.

What belongs here: the order of a person's actions. What does not: any of the loop's own work, which the DAGs do; one
model's part (``play_model``); waiting (``waiting``); the files that are played (``plan``); the closing report.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from include.adapters.deployment import Deployment
from include.demo.approver import Approver
from include.demo.online_questions import OnlineQuestions
from include.demo.pace import Narrator, Pace
from include.demo.plan import DemoPlan
from include.demo.play_model import PlayedModel
from include.demo.waiting import Waiting
from include.embedded.api import AirflowApi
from include.errors import MlopsError
from include.settings import local_path
from include.specs.sources import load_source
from include.steps.generate_orders import deliver_night
from include.steps.import_source import import_file


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
    serving_url : str
        The home's online service.
    """

    def __init__(
        self,
        deployment: Deployment,
        api: AirflowApi,
        plan: DemoPlan,
        pace: Pace,
        narrator: Narrator,
        serving_url: str,
    ) -> None:
        self.deployment = deployment
        self.api = api
        self.plan = plan
        self.pace = pace
        self.narrator = narrator
        self.report = DemoReport()
        self.waiting = Waiting(deployment.settings.home, api)
        self.online = OnlineQuestions(deployment, serving_url, self.waiting)
        approver = Approver(self.waiting, pace, narrator)
        self.models = [PlayedModel(name, deployment, self.waiting, approver) for name in plan.arguments.models]

    @property
    def dags(self) -> tuple[str, ...]:
        """The DAGs of the loop, in order."""
        return (
            self._ingest,
            *(f"backfill_features__{group}" for group in self.plan.features_from),
            *self._materializations,
            *(dag_id for model in self.models for dag_id in model.dags),
        )

    def run(self) -> DemoReport:
        """Import the history, fill the features, train, have it approved, then let the nights arrive."""
        plan, names = self.plan, ", ".join(model.model_id for model in self.models)
        with self._stage("import the history"):
            self._import_history()
        with self._stage("wait until Airflow has parsed the DAGs"):
            self._wait_for_dags()
        with self._stage(f"build features {min(plan.features_from.values())} … {plan.history_end}, a run a group"):
            self._fill_features()
        with self._stage(f"train {names} as of {plan.trained_as_of}, hold each against its gates"):
            self._train_first()
        with self._stage("approve and promote"):
            for model in self.models:
                model.settle(self.narrator)
                model.require_champion()
        for dag_id in (self._ingest, *self._materializations):
            self.api.unpause(dag_id)
        with self._stage(f"{len(plan.nights)} nights: ingest, build, score, monitor, decide"):
            for night in plan.nights:
                self._play(night)
            for model in self.models:
                model.have_monitored()
        for dag_id in (self._ingest, *self._materializations):
            self.api.unpause(dag_id, paused=True)
        self.report.peak_pss_mb = self.waiting.peak_pss_mb
        return self.report

    @property
    def _ingest(self) -> str:
        return load_source(self.plan.arguments.source).ingest_dag_id

    @property
    def _materializations(self) -> tuple[str, ...]:
        return tuple(f"materialize_features__{group}" for group in self.plan.features_from)

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
        plan, runs = self.plan, {}
        for group, first in plan.features_from.items():
            if plan.history_end in self.deployment.state.publications(f"online/{group}"):
                continue
            dag_id = f"backfill_features__{group}"
            runs[dag_id] = self.api.trigger(dag_id, conf={"start": first, "end": plan.history_end})
        self.waiting.have_ended(runs)

    def _train_first(self) -> None:
        started = [model.start_training(self.plan.trained_as_of) for model in self.models]
        for model, runs in zip(self.models, started, strict=True):
            self.waiting.have_ended(runs)
            if runs:
                model.require_version()

    def _play(self, night: str) -> None:
        started = time.monotonic()
        landing = local_path(self.deployment.settings.landing_uri)
        if not self._is_decided(night):
            deliver_night(Path(self.plan.arrivals), night, landing)
            if night in self.plan.happened:
                self.narrator.say(f"  night {night}: {self.plan.happened[night]}")
            with self.narrator.working_on(f"night {night}"):
                self.waiting.run_all(night, self._ingest)
                self.waiting.run_all(night, *self._materializations)
                self.waiting.until(lambda: self._is_decided(night), f"night {night} was not monitored")
                for model in self.models:
                    self.online.ask(model.model_id, night)
            for line in self._told(night):
                self.narrator.say(f"  night {night}: {line}")
        for model in self.models:
            model.settle(self.narrator)
        time.sleep(max(0.0, self.pace.night_s - (time.monotonic() - started)))

    def _is_decided(self, night: str) -> bool:
        return all(model.is_decided(night) for model in self.models)

    def _told(self, night: str) -> Iterator[str]:
        """Yield what was decided on a night, a line for all models of which the same is said."""
        told: dict[tuple[str, str], list[str]] = {}
        for model in self.models:
            if (decision := model.decision(night)) is not None:
                acts = " (acts)" if decision.acted else " (recorded, does not act)"
                action = decision.action + (acts if decision.action == "retrain" else "")
                told.setdefault((action, decision.reasons[0]), []).append(model.model_id)
        for (action, reason), names in told.items():
            yield f"{action}: {', '.join(names)} — {reason}"

    def _wait_for_dags(self) -> None:
        def parsed() -> bool:
            known = {dag["dag_id"] for dag in self.api.request("GET", "/dags", limit=100)["dags"]}
            errors = self.api.request("GET", "/importErrors")["import_errors"]
            if errors:
                raise MlopsError(f"{errors[0]['filename']} can't be imported: {errors[0]['stack_trace'][-400:]}")
            return set(self.dags) <= known

        self.waiting.until(parsed, "the DAGs were not parsed")

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        with self.narrator.working_on(name):
            yield
        self.report.seconds[name] = time.monotonic() - started
        self.narrator.say(f"✓ {name} ({self.report.seconds[name]:.0f} s)")
