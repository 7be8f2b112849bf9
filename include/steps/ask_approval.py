"""Which version a question is about, and what its answer leads to.

What belongs here: looking up what waits and what was asked, and moving a version as an answer says. What does not:
putting the question and reading the answer, which Airflow does, and the rules of moving (`governance.lifecycle`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from include.adapters.deployment import Deployment
from include.errors import MlopsError, RefusedError
from include.governance import lifecycle
from include.governance.approval import APPROVE, REJECT, Answer, Approval, AskedBy, Question, asked_since
from include.governance.lifecycle import Stage
from include.steps.move_model import project, promote_version, reject_version


@dataclass(frozen=True)
class WaitingCandidate:
    """The version that waits in Staging, and every question about it, in the order they were recorded."""

    model_id: str
    version: int
    questions: tuple[Question, ...]

    def asked_by(self, task: AskedBy) -> Question | None:
        """Return the newest question of a task, whichever of its tries put it; None where it has not asked."""
        own = [question for question in self.questions if question.by.is_same_task(task)]
        return own[-1] if own else None

    def require_no_other(self, task: AskedBy, is_open: Callable[[AskedBy], bool]) -> None:
        """Refuse to ask beside a task of another run that still does: one question waits for each version.

        Raises
        ------
        RefusedError
            If there is one.
        """
        others = {q.by.place: q.by for q in self.questions if not q.by.is_same_task(task)}
        if asking := next((other for other in others.values() if is_open(other)), None):
            raise RefusedError(
                f"{self.model_id} version {self.version} is asked about already, by {asking.task_id} of run "
                f"{asking.run_id} of {asking.dag_id}: it is answered there"
            )


def find_candidate(deployment: Deployment, model_id: str, *, task: AskedBy | None = None) -> WaitingCandidate:
    """Return the version that waits in Staging, by the ledger, with what was asked about it.

    Parameters
    ----------
    deployment : Deployment
    model_id : str
    task : AskedBy, optional
        Who wants to ask.

    Raises
    ------
    RefusedError
        If none waits.
    """
    version = lifecycle.holder(deployment.state.ledger(model_id), Stage.STAGING)
    if version is None:
        if task is not None and any(q.by.is_same_task(task) for q in deployment.state.questions(model_id)):
            # Its try before this one may have died between the ledger and the registry.
            project(deployment, model_id)
        raise RefusedError(f"no version of {model_id} waits in Staging")
    return WaitingCandidate(model_id, version, _about(deployment, model_id, version))


def find_questions(model_id: str, version: int) -> tuple[Question, ...] | None:
    """Return the questions about a version; None where it does not wait any more."""
    deployment = Deployment.from_env()
    if lifecycle.holder(deployment.state.ledger(model_id), Stage.STAGING) != version:
        return None
    return _about(deployment, model_id, version)


def record_question(
    deployment: Deployment, waiting: WaitingCandidate, task: AskedBy, *, asked_at: datetime, expires_at: datetime
) -> Question:
    """Record that a task has asked about a version, and return the question."""
    question = Question(waiting.model_id, waiting.version, task, asked_at, expires_at)
    deployment.state.record_question(question)
    return question


def take_over_question(deployment: Deployment, question: Question, task: AskedBy) -> Question:
    """Record that a question is that of a later try of its task: Airflow has moved its record there."""
    taken = replace(question, by=task)
    deployment.state.record_question(taken)
    return taken


def take_answer(deployment: Deployment, model_id: str, answer: Answer) -> str:
    """Move the version that was asked about as a person has answered, in that person's name, and say what was done.

    Raises
    ------
    RefusedError
        If the version does not wait any more, not with the evidence that it was asked about with, or not with the gates
        of today.
    ConflictError
        If somebody else moved a version at the same time.
    MlopsError
        If the answer is to no question of ours, or none that can be given.
    """
    asked = [question for question in deployment.state.questions(model_id) if question.by.ti_id == answer.ti_id]
    if not asked:
        raise MlopsError(f"no question about {model_id} is on record for task instance {answer.ti_id}: nothing moves")
    question = asked[-1]
    if question not in _about(deployment, model_id, question.version):
        raise RefusedError(
            f"{model_id} version {question.version} has other evidence than it was asked about with; it is asked anew"
        )
    if answer.option not in (APPROVE, REJECT):
        raise MlopsError(f"{answer.option!r} answers no question about {model_id}; there is {APPROVE} and {REJECT}")
    version, who, why, approval = question.version, answer.user_name, answer.reason, Approval.of(question, answer)
    if answer.option == APPROVE:
        asked_at = question.recorded_at
        promote_version(
            deployment, model_id, version=version, actor=who, reason=why, approval=approval, asked_at=asked_at
        )
    else:
        reject_version(deployment, model_id, version=version, actor=who, reason=why, approval=approval)
    done = "in Production, approved" if answer.option == APPROVE else "archived, rejected"
    return f"version {question.version} is {done} by {answer.user_name}"


def _about(deployment: Deployment, model_id: str, version: int) -> tuple[Question, ...]:
    """Return the questions about a version since it was staged; an answer to an earlier one is to other evidence."""
    asked = (question for question in deployment.state.questions(model_id) if question.version == version)
    return asked_since(asked, lifecycle.staged_at(deployment.state.ledger(model_id), version))
