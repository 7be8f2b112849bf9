"""How good lists are, and how sure it is.

What belongs here: metrics of ranked lists against labels, each list's own, and the interval of their mean. What does
not: who stands where (``scoring.lists``), and whether it is good enough, which a gate says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from include.errors import UsageError
from include.training.clusters import number_entities

_Floats = NDArray[np.float64]

# Agresti and Coull: as many more that have all, and that have nothing.
_PADDING = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ListMetrics:
    """Each list's metrics; NaN where a list has no positive item, but for what says otherwise.

    Attributes
    ----------
    ndcg : ndarray of shape (n_lists,), float64
        Of the first k places: the sum of 1 / log2(1 + place) over the positive items there, as a share of what the
        best order has [1]_.
    hit : ndarray
        1 where one of the first k items is positive, else 0.
    precision : ndarray
        Positive items among the first k, divided by k, however short the list is, as trec_eval has it.
    recall : ndarray
        Positive items among the first k, divided by all positive items of the list.
    average_precision : ndarray
        Of the whole list: the mean, over the positive items, of the precision at the place of each [2]_. Its mean over
        lists is MAP.
    random_ndcg : ndarray
        The NDCG that is expected of a random order.
    sizes, positives : ndarray of shape (n_lists,), int64
        Items, and positive ones; of every list.

    References
    ----------
    .. [1] K. Järvelin, J. Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20 (2002); with gains
       of 0 and 1.
    .. [2] C. D. Manning, P. Raghavan, H. Schütze, Introduction to Information Retrieval, Cambridge 2008, section 8.4.
    """

    ndcg: _Floats
    hit: _Floats
    precision: _Floats
    recall: _Floats
    average_precision: _Floats
    random_ndcg: _Floats
    sizes: NDArray[np.int64]
    positives: NDArray[np.int64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which lists have a positive item: of the others no order is better than another."""
        return self.positives > 0


def measure_lists(
    lists: NDArray[np.int64], ranks: NDArray[np.int32], labels: NDArray[np.int8], *, k: int
) -> ListMetrics:
    """Measure each list.

    Parameters
    ----------
    lists : ndarray of shape (n_rows,), int64
        The number of each row's list, from 0 on without a gap; rows in any order.
    ranks : ndarray of shape (n_rows,), int32
        The place of each row in its list, from 1 on without a gap. Equal scores have places of their own, by the rule
        of `scoring.lists`: what is measured is what is served.
    labels : ndarray of shape (n_rows,), int8
        0 or 1.
    k : int
        Places that are read.

    Raises
    ------
    UsageError
        If there isn't one of each for a row, or a label is neither 0 nor 1.

    Examples
    --------
    >>> found = measure_lists(np.zeros(3, int), np.array([1, 2, 3]), np.array([0, 1, 1]), k=2)
    >>> found.ndcg.round(3).tolist(), found.precision.tolist(), found.average_precision.round(3).tolist()
    ([0.387], [0.5], [0.583])
    """
    if not len(lists) == len(ranks) == len(labels):
        raise UsageError(f"{len(lists)} lists, {len(ranks)} places and {len(labels)} labels: give one of each a row")
    if len(strange := np.setdiff1d(labels, [0, 1])):
        raise UsageError(f"a label is {strange[0]}; allowed are 0 and 1")
    count = int(lists.max(initial=-1)) + 1

    def sums(values: NDArray[np.number]) -> _Floats:
        return np.bincount(lists, weights=values, minlength=count).astype(np.float64)

    sizes, positives = np.bincount(lists, minlength=count), sums(labels)
    found = sums(labels * (ranks <= k))
    # What the first n places add up to, for each n.
    gains = np.concatenate([[0.0], np.cumsum(1 / np.log2(1 + np.arange(1, sizes.max(initial=0) + 1)))])
    some = np.where(positives > 0, positives, np.nan)
    ideal = np.where(positives > 0, gains[np.minimum(positives, k).astype(np.int64)], np.nan)
    return ListMetrics(
        ndcg=sums(labels * (ranks <= k) / np.log2(1 + ranks)) / ideal,
        hit=np.where(positives > 0, found > 0, np.nan),
        precision=np.where(positives > 0, found / k, np.nan),
        recall=found / some,
        average_precision=sums(labels * _positives_so_far(lists, ranks, labels) / ranks) / some,
        random_ndcg=some / np.maximum(sizes, 1) * gains[np.minimum(sizes, k)] / ideal,
        sizes=sizes.astype(np.int64),
        positives=positives.astype(np.int64),
    )


