"""Two versions held against each other on the same rows: the difference of a metric, and how sure it is.

What belongs here: the difference of two AUCs, that of two means over lists, and the interval of each. What does not:
the metrics themselves (``auc``, ``list_metrics``), and whether a difference is good enough, which a gate says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from include.errors import UsageError
from include.training.auc import RankedRows
from include.training.clusters import number_entities

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """What a candidate's metric is above the champion's, on the same rows.

    Attributes
    ----------
    metric : str
        Its name, for a person.
    candidate, champion : float
        The metric of each.
    low, high : float
        The 95 % interval of candidate - champion.
    rows : int
        Rows that were scored by both.
    entities : int
        How many are independent of one another: owners of lists that are measured; of two classes those of the rarer.
    """

    metric: str
    candidate: float
    champion: float
    low: float
    high: float
    rows: int
    entities: int

    @property
    def difference(self) -> float:
        """What the candidate's metric is above the champion's."""
        return self.candidate - self.champion


def compare_aucs(
    labels: NDArray[np.int8],
    candidate: NDArray[np.float32],
    champion: NDArray[np.float32],
    entities: Sequence[str],
    *,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two AUCs of the same rows.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1, both present.
    candidate, champion : ndarray of shape (n_rows,), float32
        Scores, no NaN; each may have a scale of its own.
    entities : sequence of str, length n_rows
        Whom each row is about: the cluster that is resampled.
    samples, seed : int
        Of the resampling; equal seeds give equal intervals.
    level : float
        How often the interval shall cover the true difference.

    Raises
    ------
    UsageError
        As `include.training.auc.auc`; also if the entities aren't one a row.

    Notes
    -----
    The interval is the wider on each side of two. One is that of resampling whole entities, both versions on the same
    resample. The other is Student's t on the variance by entities of what each adds to the difference (Obuchowski's for
    clustered rows), with one more entity of each class that the candidate has wholly right and the champion wholly
    wrong, half of it the other way round, as Agresti and Min have it for proportions of pairs: where two versions
    differ on few entities, or none, the rows at hand can't tell how seldom they do, and resampling gives a point.

    References
    ----------
    N. A. Obuchowski, Nonparametric analysis of clustered ROC curve data, Biometrics 53 (1997);
    A. Agresti, Y. Min, Simple improved confidence intervals for comparing matched proportions, Statistics in Medicine
    24 (2005); C. A. Field, A. H. Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69 (2007).
    """
    owner, count = _number(entities, len(labels))
    ranked = RankedRows(labels, candidate), RankedRows(labels, champion)
    own, other = (each.auc(np.ones(len(labels))) for each in ranked)
    drawn = (weights[owner] for weights in _resamples(count, samples, seed))
    differences = [ranked[0].auc(weights) - ranked[1].auc(weights) for weights in drawn]
    of_class = np.where(labels == 1, np.sum(labels == 1), np.sum(labels == 0))
    adds = (ranked[0].placements() - ranked[1].placements() - (own - other)) / of_class
    of_each = np.bincount(owner, weights=adds, minlength=count).astype(np.float64)
    sizes = [len(np.unique(owner[labels == label])) for label in (1, 0)]
    low, high = _wider(own - other, differences, of_each, sizes, level)
    return PairedDifference("AUC", own, other, low, high, len(labels), min(sizes))


def compare_means(
    metric: str,
    candidate: _Floats,
    champion: _Floats,
    owners: Sequence[str],
    *,
    rows: int,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two means over the same lists.

    Parameters
    ----------
    candidate, champion : ndarray of shape (n_lists,), float64
        The metric of each list, in [0, 1]; at least one list.
    owners : sequence of str, length n_lists
        Whom each list is for: the cluster that is resampled.
    rows : int
        Rows of the lists.

    Raises
    ------
    UsageError
        If there is no list, or the owners aren't one a list.

    Notes
    -----
    The interval as `compare_aucs` has it, with one class of entities in the place of two.
    """
    if not len(candidate):
        raise UsageError("there are no lists to compare two versions on")
    owner, count = _number(owners, len(candidate))
    each = candidate - champion
    totals, counts = np.bincount(owner, weights=each), np.bincount(owner).astype(np.float64)
    drawn = _resamples(count, samples, seed)
    differences = [float(weights @ totals) / float(weights @ counts) for weights in drawn]
    of_each = (totals - each.mean() * counts) / counts.sum()
    low, high = _wider(float(each.mean()), differences, of_each, [count], level)
    return PairedDifference(metric, float(candidate.mean()), float(champion.mean()), low, high, rows, count)


def _number(entities: Sequence[str], rows: int) -> tuple[NDArray[np.int64], int]:
    if len(entities) != rows:
        raise UsageError(f"{rows} rows belong to {len(entities)} entities; name one for each row")
    numbers = number_entities(entities)
    return numbers, int(numbers.max(initial=-1)) + 1


def _resamples(count: int, samples: int, seed: int) -> Iterator[_Floats]:
    """Yield how often each entity is drawn, of so many resamples with replacement."""
    rng = np.random.default_rng(seed)
    for _ in range(samples):
        yield np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)


def _wider(
    difference: float, resampled: Sequence[float], adds: _Floats, sizes: Sequence[int], level: float
) -> tuple[float, float]:
    """Return the wider interval on each side: of the resampled differences, and by what each entity adds."""
    found = np.array(resampled)
    found = found[np.isfinite(found)]
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail]) if len(found) else (-1.0, 1.0)
    count = len(adds)
    variance = float(np.sum(adds**2)) * count / max(count - 1, 1) + sum(1 / (size + 1) ** 2 for size in sizes)
    half = float(student.ppf(1 - tail, max(min(sizes) - 1, 1))) * math.sqrt(variance)
    return max(-1.0, min(float(low), difference - half)), min(1.0, max(float(high), difference + half))
