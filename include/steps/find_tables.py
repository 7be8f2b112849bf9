"""Find the tables that the lake holds: those that the specs of this deployment name, and the others.

What belongs here: one look at the lake. What does not: which tables the specs name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.lake.listing import list_stored
from include.specs.lake_tables import list_tables

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter
    from include.tables import TableSpec


def find_tables(lake: LakeAdapter) -> list[TableSpec]:
    """Return the tables that the specs name and the lake holds, in the list's order."""
    return [table for table in list_tables() if lake.exists(table.name)]


def find_unnamed(lake: LakeAdapter) -> list[str]:
    """Return the tables that the lake holds and no spec names: those of a model or a group that was taken away."""
    named = {table.name for table in list_tables()}
    return [name for name in list_stored(lake) if name not in named]