def _positives_so_far(
    lists: NDArray[np.int64], ranks: NDArray[np.int32], labels: NDArray[np.int8]
) -> NDArray[np.int64]:
    """Return how many positive items stand at or before each row's place in its list."""
    order = np.lexsort((ranks, lists))
    running = np.cumsum(labels[order], dtype=np.int64)
    first = np.searchsorted(lists[order], lists[order])
    before = running[first] - labels[order][first]
    so_far = np.empty(len(lists), dtype=np.int64)
    so_far[order] = running - before
    return so_far


def mean_interval(
    values: _Floats, owners: Sequence[str], *, samples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the mean over lists: the wider on each side of `resampled_mean` and `padded_mean`.

    Resampling knows how an owner's lists depend on one another, and nothing of values that so few owners don't show:
    of one owner, or where all have the same, its interval is a point. The other one holds there, and comes to the same
    where there are many.

    Parameters
    ----------
    values : ndarray of shape (n_lists,), float64
        In [0, 1], at least one.
    owners : sequence of str, length n_lists
        Whom each list is for.
    samples : int
        Resamples.
    seed : int
        Equal seeds give equal intervals.
    level : float
        How often it shall cover the true mean.

    Raises
    ------
    UsageError
        If there is no list, the owners aren't one a list, or a value is not in [0, 1].
    """
    if not len(values) or len(owners) != len(values):
        raise UsageError(f"{len(values)} lists belong to {len(owners)} owners; name one for each of at least one list")
    if not ((values >= 0) & (values <= 1)).all():
        raise UsageError("a list's value is not in [0, 1]; nothing can be said of the mean")
    owner = number_entities(owners)
    totals = np.bincount(owner, weights=values).astype(np.float64)
    counts = np.bincount(owner).astype(np.float64)
    resampled = resampled_mean(totals, counts, samples=samples, seed=seed, level=level)
    padded = padded_mean(totals, counts, level=level)
    return min(resampled[0], padded[0]), max(resampled[1], padded[1])


def resampled_mean(
    totals: _Floats, counts: _Floats, *, samples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentiles of the mean when whole owners are drawn with replacement.

    Parameters
    ----------
    totals, counts : ndarray of shape (n_owners,), float64
        The sum of the values of each owner's lists, and how many there are.

    References
    ----------
    C. A. Field, A. H. Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69 (2007).
    """
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(samples):
        drawn = rng.integers(0, len(totals), len(totals))
        means.append(totals[drawn].sum() / counts[drawn].sum())
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def padded_mean(totals: _Floats, counts: _Floats, *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a mean in [0, 1] by owners, two more of whom have nothing and two have all.

    Parameters
    ----------
    totals, counts : ndarray of shape (n_owners,), float64
        As `resampled_mean` takes them.

    Notes
    -----
    Agresti and Coull's four more observations, each as large as an owner on average; around the mean with them
    Student's t for a ratio of sums over owners. It is no point where all values are the same, or of one owner.

    References
    ----------
    A. Agresti, B. A. Coull, Approximate is better than "exact" for interval estimation of binomial proportions, The
    American Statistician 52 (1998); W. G. Cochran, Sampling Techniques, Wiley 1977, section 2.11 (ratios).

    Examples
    --------
    >>> low, high = padded_mean(np.ones(3), np.ones(3))
    >>> round(low, 2), high
    (0.26, 1.0)
    """
    padding = np.array(_PADDING) * counts.mean()
    totals = np.concatenate([totals, padding])
    counts = np.concatenate([counts, np.full(len(_PADDING), counts.mean())])
    owners, mean = len(counts), totals.sum() / counts.sum()
    variance = owners / (owners - 1) * np.sum((totals - mean * counts) ** 2) / counts.sum() ** 2
    half = float(student.ppf((1 + level) / 2, owners - 1)) * math.sqrt(variance)
    return max(0.0, float(mean) - half), min(1.0, float(mean) + half)
