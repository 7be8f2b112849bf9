"""The trigger behind a question to a person: it reads Airflow's own record of the answer.

What belongs here: looking at that record and at what waits. What does not: putting the question, and the move that
follows its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from uuid import UUID

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.triggers.settling import FIRST_LOOK_S

if TYPE_CHECKING:
    from airflow.sdk.api.datamodels._generated import HITLDetailResponse

    from include.governance.approval import Answer, Question

_NOT_FOUND = 404


class AnswerFields(TypedDict):
    """An answer as an event carries it."""

    ti_id: str
    option: str
    user_id: str
    user_name: str
    answered_at: str
    reason: str


class ApprovalEvent(TypedDict):
    """What a look at the record has found.

    ``moved_on``: the version does not wait any more, or not with what was told of it. ``expired``: the wait is over and
    nobody has answered. ``unanswered``: nobody has answered yet, and the trigger was to look once.
    """

    outcome: Literal["answered", "moved_on", "expired", "unanswered"]
    answer: AnswerFields | None


class ApprovalTrigger(BaseTrigger):
    """Fire when a question about a version has been answered, when the version has moved on, or when time is up.

    Every question about the version counts, those of earlier tries and runs too: an answer that Airflow has taken
    down is never lost.

    Parameters
    ----------
    model_id : str
    version : int
        Which version is asked about.
    waits_for : str or None
        The task instance whose question is waited for until it expires; None looks once.
    poll_interval_s : float
        Seconds between two looks.
    """

    def __init__(self, model_id: str, version: int, waits_for: str | None, poll_interval_s: float) -> None:
        super().__init__()
        self.model_id = model_id
        self.version = version
        self.waits_for = waits_for
        self.poll_interval_s = poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "mlops.triggers.approval.ApprovalTrigger",
            {
                "model_id": self.model_id,
                "version": self.version,
                "waits_for": self.waits_for,
                "poll_interval_s": self.poll_interval_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to tell, then fire once."""
        await asyncio.sleep(FIRST_LOOK_S)
        while (found := await self._look()) is None:
            await asyncio.sleep(self.poll_interval_s)
        yield TriggerEvent({"found": found})

    async def _look(self) -> ApprovalEvent | None:
        from include.governance.approval import first_that_counts
        from include.steps.ask_approval import find_questions

        # Before the record is read: what was answered in time is in it by then.
        now = datetime.now(UTC)
        questions = await asyncio.to_thread(find_questions, self.model_id, self.version)
        if questions is None:
            return ApprovalEvent(outcome="moved_on", answer=None)
        answer = first_that_counts(questions, await asyncio.to_thread(_read_answers, questions))
        if answer is not None:
            return ApprovalEvent(outcome="answered", answer=_fields(answer))
        if self.waits_for is None:
            return ApprovalEvent(outcome="unanswered", answer=None)
        own = [question for question in questions if question.by.ti_id == self.waits_for]
        if not own:
            # Since it was asked the version has got other evidence.
            return ApprovalEvent(outcome="moved_on", answer=None)
        return None if own[-1].is_open(now) else ApprovalEvent(outcome="expired", answer=None)


def _read_answers(questions: Sequence[Question]) -> list[Answer]:
    found = (read_answer(question.by.ti_id) for question in questions)
    return [answer for answer in found if answer is not None]


def read_answer(ti_id: str) -> Answer | None:
    """Return what Airflow's record says a person has answered to a task instance; None where nobody has.

    The record of a try that was retried or cleared has moved to the next one's id.
    """
    from include.governance.approval import Answer
    from include.words import as_line

    record = _read_record(ti_id)
    if record is None or record.responded_by_user is None or record.responded_at is None:
        return None
    options = list(record.chosen_options or ())
    if not record.response_received or len(options) != 1:
        return None
    return Answer(
        ti_id=ti_id,
        option=options[0],
        user_id=record.responded_by_user.id,
        user_name=record.responded_by_user.name,
        answered_at=record.responded_at,
        # Airflow holds an answer that is posted to none of the form's rules.
        reason=as_line(str((record.params_input or {}).get("reason") or "")) or "no reason given",
    )


def _read_record(ti_id: str) -> HITLDetailResponse | None:
    from airflow.sdk.execution_time.hitl import get_hitl_detail_content_detail

    try:
        return get_hitl_detail_content_detail(UUID(ti_id))
    except AirflowRuntimeError as err:
        if (err.error.detail or {}).get("status_code") != _NOT_FOUND:
            raise
        return None


def _fields(answer: Answer) -> AnswerFields:
    return AnswerFields(
        ti_id=answer.ti_id,
        option=answer.option,
        user_id=answer.user_id,
        user_name=answer.user_name,
        answered_at=answer.answered_at.isoformat(),
        reason=answer.reason,
    )
