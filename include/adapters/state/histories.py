"""The histories as they stand, and what guards them: for whoever verifies them.

What belongs here: reading rows whole. What does not: the verdict on them (`governance.chain`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from include.adapters.state import history
from include.adapters.state.database import StateDatabase
from include.adapters.state.protection import find_disarmed, find_gaps
from include.adapters.state.tables import CHAINED
from include.governance.chain import Row


class HistoryTables(StateDatabase):
    """Every chained history, by model."""

    def histories(self, model_id: str) -> Mapping[str, Sequence[Row]]:
        """Return a model's rows of each chained history, every column of each, in order."""
        with self._transaction() as connection:
            return {table.name: history.read(connection, table, model_id) for table in CHAINED}

    def recorded_models(self) -> set[str]:
        """Return the models that a history has a row of."""
        with self._transaction() as connection:
            asked = (sa.select(table.c.model_id).distinct() for table in CHAINED)
            return {model_id for query in asked for model_id in connection.execute(query).scalars()}

    def unguarded(self) -> list[str]:
        """Return what this role could change of history, a line for each table; nothing where it is guarded."""
        with self._transaction() as connection:
            return list(find_gaps(connection))

    def disarmed(self) -> list[str]:
        """Return the histories whose trigger is gone or switched off."""
        with self._transaction() as connection:
            return find_disarmed(connection)
