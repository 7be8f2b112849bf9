"""Two deliveries of one order line: which stays, and what became of the others.

What belongs here: the SQL that merges incoming order lines with those that are there. What does
not: running it, and reading or writing the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.quality.sql import column, columns

# How a partition is kept, so that a join by customer and time reads it in order.
SORTED_BY = ("dt", "customer_id", "ordered_at", "order_id", "line")

_IS_NEWEST = """
row_number() OVER (PARTITION BY order_id, line ORDER BY received_at DESC, _present DESC, _delivered DESC) = 1
"""


@dataclass(frozen=True)
class MergeCounts:
    """What became of incoming rows; every one is counted once.

    Attributes
    ----------
    added : int
        Their (order_id, line) was not there.
    replaced : int
        They were received later than the row that was there, and took its place.
    unchanged : int
        The same row was there.
    stale : int
        A row that was received later was there, and stays.
    conflicting : int
        Another row, received at the same time, was there, and stays.
    """

    added: int
    replaced: int
    unchanged: int
    stale: int
    conflicting: int


def merged_sql(names: Sequence[str]) -> str:
    """Return the SELECT of the rows that shall be there, sorted as they are kept.

    Parameters
    ----------
    names : sequence of str
        Columns of both tables, in order.

    Returns
    -------
    str
        DuckDB SQL over ``present`` and ``incoming``; the latter has ``_delivered`` beside `names`,
        by which of two incoming rows that are otherwise equally new the later one wins.

    Notes
    -----
    By (order_id, line) the newest ``received_at`` wins. On a tie the row that is there stays: a
    replayed night must not undo what a later one brought.
    """
    return f"""
WITH together AS ({_together(names)})
SELECT {columns(names)} FROM together
QUALIFY {_IS_NEWEST}
ORDER BY {columns(SORTED_BY)}
"""


def has_changed_sql() -> str:
    """Return the SELECT of whether `merged_sql` gives other rows than those that are there."""
    return f"""
WITH together AS ({_together(("order_id", "line", "received_at"))}),
newest AS (SELECT _present FROM together QUALIFY {_IS_NEWEST})
SELECT coalesce(bool_or(NOT _present), false) OR count(*) <> (SELECT count(*) FROM present) FROM newest
"""


def _together(names: Sequence[str]) -> str:
    return f"""
  SELECT {columns(names)}, true AS _present, 0 AS _delivered FROM present
  UNION ALL
  SELECT {columns(names)}, false, _delivered FROM incoming
"""


def merge_counts_sql(names: Sequence[str]) -> str:
    """Return the SELECT of the fields of `MergeCounts`, in order, over the tables of `merged_sql`."""
    same = " AND ".join(f"i.{column(name)} IS NOT DISTINCT FROM p.{column(name)}" for name in names)
    tie = "p.order_id IS NOT NULL AND i.received_at = p.received_at"
    return f"""
SELECT
  count(*) FILTER (WHERE p.order_id IS NULL),
  count(*) FILTER (WHERE i.received_at > p.received_at),
  count(*) FILTER (WHERE {same}),
  count(*) FILTER (WHERE i.received_at < p.received_at),
  count(*) FILTER (WHERE {tie} AND NOT ({same}))
FROM incoming i LEFT JOIN present p USING (order_id, line)
"""
