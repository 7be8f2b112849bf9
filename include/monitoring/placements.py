"""The area under the ROC curve by placements, and how sure it is.

What belongs here: the area, and its standard error, where rows depend on one another or by the sizes of the classes
alone. What does not: intervals (``training.auc``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placements:
    """The AUC of rows, and how sure it is.

    Attributes
    ----------
    value : float
        The AUC: the mean placement of the positive rows, which is the share of negative rows below one, a tie counting
        one half; and that of the negative ones.
    deviation : float
        Its standard error; NaN where one class is of a single entity.
    positives, negatives : int
        Entities that have a row of the class.
    """

    value: float
    deviation: float
    positives: int
    negatives: int


def place(is_positive: NDArray[np.bool_], scores: _Floats, owners: NDArray[np.int64]) -> Placements | None:
    """Return the AUC of rows; None where all labels are one.

    Parameters
    ----------
    is_positive : ndarray of shape (n_rows,), bool
        The label.
    scores : ndarray of shape (n_rows,), float64
        No NaN.
    owners : ndarray of shape (n_rows,), int64
        The number of the entity that each row is about.

    Notes
    -----
    The variance is Obuchowski's, of placements that are summed by entity; where each entity has one row it is that of
    DeLong, DeLong and Clarke-Pearson.

    References
    ----------
    N. A. Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53 (1997).

    Examples
    --------
    >>> found = place(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8]), np.arange(4))
    >>> found.value, found.positives, found.negatives
    (0.75, 2, 2)
    """
    placed = placements(is_positive, scores)
    if placed is None:
        return None
    value = float(placed[is_positive].mean())
    count = int(owners.max()) + 1
    sums, entities = [], []
    for chosen in (is_positive, ~is_positive):
        sums.append(np.bincount(owners[chosen], placed[chosen] - value, count) / chosen.sum())
        entities.append(len(np.unique(owners[chosen])))
    variance = sum(_of_few(each) * float(part @ part) for each, part in zip(entities, sums, strict=True))
    variance += 2 * _of_few(len(np.unique(owners))) * float(sums[0] @ sums[1])
    deviation = float(np.sqrt(variance)) if variance >= 0 else float("nan")
    return Placements(value, deviation, *entities)


def placements(is_positive: NDArray[np.bool_], scores: _Floats) -> _Floats | None:
    """Return of each row the share of the other class that it stands on the right side of; None where all are one.

    Parameters are those of `place`; a tie counts one half.
    """
    above, below = scores[is_positive], scores[~is_positive]
    if not len(above) or not len(below):
        return None
    placed = np.empty(len(scores))
    placed[is_positive] = _beaten(above, below)
    placed[~is_positive] = 1 - _beaten(below, above)
    return placed


def deviation_by_sizes(value: float, positives: int, negatives: int) -> float:
    """Return the standard error of an AUC by the sizes of the two classes alone; 0 at an AUC of 0 or 1.

    Notes
    -----
    Hanley and McNeil's, with the mean of both sizes in the place of each, as Newcombe has it in his method 5.
    """
    mean_size = (positives + negatives) / 2
    variance = value * (1 - value) * (1 + (mean_size - 1) * ((1 - value) / (2 - value) + value / (1 + value)))
    return math.sqrt(variance / (positives * negatives))


def _beaten(scores: _Floats, others: _Floats) -> _Floats:
    """Return the share of others below each score, a tie counting one half."""
    ranked = np.sort(others)
    places = np.searchsorted(ranked, scores, side="left") + np.searchsorted(ranked, scores, side="right")
    return np.asarray(places / (2 * len(others)))


def _of_few(entities: int) -> float:
    return entities / (entities - 1) if entities > 1 else float("nan")
