"""Two versions of one key: which stays, and what became of the other.

What belongs here: the SQL that merges incoming rows with those that are there. What does not: running it, and reading
or writing the table.

A delivery has each key once: what it says twice was judged before. An incoming row that says when it was received
takes the place of one that was received before it. One that does not say so takes the place of one that was not
received later than its delivery: a correction without a time replaces, and what a later night brought stays when an
earlier one is delivered again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.quality.sql import column, columns, literal
from include.specs.source_rules import CONFLICTING, RECEIVED_AT, SUPERSEDED

# Whether an incoming row says itself when it was received.
SAYS_RECEIVED = "_says_received"

_ADDED, _REPLACED, _UNCHANGED = "added", "replaced", "unchanged"


@dataclass(frozen=True)
class MergeCounts:
    """What became of incoming rows; every one is counted once.

    Attributes
    ----------
    added : int
        Their key was not there.
    replaced : int
        They took the place of the row that was there.
    unchanged : int
        The same row was there.
    superseded : int
        A row that was received later was there, and stays.
    conflicting : int
        Another row, received at the same time, was there, and stays.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    superseded: int = 0
    conflicting: int = 0

    @property
    def published(self) -> int:
        """Rows that the table has of the delivery after the merge."""
        return self.added + self.replaced + self.unchanged


def met_sql(names: Sequence[str], key: Sequence[str]) -> str:
    """Return the SELECT of incoming rows, with ``_met``: what became of each.

    Parameters
    ----------
    names : sequence of str
        Columns of both tables, in order.
    key : sequence of str
        Those that tell one row from another.

    Returns
    -------
    str
        DuckDB SQL over ``present`` and ``incoming``; the latter has `SAYS_RECEIVED` beside `names`. ``_met`` is a field
        of `MergeCounts`.
    """
    content = [name for name in names if name != RECEIVED_AT]
    same = " AND ".join(f"i.{column(name)} IS NOT DISTINCT FROM p.{column(name)}" for name in content)
    received, was = f"i.{RECEIVED_AT}", f"p.{RECEIVED_AT}"
    return f"""
SELECT i.*, CASE
  WHEN p.{column(key[0])} IS NULL THEN {literal(_ADDED)}
  WHEN {same} AND ({received} = {was} OR NOT i.{SAYS_RECEIVED}) THEN {literal(_UNCHANGED)}
  WHEN {received} > {was} OR {received} = {was} AND NOT i.{SAYS_RECEIVED} THEN {literal(_REPLACED)}
  WHEN {received} < {was} THEN {literal(SUPERSEDED)}
  ELSE {literal(CONFLICTING)} END AS _met
FROM incoming i LEFT JOIN present p USING ({columns(key)})
"""


def met_nothing_sql() -> str:
    """Return what `met_sql` does where ``present`` has no row."""
    return f"SELECT *, {literal(_ADDED)} AS _met FROM incoming"


def merged_sql(names: Sequence[str], key: Sequence[str], sorted_by: Sequence[str]) -> str:
    """Return the SELECT of the rows that shall be there, sorted as they are kept, over ``present`` and ``met``."""
    return f"""
SELECT {columns(names)} FROM present
ANTI JOIN (SELECT * FROM met WHERE _met = {literal(_REPLACED)}) AS replacing USING ({columns(key)})
UNION ALL
SELECT {columns(names)} FROM met WHERE _met IN ({literal(_ADDED)}, {literal(_REPLACED)})
ORDER BY {columns(("dt", *sorted_by))}
"""


def merge_counts_sql() -> str:
    """Return the SELECT of the fields of `MergeCounts`, in order, over ``met``."""
    return (
        "SELECT "
        + ", ".join(
            f"count(*) FILTER (WHERE _met = {literal(name)})"
            for name in (_ADDED, _REPLACED, _UNCHANGED, SUPERSEDED, CONFLICTING)
        )
        + " FROM met"
    )
