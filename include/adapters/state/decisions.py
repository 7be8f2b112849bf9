"""Decisions on retraining, the newest night that was decided on, and who trains on a decision.

What belongs here: recording, in one transaction with the facts it rests on. What does not: what is decided, and the
rule that says whether it acts (`monitoring.acting`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.errors import ConflictError
from include.monitoring.acting import Acting, ActingFacts

if TYPE_CHECKING:
    from include.monitoring.decision import Decision


@dataclass(frozen=True)
class DecisionRow:
    """A recorded decision on whether to retrain.

    Attributes
    ----------
    decision_id : int
        Its key: unique among all models, and what it leaps by after a crash means nothing.
    number : int
        Counts the model's decisions from 1, in the order they were recorded: what a person is told.
    partition : str
        The night that was decided on.
    acted : bool
        It starts a training.
    run_id : str
        Who decided.
    trained_by : str or None
        The run that trains on it.
    failed_at : str or None
        Where and why its training came to nothing the last time; a version may have come of it since.
    requested : bool
        A person or a business event asked for it; it is no night's own decision.
    """

    decision_id: int
    number: int
    model_id: str
    partition: str
    action: str
    trigger: str
    reasons: tuple[str, ...]
    acted: bool
    run_id: str
    recorded_at: datetime
    trained_by: str | None = None
    failed_at: str | None = None
    requested: bool = False


@dataclass(frozen=True)
class DecisionRequest:
    """What a person or a business event asked for.

    Attributes
    ----------
    keys : tuple of str
        What it is known by; it may be several events in one.
    seen : int or None
        The newest decision that acted before it was judged.
    """

    keys: tuple[str, ...]
    seen: int | None


class DecisionTables(StateDatabase):
    """Decisions, watermarks and claims, by model."""

    def record_decision(
        self,
        model_id: str,
        decision: Decision,
        *,
        partition: str,
        run_id: str,
        reads: str,
        rule: Callable[[ActingFacts], Acting],
        request: DecisionRequest | None = None,
    ) -> DecisionRow:
        """Record a decision and move the watermark, both or neither, as a rule says of what stands at that moment.

        The same run asking again gets its own row back: a retried task loses nothing and doubles nothing. So does a
        request whose keys are all known, whichever run and night it comes with. Other decisions of the model wait
        meanwhile.

        Parameters
        ----------
        model_id : str
        decision : Decision
        partition : str
            The night that was decided.
        run_id : str
            Who decided.
        reads : str
            What the model reads, as a target of publications.
        rule : callable
            Takes what stands of the model and says whether the decision acts, and where the watermark goes.
        request : DecisionRequest, optional
            Who asked for it; None for a night's own decision.

        Raises
        ------
        ConflictError
            If another decision has acted since the request was judged. If the watermark moved in between, though
            whoever moves it waits here.
        """
        table = tables.retrain_decision
        asked = (table.c.model_id == model_id) & (table.c.partition_key == partition) & (table.c.run_id == run_id)
        with self._transaction() as connection:
            self._lock(connection, model_id)
            known = (
                _known_request(connection, model_id, request)
                if request is not None
                else connection.execute(sa.select(table.c.decision_id).where(asked)).scalar()
            )
            if known is None:
                facts = _read_facts(connection, model_id, reads)
                acting = rule(facts)
                known = _insert(connection, model_id, decision, partition=partition, run_id=run_id, acted=acting.acts)
                _move_watermark(connection, model_id, facts.watermark, acting.watermark)
                _insert_request(connection, model_id, request, known)
            return next(_decisions(connection, table.c.decision_id == known))

    def watermark(self, model_id: str) -> str | None:
        """Return the newest night that was decided on while it was the newest; None before the first one."""
        mark = tables.watermark
        with self._transaction() as connection:
            return connection.execute(sa.select(mark.c.partition_key).where(mark.c.model_id == model_id)).scalar()

    def decisions(self, model_id: str) -> tuple[DecisionRow, ...]:
        """Return a model's decisions, in the order they were recorded."""
        with self._transaction() as connection:
            return tuple(_decisions(connection, tables.retrain_decision.c.model_id == model_id))

    def settled_requests(self, model_id: str) -> frozenset[str]:
        """Return what requests are known by that no training waits for: they did not act, or are trained on."""
        request, decision, claim = tables.training_request, tables.retrain_decision, tables.training_claim
        query = (
            sa.select(request.c.request_key)
            .join(decision, decision.c.decision_id == request.c.decision_id)
            .join(claim, claim.c.decision_id == decision.c.decision_id, isouter=True)
            .where(request.c.model_id == model_id, ~decision.c.acted | claim.c.run_id.is_not(None))
        )
        with self._transaction() as connection:
            return frozenset(connection.execute(query).scalars())

    def claim_training(self, decision_id: int, run_id: str) -> str:
        """Claim a decision for a training run and return the run that holds it: this one, or an earlier one."""
        table = tables.training_claim
        with self._transaction() as connection:
            connection.execute(insert(table).values(decision_id=decision_id, run_id=run_id).on_conflict_do_nothing())
            return str(
                connection.execute(sa.select(table.c.run_id).where(table.c.decision_id == decision_id)).scalar_one()
            )

    def record_training_failure(self, decision_id: int, why: str) -> None:
        """Keep where and why the training on a decision came to nothing; it may, once more, each time it is tried."""
        with self._transaction() as connection:
            connection.execute(insert(tables.training_failure).values(decision_id=decision_id, why=why))


