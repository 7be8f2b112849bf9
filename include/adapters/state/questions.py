"""Questions about versions: which task of Airflow's asked about which, and when.

What belongs here: recording and reading them; a row is only ever added. What does not: the answers, which Airflow
keeps.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.governance.approval import AskedBy, Question


class QuestionTable(StateDatabase):
    """Questions, by model."""

    def record_question(self, question: Question) -> None:
        """Record a question; again for the same try of a task changes nothing."""
        row = {
            "ti_id": question.by.ti_id,
            "model_id": question.model_id,
            "version": question.version,
            "dag_id": question.by.dag_id,
            "run_id": question.by.run_id,
            "task_id": question.by.task_id,
            "map_index": question.by.map_index,
            "asked_at": question.asked_at,
            "expires_at": question.expires_at,
        }
        with self._transaction() as connection:
            connection.execute(insert(tables.approval_question).values(row).on_conflict_do_nothing())

    def questions(self, model_id: str) -> tuple[Question, ...]:
        """Return a model's questions, in the order they were recorded."""
        table = tables.approval_question
        query = sa.select(table).where(table.c.model_id == model_id).order_by(table.c.recorded_at, table.c.ti_id)
        with self._transaction() as connection:
            return tuple(
                Question(
                    model_id=row.model_id,
                    version=row.version,
                    by=AskedBy(row.dag_id, row.run_id, row.task_id, row.map_index, row.ti_id),
                    asked_at=row.asked_at,
                    expires_at=row.expires_at,
                    recorded_at=row.recorded_at,
                )
                for row in connection.execute(query)
            )
