"""Moves of the switches that hold retraining.

What belongs here: recording and reading them; a row is only ever added. What does not: what a decision makes of them
(`monitoring.retraining_switch`).
"""

from __future__ import annotations

import sqlalchemy as sa

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.monitoring.retraining_switch import SwitchMove, newest_moves


class RetrainingSwitchTable(StateDatabase):
    """Moves of switches, by model, and of the one that holds all."""

    def throw_switch(self, model_id: str | None, *, is_stop: bool, actor: str, reason: str) -> bool:
        """Record that somebody throws a switch; False, and nothing is recorded, where it stands so already.

        Two at once are one after the other.
        """
        row = {"model_id": model_id, "is_stop": is_stop, "actor": actor, "reason": reason}
        with self._transaction() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops retraining switch'))"))
            stands = newest_moves(_moves(connection)).get(model_id)
            if is_stop == (stands is not None and stands.is_stop):
                return False
            connection.execute(sa.insert(tables.retraining_switch).values(row))
            return True

    def switch_moves(self) -> tuple[SwitchMove, ...]:
        """Return every move of every switch, in the order they were recorded."""
        with self._transaction() as connection:
            return _moves(connection)


def _moves(connection: sa.Connection) -> tuple[SwitchMove, ...]:
    table = tables.retraining_switch
    rows = connection.execute(sa.select(table).order_by(table.c.move_id))
    return tuple(SwitchMove(row.model_id, row.is_stop, row.actor, row.reason, row.recorded_at) for row in rows)
