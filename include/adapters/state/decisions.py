"""Decisions on retraining, the watermark that says whether one acts, and who trains on it.

What belongs here: recording, and the compare-and-set of a model's watermark. What does not: what is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase


@dataclass(frozen=True)
class DecisionRow:
    """A recorded decision on whether to retrain."""

    decision_id: int
    model_id: str
    partition: str
    action: str
    trigger: str
    reasons: tuple[str, ...]
    acted: bool
    run_id: str
    recorded_at: datetime
    trained_by: str | None = None


class DecisionTables(StateDatabase):
    """Decisions, watermarks and claims, by model."""

    def record_decision(
        self,
        *,
        model_id: str,
        partition: str,
        action: str,
        trigger: str,
        reasons: Sequence[str],
        run_id: str,
        newest_published: str | None,
        explicit: bool = False,
    ) -> DecisionRow:
        """Record a decision; say whether it acts.

        A `retrain` acts when its partition is newer than the model's watermark, which it moves, and
        is the newest published one. The same run asking again gets its own row back: a retried task
        loses nothing and doubles nothing.

        Parameters
        ----------
        newest_published : str or None
            The newest published partition of what the model reads.
        explicit : bool
            A person or a business event asked: it acts whatever the watermark says, and leaves it where it is.
        """
        table = tables.retrain_decision
        with self._transaction() as connection:
            self._lock(connection, model_id)
            known = connection.execute(
                sa.select(table.c.decision_id).where(
                    table.c.model_id == model_id, table.c.partition_key == partition, table.c.run_id == run_id
                )
            ).scalar()
            if known is None:
                is_newest = newest_published is None or partition >= newest_published
                advanced = is_newest and not explicit and self._advance(connection, model_id, partition)
                known = connection.execute(
                    sa.insert(table)
                    .values(
                        model_id=model_id,
                        partition_key=partition,
                        action=action,
                        trigger=trigger,
                        reasons=list(reasons),
                        acted=action == "retrain" and (advanced or explicit),
                        run_id=run_id,
                    )
                    .returning(table.c.decision_id)
                ).scalar_one()
            return next(_decisions(connection, table.c.decision_id == known))

    def decisions(self, model_id: str) -> tuple[DecisionRow, ...]:
        """Return a model's decisions, in the order they were recorded."""
        with self._transaction() as connection:
            return tuple(_decisions(connection, tables.retrain_decision.c.model_id == model_id))

    def claim_training(self, decision_id: int, run_id: str) -> str:
        """Claim a decision for a training run and return the run that holds it: this one, or an earlier one."""
        table = tables.training_claim
        with self._transaction() as connection:
            connection.execute(insert(table).values(decision_id=decision_id, run_id=run_id).on_conflict_do_nothing())
            return str(
                connection.execute(sa.select(table.c.run_id).where(table.c.decision_id == decision_id)).scalar_one()
            )

    @staticmethod
    def _advance(connection: sa.Connection, model_id: str, partition: str) -> bool:
        table = tables.watermark
        statement = insert(table).values(model_id=model_id, partition_key=partition)
        moved = connection.execute(
            statement.on_conflict_do_update(
                index_elements=["model_id"],
                set_={"partition_key": statement.excluded.partition_key},
                where=table.c.partition_key < statement.excluded.partition_key,
            ).returning(table.c.partition_key)
        )
        return moved.first() is not None


def _decisions(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Iterator[DecisionRow]:
    table, claim = tables.retrain_decision, tables.training_claim
    query = (
        sa.select(table, claim.c.run_id.label("trained_by"))
        .join(claim, claim.c.decision_id == table.c.decision_id, isouter=True)
        .where(condition)
        .order_by(table.c.decision_id)
    )
    for row in connection.execute(query):
        yield DecisionRow(
            decision_id=row.decision_id,
            model_id=row.model_id,
            partition=row.partition_key,
            action=row.action,
            trigger=row.trigger,
            reasons=tuple(row.reasons),
            acted=row.acted,
            run_id=row.run_id,
            recorded_at=row.recorded_at,
            trained_by=row.trained_by,
        )
