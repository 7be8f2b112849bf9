"""History: which old versions of the lake's tables are pinned, by what and until when, and removing the others.

What belongs here: what a training set pins, and when it is let go. What does not: what a version is used for.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.training_sets import list_training_sets, remove_training_set
from include.governance.lifecycle import Stage, previous_production, stages
from include.specs.models import load_models
from include.steps.find_tables import find_tables
from include.steps.train_model import TRAINING_SET_TAG

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec
    from include.training.manifest import TrainingSetManifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pin:
    """A training set, and the versions of tables that it pins: with them it can be made again.

    Attributes
    ----------
    model_id, set_id : str
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
    sources: dict[str, int]
    expires: date | None
    held_by: int | None


@dataclass(frozen=True)
class ExpiredHistory:
    """What was removed: training sets, and files by table."""

    training_sets: tuple[str, ...]
    files: dict[str, int]


def list_pins(deployment: Deployment) -> list[Pin]:
    """Return every training set and what it pins, by model and id."""
    return [
        _pin(deployment, spec, manifest)
        for spec in load_models()
        for manifest in list_training_sets(deployment.lake, spec.model_id)
    ]


def expire_history(deployment: Deployment, *, as_of: str) -> ExpiredHistory:
    """Remove the training sets that have expired by a day, and the files of versions that nothing pins any more.

    Parameters
    ----------
    deployment : Deployment
        Its lake is written; files that were replaced less than ``MLOPS_RETENTION_DAYS`` ago stay.
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
    files = {}
    for table in (found.name for found in find_tables(deployment.lake)):
        pinned = sorted({pin.sources[table] for pin in kept if table in pin.sources})
        files[table] = remove_old_files(
            deployment.lake, table, retention_days=deployment.settings.retention_days, keep_versions=pinned
        )
    log.info("expire as_of=%s training_sets=%s files=%s", as_of, removed, files)
    return ExpiredHistory(tuple(removed), files)


def _pin(deployment: Deployment, spec: ModelSpec, manifest: TrainingSetManifest) -> Pin:
    known = deployment.model_registry.find(spec.registered_name, tag=TRAINING_SET_TAG, value=manifest.set_id)
    moves = deployment.state.ledger(spec.model_id)
    live = {version for version, stage in stages(moves).items() if stage in (Stage.STAGING, Stage.PRODUCTION)}
    live |= {version for version in [previous_production(moves)] if version is not None}
    held_by = known.version if known is not None and known.version in live else None
    after = partitions.parse(manifest.as_of) + timedelta(days=deployment.settings.retention_days)
    return Pin(spec.model_id, manifest.set_id, dict(manifest.sources), None if held_by is not None else after, held_by)
