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
from include.monitoring.placements import Placements, deviation_by_sizes, place, placements

_Floats = NDArray[np.float64]
_QUANTILE = float(norm.ppf(0.975))
# Agresti and Coull: as many entities more that have all, and that have nothing.
_PADDING = (0.0, 0.0, 1.0, 1.0)


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

    @property
    def owners(self) -> NDArray[np.int64]:
        """The number of each one's entity; of shape (n,)."""

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """Return what a part is worth; None where it has too few entities, or too few of a class."""

    def weighted(self, weights: _Floats | None = None) -> float:
        """Return what all are worth, each for as many as its weight says; NaN where that is nothing."""

    def pulls(self) -> _Floats:
        """Return how the metric moves with the share of each, to first order; of shape (n,), with a mean of 0."""

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """Return what others would be worth were it only for their features; None where they have too little in common.

        The value, and the ends of an interval that holds what comes true 95 times of 100.

        Raises
        ------
        RefusedError
            If there are too few on a side to tell anything.
        """


@dataclass(frozen=True)
class JudgedRows(ScoredRows):
    """Rows of a classifier, with labels; judged by the AUC."""

    metric: ClassVar[str] = "AUC"

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """As `Judged.measure`, by placements; no surer than classes of so many entities let anybody be."""
        is_positive = np.asarray(self.labels)[chosen] == 1
        found = place(is_positive, self.scores[chosen], self.owners[chosen]) if chosen.any() else None
        if found is None or min(found.positives, found.negatives) < OF_A_CLASS_MIN:
            return None
        return Worth(found.value, float(np.fmax(found.deviation, _least_deviation(found))))

    def weighted(self, weights: _Floats | None = None) -> float:
        """As `Judged.weighted`."""
        return expected_auc(self.scores, np.asarray(self.labels), weights)

    def pulls(self) -> _Floats:
        """As `Judged.pulls`: placements, beside their mean, by the share of a row's class."""
        is_positive = np.asarray(self.labels) == 1
        placed = placements(is_positive, self.scores)
        if placed is None:
            return np.zeros(len(self.scores))
        share = np.where(is_positive, is_positive.mean(), 1 - is_positive.mean())
        return np.asarray((placed - placed[is_positive].mean()) / share)

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """As `Judged.expect`: as before labels are known."""
        found = estimate_auc(self, others, samples=samples, seed=seed)
        return (found.value, found.low, found.high) if found.is_corrected else None


