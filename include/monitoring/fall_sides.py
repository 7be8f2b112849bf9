"""What came true of what a model scored, as its fall is explained: rows of a classifier, lists of a ranking.

What belongs here: what a part of them was worth, all of them by other weights, and what is expected of others. What
does not: what is said of it (``causes``, ``fall_parts``), and reading them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from include.errors import RefusedError
from include.monitoring.estimated_performance import OF_A_CLASS_MIN, ScoredRows, estimate_auc, expected_auc
from include.monitoring.likeness import ROWS_MIN, draw_entities, find_likeness
from include.monitoring.placements import place

_Floats = NDArray[np.float64]
_QUANTILE = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Worth:
    """A metric of some of them, and its standard error."""

    value: float
    deviation: float


class Judged(Protocol):
    """What a version scored, or was tested on, with labels.

    Attributes
    ----------
    metric : str
        What it is judged by, as a person calls it.
    """

    metric: ClassVar[str]

    @property
    def features(self) -> _Floats:
        """Of shape (n, n_features); NaN is missing."""

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """Return what a part is worth; None where it has too few entities, or too few of a class."""

    def weighted(self, weights: _Floats | None = None) -> float:
        """Return what all are worth, each for as many as its weight says; NaN where that is nothing."""

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """Return what others would be worth were it only for their features; None where they have too little in common.

        The value, and the ends of an interval that holds what comes true 95 times of 100.
        """


@dataclass(frozen=True)
class JudgedRows(ScoredRows):
    """Rows of a classifier, with labels; judged by the AUC."""

    metric: ClassVar[str] = "AUC"

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """As `Judged.measure`, by placements."""
        is_positive = np.asarray(self.labels)[chosen] == 1
        found = place(is_positive, self.scores[chosen], self.owners[chosen]) if chosen.any() else None
        if found is None or min(found.positives, found.negatives) < OF_A_CLASS_MIN:
            return None
        return Worth(found.value, found.deviation)

    def weighted(self, weights: _Floats | None = None) -> float:
        """As `Judged.weighted`."""
        return expected_auc(self.scores, np.asarray(self.labels), weights)

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """As `Judged.expect`: as before labels are known."""
        try:
            found = estimate_auc(self, others, samples=samples, seed=seed)
        except RefusedError:
            return None
        return (found.value, found.low, found.high) if found.is_corrected else None


@dataclass(frozen=True)
class JudgedLists:
    """Lists of a ranking with a positive item; judged by their mean NDCG.

    Attributes
    ----------
    ndcg : ndarray of shape (n_lists,), float64
    features : ndarray of shape (n_lists, n_features), float64
        The mean over a list's items; NaN is missing.
    owners : ndarray of shape (n_lists,), int64
        The number of each list's entity.
    """

    metric: ClassVar[str] = "NDCG"
    ndcg: _Floats
    features: _Floats
    owners: NDArray[np.int64]

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """As `Judged.measure`: Cochran's ratio of sums over entities."""
        whose = np.unique(self.owners[chosen], return_inverse=True)[1]
        count = int(whose.max(initial=-1)) + 1
        if count < OF_A_CLASS_MIN:
            return None
        mean = float(self.ndcg[chosen].mean())
        beside = np.bincount(whose, self.ndcg[chosen] - mean)
        return Worth(mean, math.sqrt(count / (count - 1) * float(beside @ beside)) / len(whose))

    def weighted(self, weights: _Floats | None = None) -> float:
        """As `Judged.weighted`."""
        if not len(self.ndcg) or (weights is not None and weights.sum() <= 0):
            return float("nan")
        return float(np.average(self.ndcg, weights=weights))

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """As `Judged.expect`.

        Notes
        -----
        The generalised regression estimator: lists count by how much likelier such features are among the others, and
        what weights leave of a difference of means is made up for by a weighted line through the features. Weights
        alone fall short where few lists are far out. The interval is the normal one, of a standard error for which
        entities are drawn with replacement and the others' own chance is added.

        References
        ----------
        C. M. Cassel, C. E. Särndal, J. H. Wretman, Some results on generalized difference estimation and generalized
        regression estimation for finite populations, Biometrika 63 (1976).
        """
        if min(len(self.ndcg), len(others.ndcg)) < ROWS_MIN or len(np.unique(self.owners)) < OF_A_CLASS_MIN:
            return None
        rng = np.random.default_rng(seed)
        weights = find_likeness(self.features, others.features, rng)
        if weights is None:
            return None
        known, wanted = _filled(self.features, others.features)
        drawn = []
        for times in draw_entities(self.owners, samples, rng):
            value, spread = self._by(weights * times, known, wanted)
            drawn.append(value + rng.normal() * spread / math.sqrt(len(others.ndcg)))
        value, beside = self._by(weights, known, wanted)[0], _QUANTILE * float(np.std(drawn, ddof=1))
        return value, value - beside, value + beside

    def _by(self, weights: _Floats, known: _Floats, wanted: _Floats) -> tuple[float, float]:
        """Return the mean that lists by these weights let expect where features have other means, and their spread."""
        mean, middle = self.weighted(weights), np.average(known, axis=0, weights=weights)
        beside, apart = self.ndcg - mean, known - middle
        # Features may say the same as others: the shortest of all lines that fit as well.
        slopes = np.linalg.lstsq((apart.T * weights) @ apart, (apart.T * weights) @ beside)[0]
        return mean + float((wanted - middle) @ slopes), math.sqrt(float(np.average(beside**2, weights=weights)))


def _filled(features: _Floats, others: _Floats) -> tuple[_Floats, _Floats]:
    """Return features whose missing values are their mean, and the means of others so filled."""
    finite = np.where(np.isfinite(features), features, np.nan)
    counts = np.isfinite(finite).sum(axis=0)
    means = np.divide(np.nansum(finite, axis=0), counts, out=np.zeros(features.shape[1]), where=counts > 0)
    there = np.where(np.isfinite(others), others, means)
    return np.where(np.isfinite(finite), finite, means), there.mean(axis=0)
