"""Histories: rows that are only ever added, each chained by hash to the one before it.

What belongs here: adding to a history and reading it back whole. What does not: what its rows mean, and the verdict on
a chain (`governance.chain`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from include.governance.chain import NOTHING, OWN, PREVIOUS, SEQ, Row, row_sha256


def chain(rows: Iterable[Row], previous: str = NOTHING) -> list[dict[str, Any]]:
    """Return rows with the hash of the row before each, and its own."""
    chained = []
    for row in rows:
        linked = {**row, PREVIOUS: previous}
        previous = row_sha256(linked)
        chained.append({**linked, OWN: previous})
    return chained


def append(connection: sa.Connection, table: sa.Table, model_id: str, rows: Sequence[Row]) -> int | None:
    """Add a model's next rows and return the number of the first; None, and nothing is added, where it is taken.

    The caller holds the model's lock.

    Parameters
    ----------
    connection : sqlalchemy.Connection
    table : sqlalchemy.Table
        A chained history.
    model_id : str
    rows : sequence of Row
        Without hashes and ``recorded_at``; numbered by the caller, who has read the rows before, or not at all.
    """
    newest = sa.select(table.c[SEQ], table.c[OWN]).where(table.c.model_id == model_id).order_by(table.c[SEQ].desc())
    found = connection.execute(newest.limit(1)).first()
    first, previous = (found[0] + 1, found[1]) if found is not None else (1, NOTHING)
    if rows[0].get(SEQ, first) != first:
        return None
    # Asked of the server, as the lock was waited for: two rows in order have their times in order.
    now = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    numbered = [{"model_id": model_id, **row, SEQ: first + n, "recorded_at": now} for n, row in enumerate(rows)]
    connection.execute(sa.insert(table), chain(numbered, previous))
    return first


def read(connection: sa.Connection, table: sa.Table, model_id: str) -> list[Row]:
    """Return a model's rows, every column of each, in order."""
    query = sa.select(table).where(table.c.model_id == model_id).order_by(table.c[SEQ])
    return [dict(row) for row in connection.execute(query).mappings()]
