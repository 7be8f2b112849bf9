"""Score one partition with the version that governs it, or with one that stands in its shadow.

What belongs here: scoring what was read, writing predictions once. What does not: which version governs a partition,
which is the ledger's, and who is asked about (``read_inputs``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.errors import NotYetError, RefusedError, UnpublishedError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.monitoring.missed_nights import MissedNight, tell_missed
from include.question.matrix import feature_matrix
from include.refs import PredictionsRef
from include.scoring.predictions import predict_columns
from include.specs.models import ModelSpec, load_model
from include.steps.load_version import load_version
from include.steps.read_inputs import Inputs, created_column, other_groups, read_partition
from include.tables import features_name, predictions_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

CHAMPION, CHALLENGER = "champion", "challenger"
FEATURE_EVENT, FEATURE_CREATED = f"feature_{EVENT_TIMESTAMP}", f"feature_{CREATED_TIMESTAMP}"

_ROLE = "role"


@dataclass(frozen=True)
class ScoredRange:
    """What became of a range of nights: those that were scored, and a sentence on each run of those that were not."""

    scored: tuple[str, ...]
    left: tuple[str, ...]


def score_batch(deployment: Deployment, model_id: str, *, partition: str, shadow: int | None = None) -> PredictionsRef:
    """Score the population of a partition and write its predictions.

    Predictions of one partition hold a role each: the version in Production is the champion. Writing one role leaves
    the others as they are. A published night without rows is scored to none.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written, its state asked and told, its model registry read.
    model_id : str
        The model's spec.
    partition : str
        The night. Again gives the same rows.
    shadow : int, optional
        A version that scores as challenger, in place of the champion's pass. Nothing follows from its scores.

    Raises
    ------
    RefusedError
        If no version was in Production before the partition, or it is of another task than the spec.
    MlopsError
        If the partition's features are not published, or the version can't be loaded.
    """
    spec = load_model(model_id)
    champion = deployment.state.production_version_at(model_id, partition)
    model_version = champion if shadow is None else shadow
    if model_version is None:
        raise RefusedError(
            f"no version of {model_id} was in Production before {partition}; since when one is, says mlops registry "
            f"ledger --model {model_id}"
        )
    loaded = load_version(deployment, model_id, model_version)
    service = loaded.signature.feature_service
    if loaded.signature.task != spec.task:
        raise RefusedError(
            f"{model_id} version {model_version} is of task: {loaded.signature.task}, the spec of task: {spec.task}, "
            "by which its scores mean nothing; train a version of the spec's task, or take the task back"
        )
    inputs = read_partition(deployment, spec, partition, service=service)
    scores = loaded.model.predict(feature_matrix(inputs.rows, loaded.signature.feature_names))
    role = CHAMPION if shadow is None else CHALLENGER
    rows = _predictions(spec, inputs, scores, partition=partition, model_version=model_version, role=role)
    for group in other_groups(spec, service):
        rows = rows.append_column(created_column(group), inputs.rows[created_column(group)])

    def beside_other_roles(present: pa.Table | None) -> pa.Table:
        if present is None:
            return rows
        others = present.filter(pc.not_equal(present[_ROLE], role))
        return pa.concat_tables([others, rows], promote_options="default") if others.num_rows else rows

    table = predictions_name(model_id)
    written = deployment.lake.update(table, [partition], beside_other_roles)
    if role == CHAMPION:
        deployment.state.record_publications(table, [(partition, rows.num_rows)], written.version)
    log.info(
        "score model=%s partition=%s role=%s version=%d rows=%d",
        model_id,
        partition,
        role,
        model_version,
        rows.num_rows,
    )
    decided = int(pc.sum(rows["decision"]).as_py() or 0)
    return PredictionsRef(model_id, partition, model_version, rows.num_rows, decided, written.version)


def score_range(deployment: Deployment, model_id: str, *, start: str, end: str) -> ScoredRange:
    """Score the nights from `start` to `end`, both included, and say which were left and why.

    Left is a night that no version governs, or whose features are not published; those after it are scored.

    Raises
    ------
    MlopsError
        If a night can't be scored for another reason; those before it are.
    """
    table = features_name(load_model(model_id).features.group)
    published = deployment.state.publications(table)
    scored: list[str] = []
    left: list[MissedNight] = []
    for night in partitions.span(start, end):
        if deployment.state.production_version_at(model_id, night) is None:
            left.append(MissedNight(night, "scores", "no version was in Production before"))
        elif night not in published:
            left.append(MissedNight(night, "scores", f"{table} is not published"))
        else:
            try:
                score_batch(deployment, model_id, partition=night)
            except (NotYetError, UnpublishedError) as no:
                left.append(MissedNight(night, "scores", str(no)))
            else:
                scored.append(night)
    told = tell_missed(left)
    for sentence in told:
        log.warning("score model=%s: %s", model_id, sentence)
    return ScoredRange(tuple(scored), told)


def _predictions(
    spec: ModelSpec,
    inputs: Inputs,
    scores: NDArray[np.float32],
    *,
    partition: str,
    model_version: int,
    role: str,
) -> pa.Table:
    rows, count = inputs.rows, inputs.rows.num_rows
    instant = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            **{key: rows[key].cast(pa.string()) for key in spec.entity.keys},
            "dt": pa.array([partitions.parse(partition)] * count, pa.date32()),
            _ROLE: pa.array([role] * count, pa.string()),
            "score": pa.array(scores, pa.float32()),
            **predict_columns(spec, rows, scores),
            "model_version": pa.array([model_version] * count, pa.int64()),
            FEATURE_EVENT: rows[EVENT_TIMESTAMP].cast(instant),
            FEATURE_CREATED: rows[CREATED_TIMESTAMP].cast(instant),
        }
    )
