"""The promotion ledger: one row per move, appended by compare-and-set.

What belongs here: reading and appending moves. What does not: what a move means.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from include.adapters.state import history, tables
from include.adapters.state.database import StateDatabase
from include.errors import ConflictError
from include.governance import approval, evidence
from include.governance.lifecycle import LedgerMove, Stage, production_at


class LedgerTable(StateDatabase):
    """Moves of versions, by model."""

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        """Return a model's moves, in order."""
        table = tables.promotion_ledger
        query = sa.select(table).where(table.c.model_id == model_id).order_by(table.c.seq)
        with self._transaction() as connection:
            return tuple(
                LedgerMove(
                    model_id=row.model_id,
                    seq=row.seq,
                    version=row.version,
                    from_stage=Stage(row.from_stage),
                    to_stage=Stage(row.to_stage),
                    partition=row.partition_key,
                    actor=row.actor,
                    reason=row.reason,
                    evidence=evidence.from_json(row.evidence, row=f"promotion_ledger, {row.model_id} move {row.seq}"),
                    recorded_at=row.recorded_at,
                    requested_by=row.requested_by,
                    approval=approval.from_json(row.approval, row=f"promotion_ledger, {row.model_id} move {row.seq}"),
                )
                for row in connection.execute(query)
            )

    def append_moves(self, moves: Sequence[LedgerMove]) -> None:
        """Append the next moves of a model, all or none.

        Raises
        ------
        ConflictError
            If another move was recorded since the ledger was read.
        """
        model_id = moves[0].model_id
        rows = [
            {
                "seq": move.seq,
                "version": move.version,
                "from_stage": move.from_stage.value,
                "to_stage": move.to_stage.value,
                "partition_key": move.partition,
                "actor": move.actor,
                "reason": move.reason,
                "evidence": evidence.to_json(move.evidence),
                "requested_by": move.requested_by,
                "approval": approval.to_json(move.approval),
            }
            for move in moves
        ]
        with self._transaction() as connection:
            self._lock(connection, model_id)
            appended = history.append(connection, tables.promotion_ledger, model_id, rows)
        if appended is None:
            raise ConflictError(
                f"{model_id}: somebody else moved a version at the same time; read the ledger and decide again"
            )

    def production_version_at(self, model_id: str, partition: str) -> int | None:
        """Return the version that scores a partition, by the ledger; None where nothing was in Production."""
        return production_at(self.ledger(model_id), partition)
