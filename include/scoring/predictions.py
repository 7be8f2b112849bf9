"""What follows from a score, by the task of the model, and the rows that predictions are kept as.

What belongs here: a decision of each score, the place in a list, the columns of a prediction. What does not: scoring
(``model``), and where predictions are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include import partitions
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.scoring.lists import number_lists, rank_items
from include.specs.models import BinaryModelSpec, ModelSpec, RankingModelSpec

CHAMPION, CHALLENGER = "champion", "challenger"
FEATURE_EVENT, FEATURE_CREATED = f"feature_{EVENT_TIMESTAMP}", f"feature_{CREATED_TIMESTAMP}"
ROLE, DECISION = "role", "decision"

_INSTANT = pa.timestamp("us", tz="UTC")


def decides_for(scores: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Say of a classifier's scores which are positive decisions: those from the threshold on, both as float32.

    Examples
    --------
    >>> decides_for(np.array([0.1, 0.2], dtype=np.float32), 0.1).tolist()
    [True, True]
    """
    return np.asarray(scores >= np.float32(threshold))


def predict_columns(spec: ModelSpec, rows: pa.Table, scores: NDArray[np.float32]) -> dict[str, pa.Array]:
    """Return the columns that follow from scores, by name: those that the spec says are predicted.

    Parameters
    ----------
    spec : ModelSpec
        Of a classifier: a score from its threshold on is a positive decision. Of a ranking: the rank in the list, 1 for
        the first, and a positive decision for those that are read.
    rows : pyarrow.Table
        One night of one version, or whole lists of it; of a ranking its entity's keys are read.
    scores : ndarray of shape (n_rows,), float32
    """
    match spec:
        case BinaryModelSpec():
            return {DECISION: pa.array(decides_for(scores, spec.scoring.decision_threshold), pa.bool_())}
        case RankingModelSpec():
            ranks = rank_items(number_lists(rows, spec.list_keys), scores, rows[spec.item_key])
            return {
                "rank": pa.array(ranks, pa.int32()),
                DECISION: pa.array(ranks <= spec.ranking.top_k, pa.bool_()),
            }
    raise NotImplementedError(spec.task)


def prediction_rows(
    spec: ModelSpec,
    rows: pa.Table,
    scores: NDArray[np.float32],
    *,
    partition: str,
    model_version: int,
    role: str,
    created: Sequence[str],
) -> pa.Table:
    """Return scored rows as the table of predictions keeps them.

    Parameters
    ----------
    rows : pyarrow.Table
        The entity keys, ``event_timestamp``, ``created_timestamp`` and `created`; of a ranking whole lists.
    scores : ndarray of shape (n_rows,), float32
    created : sequence of str
        Columns that say when what other groups have of a row had become known.
    """
    count = rows.num_rows
    return pa.table(
        {
            **{key: rows[key].cast(pa.string()) for key in spec.entity.keys},
            "dt": pa.repeat(pa.scalar(partitions.parse(partition), pa.date32()), count),
            ROLE: pa.repeat(pa.scalar(role, pa.string()), count),
            "score": pa.array(scores, pa.float32()),
            **predict_columns(spec, rows, scores),
            "model_version": pa.repeat(pa.scalar(model_version, pa.int64()), count),
            FEATURE_EVENT: rows[EVENT_TIMESTAMP].cast(_INSTANT),
            FEATURE_CREATED: rows[CREATED_TIMESTAMP].cast(_INSTANT),
            **{name: rows[name] for name in created},
        }
    )


def count_decided(predictions: pa.Table) -> int:
    """Return how many predictions are a positive decision."""
    return int(pc.sum(predictions[DECISION]).as_py() or 0)
