"""History: what the lake keeps of its past, what pins it and until when, and removing the rest.

What belongs here: what a training set pins, and when it is let go. What does not: what a version is used for, and how
long rows and reports are kept, which the list of tables says.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include import partitions
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.partition_reports import list_reports, remove_report
from include.adapters.lake.training_sets import list_training_sets, remove_training_set
from include.governance.lifecycle import Stage, previous_production, stages
from include.specs.groups import load_feature_groups
from include.specs.models import load_models
from include.steps.find_tables import find_tables
from include.steps.train_model import TRAINING_SET_TAG
from include.tables import quality_reports_folder

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.lake.delta_lake import LakeAdapter
    from include.specs.models import ModelSpec
    from include.tables import TableSpec
    from include.training.manifest import TrainingSetManifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pin:
    """A training set, and the versions of tables that it pins: with them it can be made again.

    Attributes
    ----------
    model_id, set_id : str
    since : date
        The first day whose features it looks at.
    sources : dict of str to int
        Tables and their versions.
    expires : date or None
        The day from which it may be removed; None while its version stands in Staging or Production, or
        production would roll back to it.
    held_by : int or None
        That version.
    """

    model_id: str
    set_id: str
    since: date
    sources: dict[str, int]
    expires: date | None
    held_by: int | None


@dataclass(frozen=True)
class ExpiredHistory:
    """What was removed: training sets, rows by table, quality reports by feature group, and old files by table."""

    training_sets: tuple[str, ...]
    rows: dict[str, int]
    reports: dict[str, int]
    files: dict[str, int]


def list_pins(deployment: Deployment) -> list[Pin]:
    """Return every training set and what it pins, by model and id."""
    return [
        _pin(deployment, spec, manifest)
        for spec in load_models()
        for manifest in list_training_sets(deployment.lake, spec.model_id)
    ]


def expire_history(deployment: Deployment, *, as_of: str) -> ExpiredHistory:
    """Remove what has expired by a day: training sets, rows, reports, and the files of versions that nothing pins.

    Parameters
    ----------
    deployment : Deployment
        Its lake is written; files that were replaced less than ``MLOPS_RETENTION_DAYS`` ago stay, also those of rows
        that are removed now.
    as_of : str
        Partition key.
    """
    day, kept, removed = partitions.parse(as_of), [], []
    for pin in list_pins(deployment):
        if pin.expires is None or pin.expires > day:
            kept.append(pin)
            continue
        remove_training_set(deployment.lake, pin.model_id, pin.set_id)
        removed.append(f"{pin.model_id}/{pin.set_id}")
    tables = find_tables(deployment.lake)
    rows = {table.name: _remove_rows(deployment.lake, table, day) for table in tables}
    reports = {spec.group: _remove_reports(deployment.lake, spec.group, day, kept) for spec in load_feature_groups()}
    files = {}
    for table in (found.name for found in tables):
        pinned = sorted({pin.sources[table] for pin in kept if table in pin.sources})
        files[table] = remove_old_files(
            deployment.lake, table, retention_days=deployment.settings.retention_days, keep_versions=pinned
        )
    log.info("expire as_of=%s training_sets=%s rows=%s reports=%s files=%s", as_of, removed, rows, reports, files)
    return ExpiredHistory(tuple(removed), rows, reports, files)


def _before(day: date, days: int) -> date:
    return partitions.parse(partitions.shift(partitions.key_of(day), -days))


def _remove_rows(lake: LakeAdapter, table: TableSpec, day: date) -> int:
    """Remove the partitions of a table that are too old, and return how many rows those were."""
    if table.kept_days is None:
        return 0
    until = _before(day, table.kept_days)
    keys = [key for key in lake.partitions(table.name) if key <= until.isoformat()]
    if not keys:
        return 0
    stored = lake.dataset(table.name)
    count = stored.count_rows(filter=pc.field(table.partition_by) <= until)
    lake.replace(table.name, stored.schema.empty_table(), keys=keys, partition_by=table.partition_by)
    return int(count)


def _remove_reports(lake: LakeAdapter, group: str, day: date, kept: Sequence[Pin]) -> int:
    """Remove a group's reports that are too old, but for those of days that a kept training set looks at."""
    folder = quality_reports_folder(group)
    if folder.kept_days is None:
        return 0
    until = min([_before(day, folder.kept_days), *(pin.since - timedelta(days=1) for pin in kept)])
    old = [key for key in list_reports(lake, group) if key <= until.isoformat()]
    for key in old:
        remove_report(lake, group, key)
    return len(old)


def _pin(deployment: Deployment, spec: ModelSpec, manifest: TrainingSetManifest) -> Pin:
    known = deployment.model_registry.find(spec.registered_name, tag=TRAINING_SET_TAG, value=manifest.set_id)
    moves = deployment.state.ledger(spec.model_id)
    live = {version for version, stage in stages(moves).items() if stage in (Stage.STAGING, Stage.PRODUCTION)}
    live |= {version for version in [previous_production(moves)] if version is not None}
    held_by = known.version if known is not None and known.version in live else None
    after = partitions.parse(manifest.as_of) + timedelta(days=deployment.settings.retention_days)
    return Pin(
        spec.model_id,
        manifest.set_id,
        since=partitions.parse(manifest.first_snapshot),
        sources=dict(manifest.sources),
        expires=None if held_by is not None else after,
        held_by=held_by,
    )
