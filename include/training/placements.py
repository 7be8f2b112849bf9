"""The area under the ROC curve as a sum over rows: each row's part of it, and how sure the sum is.

What belongs here: placements, and the standard error where rows depend on one another. What does not: intervals by
resampling, and those by the sizes of the classes alone (``auc``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from include.training.auc import newcombe_interval

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placements:
    """The AUC of rows, and what each contributes.

    Attributes
    ----------
    value : float
        The AUC: the mean of `of_row` over the positive rows, and over the negative ones.
    deviation : float
        Its standard error; NaN where one class is of a single entity.
    of_row : ndarray of shape (n_rows,), float64
        Of a positive row the share of negative rows below it, of a negative one that of positive rows above it; a tie
        counts one half.
    positives, negatives : int
        Entities that have a row of the class.
    """

    value: float
    deviation: float
    of_row: _Floats
    positives: int
    negatives: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of the AUC: the wider on each side of the standard error's and of Newcombe's.

        The first is symmetric in the log-odds of the AUC, as it may not leave [0, 1].
        """
        low, high = newcombe_interval(self.value, self.positives, self.negatives, level=level)
        inside = self.value * (1 - self.value)
        if inside > 0 and np.isfinite(self.deviation):
            odds = np.log(self.value / (1 - self.value))
            reach = norm.ppf((1 + level) / 2) * self.deviation / inside
            ends = 1 / (1 + np.exp(-np.array([odds - reach, odds + reach])))
            low, high = min(low, float(ends[0])), max(high, float(ends[1]))
        return low, high


def place(is_positive: NDArray[np.bool_], scores: _Floats, owners: NDArray[np.int64]) -> Placements | None:
    """Return the AUC of rows with each row's part; None where all labels are one.

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
    >>> found.value, found.of_row.tolist()
    (0.75, [1.0, 0.5, 0.5, 1.0])
    """
    above, below = scores[is_positive], scores[~is_positive]
    if not len(above) or not len(below):
        return None
    of_row = np.empty(len(scores))
    of_row[is_positive] = _beaten(above, below)
    of_row[~is_positive] = 1 - _beaten(below, above)
    value = float(of_row[is_positive].mean())
    count = int(owners.max()) + 1
    sums, entities = [], []
    for chosen in (is_positive, ~is_positive):
        sums.append(np.bincount(owners[chosen], of_row[chosen] - value, count) / chosen.sum())
        entities.append(len(np.unique(owners[chosen])))
    variance = sum(_of_few(each) * float(part @ part) for each, part in zip(entities, sums, strict=True))
    variance += 2 * _of_few(len(np.unique(owners))) * float(sums[0] @ sums[1])
    deviation = float(np.sqrt(variance)) if variance >= 0 else float("nan")
    return Placements(value, deviation, of_row, *entities)


def _beaten(scores: _Floats, others: _Floats) -> _Floats:
    """Return the share of others below each score, a tie counting one half."""
    ranked = np.sort(others)
    places = np.searchsorted(ranked, scores, side="left") + np.searchsorted(ranked, scores, side="right")
    return np.asarray(places / (2 * len(others)))


def _of_few(entities: int) -> float:
    return entities / (entities - 1) if entities > 1 else float("nan")
