"""The tables and folders that the specs of this deployment give the lake.

What belongs here: one walk over the list of tables, the groups and the models. What does not: what a table is, which
the list says, and which of them a lake holds so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import tables
from include.specs.groups import load_feature_groups
from include.specs.models import load_models

if TYPE_CHECKING:
    from include.tables import FolderSpec, TableSpec


def list_tables() -> list[TableSpec]:
    """Return every table, in the list's order: those that there are once, those of the groups, those of the models."""
    groups, models = load_feature_groups(), load_models()
    return [
        *tables.ONCE,
        *(make(spec.group, spec.entity.keys, spec.column_types) for spec in groups for make in tables.PER_GROUP),
        *(make(spec.model_id, spec.entity.keys) for spec in models for make in tables.PER_MODEL),
    ]


def list_folders() -> list[FolderSpec]:
    """Return every folder that is no table."""
    return [
        tables.LEDGER_HEADS,
        *(tables.training_sets_folder(spec.model_id, spec.entity.keys) for spec in load_models()),
        *(tables.quality_reports_folder(spec.group) for spec in load_feature_groups()),
    ]
