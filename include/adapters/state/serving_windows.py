"""What the processes of the online service answered, by the minute.

What belongs here: adding windows and reading them back. What does not: counting, and adding up
(`monitoring.serving_windows`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.monitoring.serving_windows import ServingWindow


class ServingWindowTable(StateDatabase):
    """Windows, by process, model, version, role and start."""

    def record_windows(self, windows: Sequence[ServingWindow]) -> None:
        """Add windows; those that are there stay as they are."""
        if not windows:
            return
        table = tables.serving_window
        with self._transaction() as connection:
            connection.execute(insert(table).on_conflict_do_nothing(), [_row(window) for window in windows])

    def serving_windows(self, model_id: str, start: datetime, end: datetime) -> list[ServingWindow]:
        """Return a model's windows that started from `start` on and before `end`, in the order of their start."""
        table = tables.serving_window
        columns = [column for column in table.columns if column.name != "recorded_at"]
        query = (
            sa.select(*columns)
            .where(table.c.model_id == model_id, table.c.started_at >= start, table.c.started_at < end)
            .order_by(table.c.started_at, table.c.process, table.c.model_version, table.c.role)
        )
        with self._transaction() as connection:
            return [_window(dict(row)) for row in connection.execute(query).mappings()]


def _row(window: ServingWindow) -> dict[str, object]:
    row = asdict(window)
    return {**row, **{name: {str(key): count for key, count in row[name].items()} for name in ("errors", "latency")}}


def _window(row: dict[str, object]) -> ServingWindow:
    counts = {name: {int(key): count for key, count in dict(row[name]).items()} for name in ("errors", "latency")}  # type: ignore[call-overload]
    return ServingWindow(**{**row, **counts})  # type: ignore[arg-type]
