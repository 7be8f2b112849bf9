"""Find the tables that the lake holds: those that the specs of this deployment name, and the others.

What belongs here: one walk over the list of tables. What does not: what a table is, which the list says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import tables
from include.adapters.lake.listing import list_stored
from include.specs.groups import load_feature_groups
from include.specs.models import load_models

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter
    from include.tables import TableSpec


def list_tables() -> list[TableSpec]:
    """Return every table that this deployment may write, in the list's order."""
    groups, models = load_feature_groups(), load_models()
    return [
        *tables.ONCE,
        *(make(spec.group, spec.entity.keys, spec.column_types) for spec in groups for make in tables.PER_GROUP),
        *(make(spec.model_id, spec.entity.keys) for spec in models for make in tables.PER_MODEL),
    ]


def find_tables(lake: LakeAdapter) -> list[TableSpec]:
    """Return those of them that the lake holds."""
    return [table for table in list_tables() if lake.exists(table.name)]


def find_unnamed(lake: LakeAdapter) -> list[str]:
    """Return the tables that the lake holds and no spec names: those of a model or a group that was taken away."""
    named = {table.name for table in list_tables()}
    return [name for name in list_stored(lake) if name not in named]
