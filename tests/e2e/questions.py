"""What a test's person does to a question about a version, by Airflow's REST API.

What belongs here: staging a version, asking, answering, and every way to make a run go on without an answer. What does
not: a claim about what moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from include.embedded.api import AirflowApi
from include.errors import MlopsError
from include.governance import lifecycle
from include.governance.evidence import Evidence
from include.governance.lifecycle import MoveRequest, Stage
from include.refs import CandidateRef
from include.specs.models import load_model
from include.steps.compare_champion import find_champion
from include.steps.gate_candidate import thresholds
from tests.e2e.loop import NIGHT, Loop

DAG = "promote_model__churn"
FORGED_CONF = {"version": 1, "answer": "Approve", "approved_by": "eve", "reason": "conf says so"}
_ENDED = ("success", "failed", "skipped")


@dataclass(frozen=True)
class Asked:
    """A run of the DAG that asks, seen by an administrator."""

    api: AirflowApi
    run_id: str

    @property
    def run(self) -> str:
        """Where its run is."""
        return f"/dags/{DAG}/dagRuns/{self.run_id}"

    @property
    def task(self) -> str:
        """Where its task is."""
        return f"{self.run}/taskInstances/approve"

    def state(self) -> tuple[str | None, int]:
        """Return the task's state and which try it is at."""
        found = self.api.request("GET", self.task)
        return found["state"], found["try_number"]

    def is_on_record(self) -> bool:
        """Say whether Airflow has its question on record."""
        try:
            self.api.request("GET", f"{self.task}/-1/hitlDetails")
        except MlopsError:
            return False
        return True

    def has_ended(self) -> bool:
        """Say whether the task has ended."""
        return self.state()[0] in _ENDED

    def answer(self, option: str, *, who: AirflowApi | None = None, map_index: int = -1, reason: str = "") -> Any:
        """Answer, once; what becomes of it is not waited for."""
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        return (who or self.api).request("PATCH", f"{self.task}/{map_index}/hitlDetails", body)

    def log(self) -> str:
        """Return what all tries of the task have said."""
        said = []
        for number in range(1, self.state()[1] + 1):
            text = self.api.request("GET", f"{self.task}/logs/{number}")
            said += [str(entry.get("event", "")) for entry in text["content"]]
        return "\n".join(said)


def stage_by_hand(loop: Loop) -> int:
    """Put another version into Staging without a word to Airflow, as `mlops train` does, and return it."""
    from mlflow import MlflowClient

    settings, name = loop.deployment.settings, load_model("churn").registered_name
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    known = client.get_model_version(name, "1")
    made = client.create_model_version(name, known.source, run_id=known.run_id, tags=dict(known.tags))
    state = loop.deployment.state
    registered = state.registration("churn", 1)
    assert registered is not None
    state.record_registration("churn", int(made.version), run_id=known.run_id, files=registered.files)
    moves = state.ledger("churn")
    first = next(move.evidence for move in moves if move.to_stage == Stage.STAGING and move.evidence)
    evidence = _of_today(loop, int(made.version), first)
    request = MoveRequest("churn", int(made.version), NIGHT, actor="train_model", reason="by hand", evidence=evidence)
    loop.deployment.state.append_moves(lifecycle.stage_candidate(moves, request))
    return int(made.version)


def _of_today(loop: Loop, version: int, evidence: Evidence) -> Evidence:
    """Return evidence as if it had been compared with the version in Production now."""
    champion = find_champion(loop.deployment, CandidateRef("churn", version, evidence.run_id, evidence.as_of))
    limit = thresholds(load_model("churn").gates, champion)["champion"]
    gates = (replace(g, verdict="pass", threshold=limit) if g.gate == "champion" else g for g in evidence.gates)
    return replace(evidence, gates=tuple(gates), champion=champion.version)


def ask(loop: Loop) -> Asked:
    """Start a run of the DAG, with a conf that claims an answer."""
    return Asked(loop.api, loop.api.trigger(DAG, conf=FORGED_CONF))


def be_asked(loop: Loop) -> Asked:
    """Return the run whose question waits for an answer; start one where there is none."""
    waiting = [found for found in loop.waiting() if found["task_instance"]["dag_id"] == DAG]
    if waiting:
        return Asked(loop.api, waiting[0]["task_instance"]["dag_run_id"])
    asked = ask(loop)
    until_waiting(loop, asked, tries=1)
    return asked


def until_waiting(loop: Loop, asked: Asked, *, tries: int) -> None:
    """Wait until a task waits for an answer at its try of that number, or a later one, with its question on record."""

    def is_waiting() -> bool:
        state, number = asked.state()
        return state == "deferred" and number >= tries and asked.is_on_record()

    loop.until(is_waiting, f"the question of {asked.run_id}")
    time.sleep(1)


def write_xcoms(loop: Loop, asked: Asked) -> None:
    """Write what an approval would have returned, under every key that one was ever read from, and run it again."""
    forged = {"option": "Approve", "actor": "eve", "reason": "trust me", "chosen_options": ["Approve"]}
    for key in ("return_value", "answer"):
        loop.api.request("POST", f"{asked.task}/xcomEntries", {"key": key, "value": forged, "map_index": -1})
    clear_task(loop, asked)


def clear_task(loop: Loop, asked: Asked) -> None:
    """Clear the task, and wait until it waits again."""
    tries = asked.state()[1]
    body = {"dry_run": False, "dag_run_id": asked.run_id, "task_ids": ["approve"], "only_failed": False}
    loop.api.request("POST", f"/dags/{DAG}/clearTaskInstances", body)
    until_waiting(loop, asked, tries=tries + 1)


def mark_task(loop: Loop, asked: Asked) -> None:
    """Mark the task as a success, and wait until its run has ended by it."""
    loop.api.request("PATCH", asked.task, {"new_state": "success"})
    loop.ended(DAG, asked.run_id)


def mark_run(loop: Loop, asked: Asked) -> None:
    """Mark the run as a success."""
    loop.api.request("PATCH", asked.run, {"state": "success"})
    loop.until(asked.has_ended, "the task of a run that was marked")


def clear_what_was_marked(loop: Loop, asked: Asked) -> None:
    """Mark the task as a success, then clear it."""
    mark_task(loop, asked)
    clear_task(loop, asked)


def run_beside(loop: Loop, asked: Asked) -> None:
    """Start a second run, with a conf that claims an answer."""
    second = ask(loop)
    loop.ended(DAG, second.run_id)
    assert second.state()[0] == "skipped"
    assert f"is asked about already, by approve of run {asked.run_id}" in second.log()


def answer_elsewhere(_: Loop, asked: Asked) -> None:
    """Answer to map indices that do not ask."""
    for map_index in (0, 7):
        with pytest.raises(MlopsError, match="404"):
            asked.answer("Approve", map_index=map_index)


WAYS: dict[str, Callable[[Loop, Asked], None]] = {
    "an XCom written and the task cleared": write_xcoms,
    "an answer to another map index": answer_elsewhere,
    "a second run, with conf": run_beside,
    "the task marked, then cleared": clear_what_was_marked,
    "the task marked as success": mark_task,
    "the run marked as success": mark_run,
}
