"""Measure scores that were given, once it is known what happened.

What belongs here: the metrics of scored rows with known labels, each with its interval. What does not: those of a
training's test (``evaluation``, ``list_evaluation``), and whether they are good enough (``monitoring.performance``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.monitoring.performance import Figure
from include.training.auc import auc, auc_interval, check_scored
from include.training.clusters import number_entities
from include.training.list_metrics import ListMetrics, mean_interval, padded_mean

_LEVEL = 0.95
_BINS = 10
# As `include.training.evaluation` has it: float32 scores reach 0 and 1.
_LOG_EPSILON = 1e-7

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """How predictions did.

    Attributes
    ----------
    figures : mapping of str to Figure
        By name; the first one is what a version is judged by.
    rows, entities : int
        Labelled rows, and how many they belong to.
    """

    figures: Mapping[str, Figure]
    rows: int
    entities: int


def measure_binary(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    decisions: NDArray[np.bool_],
    entities: Sequence[str],
    *,
    samples: int,
    seed: int,
) -> Measured:
    """Measure the scores of a classifier.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1; at least one row.
    scores : ndarray of shape (n_rows,), float32
        Probabilities, no NaN.
    decisions : ndarray of shape (n_rows,), bool
        What was decided by them then.
    entities : sequence of str, length n_rows
        Whom each row is about: all rows of one are drawn together.
    samples, seed : int
        Of the resampling.

    Returns
    -------
    Measured
        ``auc`` (undefined where all labels are one), ``precision`` (undefined where nothing was decided for),
        ``recall`` (undefined without a positive label), ``log_loss``, ``brier``, and ``calibration_error``: the mean
        distance of score and label over ten groups by score, equal but for rows of one score, which are in one.

    Raises
    ------
    UsageError
        If a label is neither 0 nor 1, or a score is no number.
    """
    check_scored(labels, scores)
    y, p = labels.astype(np.float64), scores.astype(np.float64)
    clipped = np.clip(p, _LOG_EPSILON, 1 - _LOG_EPSILON)
    loss = -np.where(y == 1, np.log(clipped), np.log1p(-clipped))
    owner, ones = number_entities(entities), np.ones(len(y))
    drawn = _Resamples(owner, samples, seed)
    found = {"auc": _auc(labels, scores, entities, samples=samples, seed=seed)}
    found["precision"] = drawn.share(y * decisions, decisions.astype(np.float64))
    found["recall"] = drawn.share(y * decisions, y)
    found["log_loss"] = drawn.ratio(loss, ones)
    found["brier"] = drawn.ratio((p - y) ** 2, ones)
    found["calibration_error"] = drawn.distance(_calibration(y, p))
    return Measured(found, len(y), int(owner.max()) + 1)


def measure_ranking(lists: ListMetrics, owners: Sequence[str], *, top_k: int, samples: int, seed: int) -> Measured:
    """Measure lists; those without a positive item are left out, as no order of them is better than another.

    Parameters
    ----------
    lists : ListMetrics
        Of whole lists.
    owners : sequence of str, length n_lists
        Whom each list is for: all lists of one are drawn together.
    top_k : int
        What the lists were measured at.

    Returns
    -------
    Measured
        ``ndcg``, ``hit_rate``, ``precision`` and ``recall`` of the first `top_k` places; undefined without a positive
        item.
    """
    names = ("ndcg", "hit_rate", "precision", "recall")
    measured = lists.measured
    whose = [owner for owner, is_measured in zip(owners, measured, strict=True) if is_measured]
    rows = int(lists.sizes[measured].sum())
    if not whose:
        return Measured(dict.fromkeys(names, Figure(None)), 0, 0)
    values = (lists.ndcg, lists.hit, lists.precision, lists.recall)
    found = {}
    for name, each in zip(names, values, strict=True):
        low, high = mean_interval(each[measured], whose, samples=samples, seed=seed, level=_LEVEL)
        found[name] = Figure(float(each[measured].mean()), low, high)
    return Measured(found, rows, len(set(whose)))


def _auc(
    labels: NDArray[np.int8], scores: NDArray[np.float32], entities: Sequence[str], *, samples: int, seed: int
) -> Figure:
    if len(np.unique(labels)) < 2:
        return Figure(None)
    low, high = auc_interval(labels, scores, entities, samples=samples, seed=seed, level=_LEVEL)
    return Figure(auc(labels, scores), low, high)


def _calibration(labels: _Floats, scores: _Floats) -> Callable[[_Floats], _Floats]:
    """Return how far score and label lie apart in each group, by the weights of rows; the groups are those of all."""
    _, tie, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(sizes) - (sizes + 1) // 2
    place = (middle * _BINS // len(scores))[tie]

    def apart(weights: _Floats) -> _Floats:
        return np.asarray(np.bincount(place, weights * (scores - labels), _BINS) / weights.sum())

    return apart


class _Resamples:
    """Whole entities drawn with replacement, the same for each metric."""

    def __init__(self, owner: NDArray[np.int64], samples: int, seed: int) -> None:
        self._owner, self._count = owner, int(owner.max()) + 1
        rng = np.random.default_rng(seed)
        self._drawn = [
            np.bincount(rng.integers(0, self._count, self._count), minlength=self._count).astype(np.float64)
            for _ in range(samples)
        ]

    def ratio(self, above: _Floats, below: _Floats) -> Figure:
        """Return a sum over rows divided by another, with its interval; undefined where the other is 0."""
        if not below.sum():
            return Figure(None)
        tops, bottoms = (np.bincount(self._owner, each, self._count) for each in (above, below))
        values = [float(w @ tops) / bottom for w in self._drawn if (bottom := float(w @ bottoms)) > 0]
        return self._figure(float(above.sum() / below.sum()), values)

    def share(self, above: _Floats, below: _Floats) -> Figure:
        """Return a ratio in [0, 1]; its interval is no point where the few that it is of are all alike."""
        found = self.ratio(above, below)
        if found.low is None or found.high is None:
            return found
        tops, bottoms = (np.bincount(self._owner, each, self._count).astype(np.float64) for each in (above, below))
        low, high = padded_mean(tops[bottoms > 0], bottoms[bottoms > 0], level=_LEVEL)
        return Figure(found.value, min(found.low, low), max(found.high, high))

    def distance(self, parts: Callable[[_Floats], _Floats]) -> Figure:
        """Return the sum of the parts' sizes, with its interval.

        Chance only adds to sizes: that of a resample is above that of the rows, as that is above the truth, which the
        quantiles of resamples leave out. The sum is off by no more than the parts are, all together.
        """
        own = parts(np.ones(len(self._owner)))
        off = float(np.quantile([np.abs(parts(each[self._owner]) - own).sum() for each in self._drawn], _LEVEL))
        value = float(np.abs(own).sum())
        return Figure(value, max(value - off, 0.0), min(value + off, 1.0))

    @staticmethod
    def _figure(value: float, values: Sequence[float]) -> Figure:
        low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        return Figure(value, float(min(low, value)), float(max(high, value)))
