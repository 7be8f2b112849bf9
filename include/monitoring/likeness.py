"""Rows that stand for others: weighted by how alike their features are, and drawn with replacement by entity.

What belongs here: what is the same for rows of a classifier and lists of a ranking. What does not: what they are worth
(``estimated_performance``, ``fall_sides``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Fewer of a side tell nothing.
ROWS_MIN = 100
_EPSILON = 1e-6
# A row of the reference that stands for more than so many is held to that: a few would decide.
_WEIGHT_MAX = 20.0
_FOLDS = 3
# Shallow trees: what they can't tell apart counts as alike.
_TELLS_APART = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.1, "nthread": 1}
_TREES = 40
_ALIKE_MIN = 0.5
_LARGEST = float(np.finfo(np.float32).max)

_Floats = NDArray[np.float64]


def find_likeness(reference: _Floats, current: _Floats, rng: np.random.Generator) -> _Floats | None:
    """Return how much likelier the features of each row of the reference are among the current ones.

    None where there are none, or where most of the current rows are like no row of the reference.

    Parameters
    ----------
    reference, current : ndarray of shape (n_rows, n_features), float64
        NaN is missing.
    rng : numpy.random.Generator
        Of the folds.

    Returns
    -------
    ndarray of shape (n_reference_rows,), float64, or None
    """
    if reference.shape[1] == 0:
        return None
    import xgboost

    # What lies beyond 32 bits, infinity too, stands at their end: the trees take nothing else.
    rows = np.clip(np.concatenate([reference, current]), -_LARGEST, _LARGEST)
    is_current = np.repeat([0, 1], [len(reference), len(current)])
    fold = rng.permutation(len(rows)) % _FOLDS
    chance = np.empty(len(rows))
    for own in range(_FOLDS):
        others = xgboost.DMatrix(rows[fold != own], is_current[fold != own], nthread=1)
        model = xgboost.train(_TELLS_APART, others, _TREES)
        chance[fold == own] = model.predict(xgboost.DMatrix(rows[fold == own], nthread=1))
    inside = np.clip(chance[: len(reference)], _EPSILON, 1 - _EPSILON)
    ratio = inside / (1 - inside) * len(reference) / len(current)
    weights = np.asarray(np.clip(ratio, 1 / _WEIGHT_MAX, _WEIGHT_MAX))
    # The mean of the true ratio is the share of the current rows that are where the reference has some.
    is_like = weights.mean() >= _ALIKE_MIN and weights.sum() ** 2 / np.sum(weights**2) >= ROWS_MIN
    return weights if is_like else None


def draw_entities(owners: NDArray[np.int64], samples: int, rng: np.random.Generator) -> Sequence[_Floats]:
    """Return for each sample how often each row is drawn, with all rows of its entity."""
    numbers = np.unique(owners, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    return [
        np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)[numbers] for _ in range(samples)
    ]
