"""Read the labels of examples: the one labelling, for training and for outcomes.

What belongs here: running a label's statement on the source, once. What does not: the statement, and who the examples
are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from include.errors import MlopsError
from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import known_labels
from include.specs.labels import EXAMPLES, load_label_kind
from include.specs.models import ModelSpec
from include.specs.sources import load_source

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.training.manifest import TrainingSetManifest


@dataclass(frozen=True)
class Labels:
    """Labels of examples, and what they were read from.

    Attributes
    ----------
    rows : pyarrow.Table
        As `include.question.labels.known_labels` gives them. An example whose label is not known is not there.
    sources : dict of str to int
        The lake tables that were read, and their versions.
    """

    rows: pa.Table
    sources: dict[str, int]


def read_labels(
    deployment: Deployment,
    spec: ModelSpec,
    examples: pa.Table,
    *,
    known_until: datetime,
    as_for: TrainingSetManifest | None = None,
) -> Labels:
    """Return the labels that are known by an instant.

    Parameters
    ----------
    examples : pyarrow.Table
        The entity keys (string) and ``event_timestamp``, unique.
    known_until : datetime
        Aware. Nothing that was received later is looked at.
    as_for : TrainingSetManifest, optional
        Read the versions of sources that this set was made from. Default: the present ones.

    Raises
    ------
    MlopsError
        If a source that the label reads is not there.
    SpecError
        If the statement breaks its promises.
    """
    kind = load_label_kind(spec.label.kind, deployment.settings.specs_overlay)
    versions: dict[str, int] = {}
    relations: dict[str, pa.Table | Dataset] = {EXAMPLES: examples.select([*spec.entity.keys, EVENT_TIMESTAMP])}
    for source in kind.sources:
        name = load_source(source).raw.name
        version = deployment.lake.version(name) if as_for is None else as_for.version_of(name)
        if version is None:
            raise MlopsError(
                f"the labels of {spec.model_id} need {name}, which is not in the lake at {deployment.lake.uri}; "
                f"import some first (mlops sources import {source} FILE), or set MLOPS_LAKE_URI"
            )
        versions[name] = version
        relations[source] = deployment.lake.dataset(name, version=version)
    labelled = deployment.duckdb.run_select(
        kind.sql,
        relations,
        purpose=f"label {kind.name} of {spec.model_id}",
        parameters={"known_until": known_until, **spec.label.parameters},
    )
    rows = known_labels(labelled, spec.entity.keys, known_until=known_until, kind=kind.name)
    return Labels(rows, versions)