def _read_facts(connection: sa.Connection, model_id: str, reads: str) -> ActingFacts:
    mark, published = tables.watermark, tables.publication
    watermark = sa.select(mark.c.partition_key).where(mark.c.model_id == model_id)
    newest = sa.select(sa.func.max(published.c.partition_key)).where(published.c.target == reads)
    return ActingFacts(connection.execute(watermark).scalar(), connection.execute(newest).scalar())


def _insert(
    connection: sa.Connection, model_id: str, decision: Decision, *, partition: str, run_id: str, acted: bool
) -> int:
    table = tables.retrain_decision
    statement = sa.insert(table).values(
        model_id=model_id,
        partition_key=partition,
        action=decision.action,
        trigger=decision.trigger,
        reasons=list(decision.reasons),
        acted=acted,
        run_id=run_id,
    )
    return int(connection.execute(statement.returning(table.c.decision_id)).scalar_one())


def _known_request(connection: sa.Connection, model_id: str, request: DecisionRequest) -> int | None:
    """Return the newest decision that the keys of a request have got; None where one of them is new."""
    table, decision = tables.training_request, tables.retrain_decision
    asked = (table.c.model_id == model_id) & table.c.request_key.in_(request.keys)
    known = dict(connection.execute(sa.select(table.c.request_key, table.c.decision_id).where(asked)).tuples().all())
    if set(request.keys) <= known.keys():
        return int(max(known.values()))
    acted = (decision.c.model_id == model_id) & decision.c.acted
    newest = connection.execute(sa.select(sa.func.max(decision.c.decision_id)).where(acted)).scalar()
    if newest != request.seen:
        raise ConflictError(f"{model_id}: another decision acted since the request was judged; judge it again")
    return None


def _insert_request(
    connection: sa.Connection, model_id: str, request: DecisionRequest | None, decision_id: int
) -> None:
    for key in request.keys if request is not None else ():
        told = {"model_id": model_id, "request_key": key, "decision_id": decision_id}
        connection.execute(insert(tables.training_request).values(**told).on_conflict_do_nothing())


def _move_watermark(connection: sa.Connection, model_id: str, before: str | None, after: str | None) -> None:
    if after == before:
        return
    table = tables.watermark
    is_there = (table.c.model_id == model_id) & (table.c.partition_key == before)
    move = (
        insert(table)
        .values(model_id=model_id, partition_key=after)
        .on_conflict_do_nothing()
        .returning(table.c.model_id)
        if before is None
        else sa.update(table).where(is_there).values(partition_key=after).returning(table.c.model_id)
    )
    if connection.execute(move).first() is None:
        raise ConflictError(f"{model_id}: the watermark is no longer {before or 'unset'}; decide again")


def _decisions(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Iterator[DecisionRow]:
    table, claim, request = tables.retrain_decision, tables.training_claim, tables.training_request
    # Nothing is deleted, and a model's decisions wait for one another: a number stays what it is.
    count = sa.func.row_number().over(partition_by=table.c.model_id, order_by=table.c.decision_id)
    counted = sa.select(table.c.decision_id, count.label("number")).subquery()
    failure = tables.training_failure
    failed_at = (
        sa.select(failure.c.why)
        .where(failure.c.decision_id == table.c.decision_id)
        .order_by(failure.c.failure_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    is_requested = sa.exists().where(request.c.decision_id == table.c.decision_id)
    query = (
        sa.select(
            table,
            counted.c.number,
            claim.c.run_id.label("trained_by"),
            failed_at.label("failed_at"),
            is_requested.label("requested"),
        )
        .join(counted, counted.c.decision_id == table.c.decision_id)
        .join(claim, claim.c.decision_id == table.c.decision_id, isouter=True)
        .where(condition)
        .order_by(table.c.decision_id)
    )
    for row in connection.execute(query):
        yield DecisionRow(
            decision_id=row.decision_id,
            number=row.number,
            model_id=row.model_id,
            partition=row.partition_key,
            action=row.action,
            trigger=row.trigger,
            reasons=tuple(row.reasons),
            acted=row.acted,
            run_id=row.run_id,
            recorded_at=row.recorded_at,
            trained_by=row.trained_by,
            failed_at=row.failed_at,
            requested=row.requested,
        )
