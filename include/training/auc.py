"""The area under the ROC curve, and how sure it is.

What belongs here: the AUC of scores against labels, and its interval where rows depend on one another and positives are
few. What does not: other metrics (``evaluation``), and whether an AUC is good enough, which a gate says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from include.errors import UsageError
from include.monitoring.placements import Placements, deviation_by_sizes
from include.training.clusters import number_entities

_TINY = 1e-12


def auc(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float:
    """Return the probability that a positive row scores above a negative one; a tie counts one half.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1, both present.
    scores : ndarray of shape (n_rows,), float
        No NaN.

    Raises
    ------
    UsageError
        As `check_scored`; also if one class is absent.

    References
    ----------
    J. A. Hanley, B. J. McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982).

    Examples
    --------
    >>> auc(np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.4, 0.35, 0.8], dtype=np.float32))
    0.75
    """
    return RankedRows(labels, scores).auc(np.ones(len(labels)))


def auc_interval(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    entities: Sequence[str],
    *,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of the AUC: the wider on each side of `resampled_interval` and `newcombe_interval`.

    Resampling knows how rows depend on one another, and nothing of values that so few entities don't show: with one
    positive among 500 rows its interval covers a tenth of the time what it says 95 in a hundred times. Newcombe's holds
    there, on the entities that have a positive and those that have a negative row.

    Parameters
    ----------
    labels, scores : ndarray of shape (n_rows,)
        As `auc` takes them.
    entities : sequence of str, length n_rows
        Whom each row is about.
    samples : int
        Resamples.
    seed : int
        Equal seeds give equal intervals.
    level : float
        How often it shall cover the true AUC.

    Raises
    ------
    UsageError
        As `auc`; also if the entities aren't one a row.
    """
    if len(entities) != len(labels):
        raise UsageError(f"{len(labels)} rows belong to {len(entities)} entities; name one for each row")
    resampled = resampled_interval(labels, scores, entities, samples=samples, seed=seed, level=level)
    names = number_entities(entities)
    positives, negatives = (len(np.unique(names[labels == label])) for label in (1, 0))
    by_size = newcombe_interval(auc(labels, scores), positives, negatives, level=level)
    return min(resampled[0], by_size[0]), max(resampled[1], by_size[1])


def placed_interval(placed: Placements, *, level: float) -> tuple[float, float]:
    """Return the interval of an AUC at any level: the wider on each side of the standard error's and of Newcombe's.

    The first is symmetric in the log-odds of the AUC, as it may not leave [0, 1]. It lies where some hundred resamples
    have nothing.
    """
    low, high = newcombe_interval(placed.value, placed.positives, placed.negatives, level=level)
    inside = placed.value * (1 - placed.value)
    if inside > 0 and np.isfinite(placed.deviation):
        odds = np.log(placed.value / (1 - placed.value))
        reach = norm.ppf((1 + level) / 2) * placed.deviation / inside
        ends = 1 / (1 + np.exp(-np.array([odds - reach, odds + reach])))
        low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    return low, high


def newcombe_interval(value: float, positives: int, negatives: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of an AUC by the sizes of the two classes alone.

    Parameters
    ----------
    value : float
        The AUC, in [0, 1].
    positives, negatives : int
        Independent members of each class; at least 1.
    level : float

    Notes
    -----
    Those θ with abs(value - θ) ≤ z · sqrt(V(θ)), where V is Hanley and McNeil's variance with the mean of both sizes in
    the place of each. It covers what it says down to one member of a class, and is no point at an AUC of 0 or 1.

    References
    ----------
    R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2:
    asymptotic methods and evaluation, Statistics in Medicine 25 (2006), method 5.

    Examples
    --------
    >>> low, high = newcombe_interval(1.0, 3, 500)
    >>> round(low, 2), high
    (0.71, 1.0)
    """
    z = float(norm.ppf((1 + level) / 2))

    def beyond(theta: float) -> float:
        return abs(value - theta) - z * deviation_by_sizes(theta, positives, negatives)

    # At 0 and 1 themselves the variance is 0, as if nothing were unsure.
    low = 0.0 if value == 0 else brentq(beyond, 0.0, min(value, 1 - _TINY))
    high = 1.0 if value == 1 else brentq(beyond, max(value, _TINY), 1.0)
    return float(low), float(high)


def resampled_interval(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    entities: Sequence[str],
    *,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of the AUC by resampling entities; parameters are those of `auc_interval`.

    Notes
    -----
    An entity stands in several snapshots, with nearly the same features and overlapping labels:
    resampling rows would take them for independent and give an interval that is too narrow. So whole
    entities are drawn with replacement, and the percentiles of the resampled AUC are returned. Resamples that draw one
    class only are left out.

    References
    ----------
    A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application, Cambridge 1997, section 3.8;
    C. A. Field, A. H. Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69 (2007).
    """
    ranked = RankedRows(labels, scores)
    entity_of_row = number_entities(entities)
    count = int(entity_of_row.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, count, count), minlength=count)[entity_of_row] for _ in range(samples))
    values = np.array([ranked.auc(weights.astype(np.float64)) for weights in drawn])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def check_scored(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> None:
    """Check that rows can be measured.

    Raises
    ------
    UsageError
        If a label is neither 0 nor 1, a score is NaN or infinite, or there isn't one of each for a row.
    """
    if len(labels) != len(scores):
        raise UsageError(f"{len(scores)} scores can't be held against {len(labels)} labels; give one of each a row")
    if len(strange := np.setdiff1d(labels, [0, 1])):
        raise UsageError(f"a label is {strange[0]}; allowed are 0 and 1")
    finite = np.isfinite(scores)
    if not finite.all():
        first = int(np.flatnonzero(~finite)[0])
        raise UsageError(
            f"{int((~finite).sum())} of {len(scores)} scores are no numbers (the first: row {first}, {scores[first]}); "
            "nothing can be measured with them: score the rows again, or leave them out and say so"
        )


class RankedRows:
    """Rows sorted by score once, so that each weighting costs two running sums.

    Parameters and errors are those of `auc`.
    """

    def __init__(self, labels: NDArray[np.int8], scores: NDArray[np.float32]) -> None:
        check_scored(labels, scores)
        if len(np.unique(labels)) != 2:
            raise UsageError(f"{len(labels)} rows hold the labels {np.unique(labels).tolist()}; an AUC takes both")
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._tie_starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._is_positive = labels[self._order].astype(np.float64)

    def auc(self, weights: NDArray[np.float64]) -> float:
        """Return the AUC with row weights; NaN where one class has no weight."""
        ordered = weights[self._order]
        positive = np.add.reduceat(ordered * self._is_positive, self._tie_starts)
        negative = np.add.reduceat(ordered * (1 - self._is_positive), self._tie_starts)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float(np.sum(positive * (below + negative / 2)) / pairs)

    def placements(self) -> NDArray[np.float64]:
        """Return of each row the share of the other class that it stands on the right side of; a tie is one half."""
        tie = np.cumsum(np.isin(np.arange(len(self._order)), self._tie_starts)) - 1
        positive = np.add.reduceat(self._is_positive, self._tie_starts)
        negative = np.add.reduceat(1 - self._is_positive, self._tie_starts)
        below = (np.cumsum(negative) - negative / 2) / negative.sum()
        above = (positive.sum() - np.cumsum(positive) + positive / 2) / positive.sum()
        placed = np.empty(len(self._order))
        placed[self._order] = np.where(self._is_positive == 1, below[tie], above[tie])
        return placed