@dataclass(frozen=True)
class JudgedLists:
    """Lists of a ranking with a positive item; judged by their mean NDCG.

    Attributes
    ----------
    ndcg : ndarray of shape (n_lists,), float64
    features : ndarray of shape (n_lists, n_features), float64
        How many items a list has, and the mean of each feature over them; NaN is missing.
    owners : ndarray of shape (n_lists,), int64
        The number of each list's entity.
    """

    metric: ClassVar[str] = "NDCG"
    ndcg: _Floats
    features: _Floats
    owners: NDArray[np.int64]

    def measure(self, chosen: NDArray[np.bool_]) -> Worth | None:
        """As `Judged.measure`: Cochran's ratio of sums over entities, two more of whom have nothing and two have all.

        Few lists often have one NDCG all, such as 0: their own spread would say that this is sure.
        """
        whose = np.unique(self.owners[chosen], return_inverse=True)[1]
        if int(whose.max(initial=-1)) + 1 < OF_A_CLASS_MIN:
            return None
        each = np.bincount(whose).mean()
        counts = np.concatenate([np.bincount(whose), np.full(len(_PADDING), each)])
        totals = np.concatenate([np.bincount(whose, self.ndcg[chosen]), each * np.array(_PADDING)])
        beside = totals - totals.sum() / counts.sum() * counts
        variance = len(counts) / (len(counts) - 1) * float(beside @ beside)
        return Worth(float(self.ndcg[chosen].mean()), math.sqrt(variance) / float(counts.sum()))

    def weighted(self, weights: _Floats | None = None) -> float:
        """As `Judged.weighted`."""
        if not len(self.ndcg) or (weights is not None and weights.sum() <= 0):
            return float("nan")
        return float(np.average(self.ndcg, weights=weights))

    def pulls(self) -> _Floats:
        """As `Judged.pulls`."""
        return np.asarray(self.ndcg - self.ndcg.mean())

    def expect(self, others: Self, *, samples: int, seed: int) -> tuple[float, float, float] | None:
        """As `Judged.expect`.

        Notes
        -----
        The generalised regression estimator: lists count by how much likelier such features are among the others, and
        what weights leave of a difference of means is made up for by a weighted line through the ranks of features.
        Weights alone fall short where few lists are far out. Ranks are the same in any unit, and what lies beyond the
        values of these lists stands at their ends: one such item would decide else. The interval is the normal one, of
        a standard error for which entities are drawn with replacement and the others' own chance is added; lists of one
        of these are alike.

        References
        ----------
        C. M. Cassel, C. E. Särndal, J. H. Wretman, Some results on generalized difference estimation and generalized
        regression estimation for finite populations, Biometrika 63 (1976).
        """
        for name, side in (("test", self), ("current", others)):
            if len(side.ndcg) < ROWS_MIN:
                raise RefusedError(f"the {name} lists are {len(side.ndcg)}; from fewer than {ROWS_MIN} nothing is told")
        if (entities := len(np.unique(self.owners))) < OF_A_CLASS_MIN:
            raise RefusedError(
                f"the test has lists of {entities} entities; from fewer than {OF_A_CLASS_MIN} nothing is told"
            )
        rng = np.random.default_rng(seed)
        weights = find_likeness(self.features, others.features, rng)
        if weights is None:
            return None
        known, wanted = _ranked(self.features, others.features)
        drawn, independent = [], len(np.unique(others.owners))
        for times in draw_entities(self.owners, samples, rng):
            value, spread = self._by(weights * times, known, wanted)
            drawn.append(value + rng.normal() * spread / math.sqrt(independent))
        value, beside = self._by(weights, known, wanted)[0], _QUANTILE * float(np.std(drawn, ddof=1))
        low, middle, high = np.clip([value - beside, value, value + beside], 0.0, 1.0)
        return float(middle), float(low), float(high)

    def _by(self, weights: _Floats, known: _Floats, wanted: _Floats) -> tuple[float, float]:
        """Return the mean that lists by these weights let expect where features have other means, and their spread."""
        mean, middle = self.weighted(weights), np.average(known, axis=0, weights=weights)
        beside, apart = self.ndcg - mean, known - middle
        # Features may say the same as others: the shortest of all lines that fit as well.
        slopes = np.linalg.lstsq((apart.T * weights) @ apart, (apart.T * weights) @ beside)[0]
        return mean + float((wanted - middle) @ slopes), math.sqrt(float(np.average(beside**2, weights=weights)))


def _least_deviation(found: Placements) -> float:
    """Return the standard error of an AUC by the sizes of the classes, where one pair more of each order had been seen.

    Where all rows of a class are on the right side their placements have no spread: that is not sure, but of few.
    """
    fewer = min(found.positives, found.negatives)
    return deviation_by_sizes((found.value * fewer + 1) / (fewer + 2), found.positives, found.negatives)


def deviation_of_mean(values: _Floats, owners: NDArray[np.int64]) -> float:
    """Return the standard error of a mean of at least one, by entity: Cochran's of a ratio of sums."""
    whose = np.unique(owners, return_inverse=True)[1]
    beside = np.bincount(whose, values - values.mean())
    return math.sqrt(len(beside) / max(1, len(beside) - 1) * float(beside @ beside)) / len(values)


def _ranked(features: _Floats, others: _Floats) -> tuple[_Floats, _Floats]:
    """Return where each value stands among those of its feature, from -1/2 to 1/2, and the mean place of others there.

    What is missing stands in the middle.
    """
    places, wanted = np.zeros(features.shape), np.zeros(features.shape[1])
    for column, (values, news) in enumerate(zip(features.T, others.T, strict=True)):
        known = np.sort(values[~np.isnan(values)])
        if len(known):
            places[:, column] = _places(values, known)
            wanted[column] = _places(news, known).mean()
    return places, wanted


def _places(values: _Floats, known: _Floats) -> _Floats:
    below, up_to = np.searchsorted(known, values, side="left"), np.searchsorted(known, values, side="right")
    return np.where(np.isnan(values), 0.0, (below + up_to) / (2 * len(known)) - 0.5)
