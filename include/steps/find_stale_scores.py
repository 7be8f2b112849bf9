"""Find nights whose scores were made from features that have been corrected since.

What belongs here: holding what a prediction says it read against what stands now. What does not: scoring them again
(``score_batch``), and features that are behind their own source (``find_stale``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include import partitions
from include.errors import NotYetError, UnpublishedError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.quality.sql import column, columns
from include.scoring.predictions import CHAMPION, FEATURE_CREATED
from include.steps.load_version import load_version
from include.steps.read_inputs import created_column, other_groups
from include.steps.read_night import read_partition
from include.tables import features_name, predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec


@dataclass(frozen=True)
class StaleScores:
    """A night whose scores are not those of its features as they stand.

    Attributes
    ----------
    partition : str
    scores : int
        Of entities whose features were corrected, that were not there, or that are not there any more.
    of : int
        Scores that the night has.
    """

    partition: str
    scores: int
    of: int

    def __str__(self) -> str:
        return f"{self.scores} of {self.of} scores of {self.partition} are stale: their features were corrected since"


def find_stale_scores(deployment: Deployment, spec: ModelSpec, *, until: str) -> tuple[StaleScores, ...]:
    """Return the stale nights among the last ``scoring.rescore_days`` ones up to `until`, in order.

    Nothing is written. A night without features, or that no version scored, is not among them.
    """
    if not spec.scoring.rescore_days:
        return ()
    since = partitions.shift(until, 1 - spec.scoring.rescore_days)
    scored = deployment.state.publications(predictions_name(spec.model_id))
    built = deployment.state.publications(features_name(spec.features.group))
    nights = [night for night in scored if since <= night <= until and night in built]
    found = [_compare(deployment, spec, night) for night in _corrected(deployment, spec, nights)]
    return tuple(stale for stale in found if stale.scores)


def _corrected(deployment: Deployment, spec: ModelSpec, nights: Sequence[str]) -> list[str]:
    """Return the nights that have a row which became known after its night: no other can be stale by its own group."""
    if not nights or other_groups(spec, spec.features.service):
        return list(nights)
    times = ["dt", EVENT_TIMESTAMP, CREATED_TIMESTAMP]
    rows = deployment.lake.read(features_name(spec.features.group), keys=list(nights), columns=times)
    later = rows.filter(pc.greater(rows[CREATED_TIMESTAMP], rows[EVENT_TIMESTAMP]))
    days = {day.isoformat() for day in pc.unique(later["dt"]).to_pylist()}
    return [night for night in nights if night in days]


def _compare(deployment: Deployment, spec: ModelSpec, night: str) -> StaleScores:
    scores = deployment.lake.read(predictions_name(spec.model_id), start=night, end=night)
    scores = scores.filter(pc.equal(scores["role"], CHAMPION))
    version = scores["model_version"][0].as_py() if scores.num_rows else None
    version = version or deployment.state.production_version_at(spec.model_id, night)
    if version is None:
        return StaleScores(night, 0, 0)
    service = load_version(deployment, spec.model_id, version).signature.feature_service
    created = [created_column(group) for group in other_groups(spec, service)]
    told = scores.select([*spec.entity.keys, FEATURE_CREATED, *created])
    try:
        read = read_partition(deployment, spec, night, service=service).rows
    except (NotYetError, UnpublishedError):
        return StaleScores(night, 0, scores.num_rows)
    stands = read.select([*spec.entity.keys, CREATED_TIMESTAMP, *created]).rename_columns(told.column_names)
    times = map(column, (FEATURE_CREATED, *created))
    differs = " OR ".join(f"told.{time} IS DISTINCT FROM stands.{time}" for time in times)
    sql = f"SELECT count(*) AS differing FROM told FULL JOIN stands USING ({columns(spec.entity.keys)}) WHERE {differs}"
    found = deployment.duckdb.run_select(sql, {"told": told, "stands": stands}, purpose=f"the stale scores of {night}")
    return StaleScores(night, int(found["differing"][0].as_py()), scores.num_rows)
