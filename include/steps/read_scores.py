"""Read a night's scores beside the features that they were computed from.

What belongs here: joining the two, and rows with labels as estimates take them. What does not: the features as they
were known (``read_inputs``), and what is made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.features.checks import CREATED_TIMESTAMP
from include.features.row_order import ordered
from include.monitoring.estimated_performance import ScoredRows
from include.question.labels import LABEL
from include.question.matrix import feature_matrix
from include.scoring.predictions import FEATURE_CREATED
from include.steps.read_inputs import created_column, other_groups, read_scored
from include.training.clusters import number_entities

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

# Each slice is looked for in the files of the night once more.
ROWS_OF_A_SLICE = 524_288
_PLACE = "place"


def with_features(
    deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table, *, service: str
) -> pa.Table:
    """Return scores beside the features that they were computed from, in their order."""
    keys = list(spec.entity.keys)
    created = [created_column(group) for group in other_groups(spec, service)]
    scored = scores.select([*keys, FEATURE_CREATED, *created]).rename_columns([*keys, CREATED_TIMESTAMP, *created])
    inputs = read_scored(deployment, spec, partition, scored, service=service)
    placed = scores.select([*keys, "score"]).append_column(_PLACE, pa.array(range(scores.num_rows), pa.int64()))
    # Threads join in any order, and what is drawn of rows with a seed is drawn by their places.
    joined = placed.join(inputs.rows.select([*keys, *inputs.features]), keys=keys, join_type="left outer")
    return ordered(joined, [_PLACE]).drop_columns(_PLACE)


def in_slices_with_features(
    deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table, *, service: str
) -> Iterator[pa.Table]:
    """Yield scores beside the features that they were computed from, in the order of their keys; one slice at least.

    A slice has at most `ROWS_OF_A_SLICE` rows, which are held at once.
    """
    scores = ordered(scores, spec.entity.keys)
    for start in range(0, max(scores.num_rows, 1), ROWS_OF_A_SLICE):
        part = scores.slice(start, ROWS_OF_A_SLICE)
        yield with_features(deployment, spec, partition, part, service=service)


def scored_rows(spec: ModelSpec, rows: pa.Table, names: Sequence[str]) -> ScoredRows:
    """Return labelled rows as estimates and causes take them.

    Parameters
    ----------
    rows : pyarrow.Table
        The entity keys, the features, ``label`` and ``score``.
    names : sequence of str
        Of the features, in the order in which they are wanted.
    """
    return ScoredRows(
        rows["score"].to_numpy().astype(np.float64),
        feature_matrix(rows, names).astype(np.float64),
        rows[LABEL].to_numpy().astype(np.float64),
        number_entities(rows[spec.entity.keys[0]].to_pylist()),
    )
