"""Whom a model scores.

What belongs here: choosing rows of a feature partition. What does not: scoring them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import MlopsError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP

RECENCY = "days_since_last_order"


def select_population(rows: pa.Table, *, key: str, active_within_days: int) -> pa.Table:
    """Return each entity's newest row, of the entities that the label's population holds.

    Parameters
    ----------
    rows : pyarrow.Table
        One partition of a feature group: `key` (string), ``event_timestamp``, ``created_timestamp``,
        ``days_since_last_order`` (int64, whole days), and others.
    key : str
        The entity key.
    active_within_days : int
        Rows with at most so many whole days since the last order are taken; null is not. The label's
        statement has the same rule, so a model scores whom it was trained on.

    Returns
    -------
    pyarrow.Table
        Sorted by `key`, which is unique in it; empty where nobody is left.

    Raises
    ------
    MlopsError
        If a column is absent.
    """
    needed = (key, EVENT_TIMESTAMP, CREATED_TIMESTAMP, RECENCY)
    if absent := [name for name in needed if name not in rows.column_names]:
        raise MlopsError(
            f"the population can't be chosen: the feature rows lack {', '.join(absent)}; the label's population is by "
            f"{RECENCY}, keep it in the feature group"
        )
    ordered = rows.sort_by([(name, "ascending") for name in (key, EVENT_TIMESTAMP, CREATED_TIMESTAMP)])
    keys = ordered[key].to_numpy(zero_copy_only=False)
    is_newest = np.ones(len(keys), dtype=bool)
    is_newest[:-1] = keys[1:] != keys[:-1]
    newest = ordered.filter(pa.array(is_newest))
    return newest.filter(pc.fill_null(pc.less_equal(newest[RECENCY], active_within_days), False)).combine_chunks()
