"""What follows from a score, by the task of the model.

What belongs here: a decision of each score, and the place in a list. What does not: scoring (``model``), and where
predictions are kept.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.scoring.lists import number_lists, rank_items
from include.specs.models import BinaryModelSpec, ModelSpec, RankingModelSpec


def predict_columns(spec: ModelSpec, rows: pa.Table, scores: NDArray[np.float32]) -> dict[str, pa.Array]:
    """Return the columns that follow from scores, by name: those that the spec says are predicted.

    Parameters
    ----------
    spec : ModelSpec
        Of a classifier: a score from its threshold on is a positive decision. Of a ranking: the rank in the list, 1 for
        the first, and a positive decision for those that are read.
    rows : pyarrow.Table
        One night of one version; of a ranking its entity's keys are read.
    scores : ndarray of shape (n_rows,), float32
    """
    match spec:
        case BinaryModelSpec():
            return {"decision": pa.array(scores >= np.float32(spec.scoring.decision_threshold), pa.bool_())}
        case RankingModelSpec():
            ranks = rank_items(number_lists(rows, spec.list_keys), scores, rows[spec.item_key])
            return {
                "rank": pa.array(ranks, pa.int32()),
                "decision": pa.array(ranks <= spec.ranking.top_k, pa.bool_()),
            }
    raise NotImplementedError(spec.task)
