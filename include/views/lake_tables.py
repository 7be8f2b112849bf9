"""How far each table of the lake reaches.

What belongs here: partitions and rows, counted. What does not: which tables there are (`include.tables`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.listing import count_rows
from include.steps.find_tables import find_tables


@dataclass(frozen=True)
class LakeTable:
    """How far a lake table reaches: its partitions that hold rows, and all their rows."""

    name: str
    partitions: int
    first: str
    last: str
    rows: int


def read_lake_tables(lake: LakeAdapter) -> Iterator[LakeTable]:
    """Yield the tables that hold rows, in the order of the list of tables; logs are left out."""
    for table in find_tables(lake):
        days = [] if table.is_log else lake.partitions(table.name)
        if days:
            yield LakeTable(table.name, len(days), days[0], days[-1], count_rows(lake, table.name))
