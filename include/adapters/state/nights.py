"""What monitoring measured, one row per model and partition.

What belongs here: keeping and reading it. What does not: its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase


class NightTable(StateDatabase):
    """Measured nights, by model."""

    def put_night(self, model_id: str, partition: str, *, model_version: int, night: Mapping[str, Any]) -> None:
        """Keep what monitoring measured of a partition, in place of what it measured before."""
        values = {"model_version": model_version, "night": dict(night)}
        statement = insert(tables.monitoring_metric).values(model_id=model_id, partition_key=partition, **values)
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["model_id", "partition_key"], set_=values)
            )

    def nights(self, model_id: str, *, since: str | None = None, until: str | None = None) -> list[dict[str, Any]]:
        """Return what monitoring measured, by partition, from `since` up to `until`, both included."""
        table = tables.monitoring_metric
        query = sa.select(table.c.night).where(table.c.model_id == model_id).order_by(table.c.partition_key)
        if since is not None:
            query = query.where(table.c.partition_key >= since)
        if until is not None:
            query = query.where(table.c.partition_key <= until)
        with self._transaction() as connection:
            return [dict(row.night) for row in connection.execute(query)]
