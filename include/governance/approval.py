"""A question to a person about a version, and the answer: where Airflow keeps them, and what they say.

What belongs here: these values, which answer counts, and the one reading and writing of the ledger's JSON. What does
not: asking (the DAG), reading Airflow's record (``mlops``), and the move that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from include.governance.kept_json import read_kept

APPROVE, REJECT = "Approve", "Reject"


@dataclass(frozen=True)
class AskedBy:
    """The task instance that asks: Airflow keeps its question and the answer under the id."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    ti_id: str

    def is_same_task(self, other: AskedBy) -> bool:
        """Say whether both are tries of one task of one run: each try has an id of its own."""
        return self.place == other.place

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Where a person finds the task in Airflow."""
        return self.dag_id, self.run_id, self.task_id, self.map_index


@dataclass(frozen=True)
class Question:
    """One version that a task asked about, at one of its tries.

    Attributes
    ----------
    model_id : str
    version : int
    by : AskedBy
    asked_at, expires_at : datetime
        When it was put to a person, at the first try, and until when an answer counts.
    recorded_at : datetime or None
        By the clock that the ledger's rows have theirs from; None before it is recorded.
    """

    model_id: str
    version: int
    by: AskedBy
    asked_at: datetime
    expires_at: datetime
    recorded_at: datetime | None = field(default=None, compare=False)

    def is_open(self, now: datetime) -> bool:
        """Say whether an answer that is given now counts."""
        return now <= self.expires_at


@dataclass(frozen=True)
class Answer:
    """What Airflow's record of a question says: who chose what, and when."""

    ti_id: str
    option: str
    user_id: str
    user_name: str
    answered_at: datetime
    reason: str


@dataclass(frozen=True)
class Approval:
    """An answer and where Airflow keeps it, as the ledger's row of the move that it caused refers to them."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    ti_id: str
    option: str
    user_id: str
    user_name: str
    answered_at: str

    @classmethod
    def of(cls, question: Question, answer: Answer) -> Approval:
        """Return the reference to an answered question."""
        return cls(
            **asdict(question.by),
            option=answer.option,
            user_id=answer.user_id,
            user_name=answer.user_name,
            answered_at=answer.answered_at.isoformat(),
        )


def asked_since(questions: Iterable[Question], staged_at: datetime | None) -> tuple[Question, ...]:
    """Return the questions that were recorded after a version was staged: what is told in earlier ones is not of it."""
    return tuple(
        question
        for question in questions
        if staged_at is None or question.recorded_at is None or question.recorded_at >= staged_at
    )


def first_that_counts(questions: Sequence[Question], answers: Iterable[Answer]) -> Answer | None:
    """Return the earliest answer to one of the questions; one that came when its question had expired is none."""
    expiry = {question.by.ti_id: question.expires_at for question in questions}
    in_time = (answer for answer in answers if answer.answered_at <= expiry[answer.ti_id])
    return min(in_time, key=lambda answer: answer.answered_at, default=None)


_APPROVAL = TypeAdapter(Approval)


def to_json(approval: Approval | None) -> dict[str, Any] | None:
    """Return what the ledger keeps of an approval; None where a move rests on none."""
    return None if approval is None else asdict(approval)


def from_json(kept: object, *, row: str) -> Approval | None:
    """Read what `to_json` wrote.

    Raises
    ------
    MlopsError
        If it is something else; `row` says where.
    """
    return None if kept is None else read_kept(_APPROVAL, kept, what="approval", row=row)
