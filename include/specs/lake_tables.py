"""The tables and folders that the specs of this deployment give the lake.

What belongs here: one walk over the sources, the groups and the models. What does not: what a table is, which the list
says, and which of them a lake holds so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include import tables
from include.specs.groups import load_feature_groups
from include.specs.models import load_models
from include.specs.sources import load_sources

if TYPE_CHECKING:
    from include.specs.models import ModelSpec
    from include.tables import FolderSpec, TableSpec


def list_tables() -> list[TableSpec]:
    """Return every table, in the list's order: those of the sources, those of the groups, those of the models."""
    return [
        *(table for spec in load_sources() for table in (spec.raw, spec.quarantine, spec.deliveries)),
        *(spec.lake_table for spec in load_feature_groups()),
        *(table for spec in load_models() for table in list_tables_of(spec)),
    ]


def list_tables_of(spec: ModelSpec) -> list[TableSpec]:
    """Return the tables of a model."""
    keys, whose = spec.entity.keys, spec.entity.whose
    return [
        tables.predictions_table(spec.model_id, keys, whose, spec.predicted),
        tables.outcomes_table(spec.model_id, keys, whose),
        tables.online_vectors_table(spec.model_id, keys, whose),
    ]


def list_folders() -> list[FolderSpec]:
    """Return every folder that is no table."""
    return [
        tables.LEDGER_HEADS,
        *(tables.training_sets_folder(spec.model_id, spec.entity.whose) for spec in load_models()),
        *(tables.scoring_manifests_folder(spec.model_id) for spec in load_models()),
        *(tables.staged_scores_folder(spec.model_id, spec.entity.whose) for spec in load_models()),
        *(tables.quality_reports_folder(spec.group) for spec in load_feature_groups()),
    ]
