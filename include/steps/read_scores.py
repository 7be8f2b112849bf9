"""Read a night's scores beside the features that they were computed from.

What belongs here: joining the two. What does not: the features as they were known (``read_inputs``), and what is made
of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from include.features.checks import CREATED_TIMESTAMP
from include.scoring.predictions import FEATURE_CREATED
from include.steps.read_inputs import created_column, other_groups, read_scored

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec


def with_features(
    deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table, *, service: str
) -> pa.Table:
    """Return scores beside the features that they were computed from."""
    keys = list(spec.entity.keys)
    created = [created_column(group) for group in other_groups(spec, service)]
    scored = scores.select([*keys, FEATURE_CREATED, *created]).rename_columns([*keys, CREATED_TIMESTAMP, *created])
    inputs = read_scored(deployment, spec, partition, scored, service=service)
    return scores.select([*keys, "score"]).join(
        inputs.rows.select([*keys, *inputs.features]), keys=keys, join_type="left outer"
    )
