"""Gather the labelled examples of a model as of a day: of the tables as they are, or as they were for another set.

What belongs here: the one way from tables to examples, for building a set and for building one again. What does not:
reading features and labels (``read_inputs``, ``read_labels``), and what is done with the examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from include import partitions
from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import LABEL, snapshot_days
from include.specs.models import ModelSpec
from include.steps.read_inputs import Inputs, read_snapshots
from include.steps.read_labels import Labels, read_labels

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.training.manifest import TrainingSetManifest


@dataclass(frozen=True)
class Gathered:
    """Labelled examples, and what they were read from.

    Attributes
    ----------
    examples : pyarrow.Table
        The entity keys (string), ``event_timestamp``, the features of the model's service in its order, ``label``
        (int8). Sorted by time and keys, which are unique in it.
    features : tuple of str
        Names of the features.
    days : tuple of str
        Those at whose end examples stand, in order.
    unpublished : tuple of str
        Those of them whose features are not published.
    without_label : int
        Rows of the population whose label is not known; left out.
    sources : dict of str to int
        The lake tables that were read, and their versions.
    """

    examples: pa.Table
    features: tuple[str, ...]
    days: tuple[str, ...]
    unpublished: tuple[str, ...]
    without_label: int
    sources: dict[str, int]


def gather_examples(
    deployment: Deployment, spec: ModelSpec, *, as_of: str, as_for: TrainingSetManifest | None = None
) -> Gathered:
    """Return the labelled examples that are known at the end of a day.

    Parameters
    ----------
    as_of : str
        Partition key: nothing received after its end is used.
    as_for : TrainingSetManifest, optional
        Read the versions of tables that this set was made from, and the days that were published then. Default: those
        of today.

    Raises
    ------
    MlopsError
        If orders or features are missing.
    ExpiredError
        If a version of a table is not kept any more.
    """
    days = snapshot_days(as_of, spec.label, spec.training)
    inputs = read_snapshots(deployment, spec, days, as_for=as_for)
    labels = read_labels(deployment, spec, inputs.rows, known_until=partitions.end_of(as_of), as_for=as_for)
    examples = _join(spec, inputs, labels)
    return Gathered(
        examples,
        inputs.features,
        tuple(days),
        inputs.unpublished,
        inputs.rows.num_rows - examples.num_rows,
        {**labels.sources, **inputs.sources},
    )


def _join(spec: ModelSpec, inputs: Inputs, labels: Labels) -> pa.Table:
    identity = [*spec.entity.keys, EVENT_TIMESTAMP]
    labelled = inputs.rows.join(labels.rows.select([*identity, LABEL]), keys=identity, join_type="inner")
    by_time = [(name, "ascending") for name in (EVENT_TIMESTAMP, *spec.entity.keys)]
    return labelled.select([*identity, *inputs.features, LABEL]).sort_by(by_time).combine_chunks()
