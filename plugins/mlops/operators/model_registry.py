"""Operators around the MLflow registry.

What belongs here: Airflow's side of a lifecycle move: the question, the wait, and whose answer is taken. What does not:
the rules of moving.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskAwaitingInput

from mlops.dag_defaults import refusals_skip, skip
from mlops.triggers.approval import ApprovalTrigger
from mlops.triggers.settling import FIRST_LOOK_S

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context

    from include.governance.approval import AskedBy, Question
    from include.steps.ask_approval import WaitingCandidate
    from mlops.triggers.approval import AnswerFields, ApprovalEvent

_ENDED = ("success", "failed", "skipped", "upstream_failed", "removed")


class MLflowPromoteModelOperator(ApprovalOperator):
    """Ask a person whether the version that waits in Staging goes to Production, and move it as the answer says.

    Which version is asked about is on record in our state, and who answered what in Airflow: nothing else is believed,
    neither an XCom nor the run's ``conf`` nor the state of a task. Without an answer nothing moves. A question whose
    version has moved on ends; one that nobody answers in time leaves the version in Staging.

    Parameters
    ----------
    model_id : str
        The model's spec.
    response_timeout : timedelta
        How long an answer counts. Set `execution_timeout` to None, or Airflow takes that for it.
    poll_interval_s : float
        Seconds between two looks at whether the version still waits.

    Returns
    -------
    str
        What was done, from `execute_complete`; the task skips where no version waits, where another run asks
        about it already, and where nobody answers in time.
    """

    def __init__(
        self, *, model_id: str, response_timeout: timedelta, poll_interval_s: float = 5.0, **kwargs: Any
    ) -> None:
        super().__init__(
            subject=f"Promote a version of {model_id} to Production?", response_timeout=response_timeout, **kwargs
        )
        self.model_id = model_id
        self.answer_within = response_timeout
        self.poll_interval_s = poll_interval_s

    def execute(self, context: Context) -> None:
        """Ask, unless it has been asked before: an answer may be on record, and to ask anew would erase it."""
        from include.adapters.deployment import Deployment
        from include.steps.ask_approval import take_over_question

        task, waiting = _describe_task(context), self._find_candidate(context)
        with refusals_skip():
            waiting.require_no_other(task, lambda other: _is_open(context, other))
        own = waiting.asked_by(task)
        if own is not None:
            own = take_over_question(Deployment.from_env(), own, task)
        if own is not None and own.is_open(datetime.now(UTC)):
            self.log.info("%s version %d was asked about by a try before: waiting", self.model_id, own.version)
            self._wait(own)
        if waiting.questions:
            self._look(waiting.version)
        self._ask(context, waiting)

    def execute_complete(self, context: Context, event: dict[str, Any], version: int = 0) -> str:
        """Take the answer that is on record, or go on waiting: what Airflow resumes a task with is only a call."""
        found: ApprovalEvent | None = event.get("found")
        if found is None:
            self._look(version)
        if found["answer"] is not None:
            return self._take(found["answer"])
        asked = f"{self.model_id} version {version}"
        if found["outcome"] == "moved_on":
            skip(f"{asked} does not wait in Staging any more with what was told of it: its question is closed")
        if found["outcome"] == "expired":
            skip(
                f"nobody has answered for {asked} in time: nothing moves, it waits in Staging and is asked about again"
            )
        waiting = self._find_candidate(context)
        own = waiting.asked_by(_describe_task(context))
        if own is None or not own.is_open(datetime.now(UTC)):
            self._ask(context, waiting)
        self.log.info("Airflow has no answer on record for %s: nothing moves, it is waited for", asked)
        self._wait(own)

    def _find_candidate(self, context: Context) -> WaitingCandidate:
        from include.adapters.deployment import Deployment
        from include.steps.ask_approval import find_candidate

        with refusals_skip():
            return find_candidate(Deployment.from_env(), self.model_id, task=_describe_task(context))

    def _ask(self, context: Context, waiting: WaitingCandidate) -> NoReturn:
        from include.adapters.deployment import Deployment
        from include.specs.models import load_model
        from include.steps.ask_approval import record_question
        from include.steps.move_model import describe_candidate

        deployment, name = Deployment.from_env(), load_model(self.model_id).registered_name
        self.subject = f"Promote {name} version {waiting.version} to Production?"
        self.body = describe_candidate(deployment, self.model_id, version=waiting.version)
        asked_at = datetime.now(UTC)
        self.log.info("no answer about %s version %d is on record: asking", self.model_id, waiting.version)
        try:
            super().execute(context)
        except TaskAwaitingInput:
            # Airflow would wake the task for an answer only; here the wait ends with the version's own in Staging too.
            task, until = _describe_task(context), asked_at + self.answer_within
            self._wait(record_question(deployment, waiting, task, asked_at=asked_at, expires_at=until))
        raise AssertionError("Airflow's approval returned without asking")

    def _take(self, fields: AnswerFields) -> str:
        from include.adapters.deployment import Deployment
        from include.governance.approval import Answer
        from include.steps.ask_approval import take_answer

        answered_at = datetime.fromisoformat(fields["answered_at"])
        answer = Answer(
            fields["ti_id"], fields["option"], fields["user_id"], fields["user_name"], answered_at, fields["reason"]
        )
        with refusals_skip():
            told = take_answer(Deployment.from_env(), self.model_id, answer)
        self.log.info("%s: %s", self.model_id, told)
        return told

    def _wait(self, question: Question) -> NoReturn:
        self._defer(question.version, question.by.ti_id, self.poll_interval_s)

    def _look(self, version: int) -> NoReturn:
        self._defer(version, None, FIRST_LOOK_S)

    def _defer(self, version: int, waits_for: str | None, poll_interval_s: float) -> NoReturn:
        self.defer(
            trigger=ApprovalTrigger(self.model_id, version, waits_for, poll_interval_s),
            method_name="execute_complete",
            kwargs={"version": version},
        )


def _describe_task(context: Context) -> AskedBy:
    from include.governance.approval import AskedBy

    ti = context["ti"]
    return AskedBy(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index, str(ti.id))


def _is_open(context: Context, task: AskedBy) -> bool:
    states = context["ti"].get_task_states(dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id])
    name = task.task_id if task.map_index < 0 else f"{task.task_id}_{task.map_index}"
    found = states.get(task.run_id, {})
    return name in found and found[name] not in _ENDED
