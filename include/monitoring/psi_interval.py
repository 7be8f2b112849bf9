"""How sure the population stability index is.

What belongs here: the interval of the PSI of two populations, by two samples of them. What does not: PSI of samples,
and how likely it is by chance (``psi``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.monitoring.design_effect import INDEPENDENT, DesignEffect
from include.monitoring.psi import PROPORTION_FLOOR, psi_from_counts

_TAIL = 0.025  # of 95 %


def psi_interval(
    reference: ArrayLike, current: ArrayLike, *, effect: DesignEffect = INDEPENDENT
) -> tuple[float, float]:
    """Return the 95 % interval of the PSI of the populations that two samples are of.

    Parameters
    ----------
    reference, current : array-like of shape (n_bins,), int
        Rows per bin, missing and unseen bins included.
    effect : DesignEffect
        Of the reference's rows; the window has one row per entity.

    Returns
    -------
    tuple of float
        At least 0, ascending. What chance adds to the samples' own PSI is no part of it: of two samples of one
        population that PSI can lie above both ends.

    Raises
    ------
    UsageError
        If the shapes differ, or a sample has no rows.

    Notes
    -----
    For n and m rows, PSI over c = 1/n + 1/m is about noncentral chi-square with B - 1 degrees of freedom, for B bins
    that are not empty on both sides, and a noncentrality of the populations' PSI over c. Its variance is then 4 c PSI
    where the shift is large beside chance; where the delta method has more, as it has of large shifts and of bins with
    few rows or none, c grows to what gives that. Where entities recur in the reference, a shift may lie in the
    direction in which they are most alike: n rows count for n/d, with the largest d that the mean and the spread of k
    directions allow, mean (1 + sqrt((k - 1) spread)).

    References
    ----------
    Yurdakul & Naranjo (2020), as in `psi.psi_expected`; Samuelson (1968), How deviant can you be?, J. Am. Stat. Assoc.
    63.

    Examples
    --------
    >>> [round(end, 3) for end in psi_interval([500, 500], [400, 600])]
    [0.013, 0.084]
    """
    found = psi_from_counts(reference, current)
    expected, actual = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    directions = np.count_nonzero(expected + actual) - 1
    if not directions:
        return 0.0, 0.0
    n, m = expected.sum() / effect.mean, actual.sum()
    most = n / (1 + math.sqrt((directions - 1) * effect.spread))
    scale = 1 / most + 1 / m
    if found:
        scale = max(scale, _variance(expected, actual, most, m) / (4 * found))
    freedom = directions * (1 / n + 1 / m) / scale
    low, high = (scale * _noncentral(found / scale, freedom, above) for above in (_TAIL, 1 - _TAIL))
    return float(low), float(high)


def _variance(expected: NDArray[np.float64], actual: NDArray[np.float64], n: float, m: float) -> float:
    """Return the variance of PSI by the delta method, of so many independent rows on either side."""
    p, q = (np.maximum(counts / counts.sum(), PROPORTION_FLOOR) for counts in (expected, actual))
    shift = np.log(q / p)
    return _spread(p, shift + q / p) / n + _spread(q, shift - p / q) / m


def _spread(shares: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    mean = np.average(values, weights=shares)
    return float(np.average((values - mean) ** 2, weights=shares))


def _noncentral(statistic: float, freedom: float, share: float) -> float:
    """Return of which noncentrality so large a share is above a statistic; 0 where less is above it by chance."""
    from scipy.special import chndtr, chndtrinc  # not in the service's image

    return float(chndtrinc(statistic, freedom, 1 - share)) if chndtr(statistic, freedom, 0.0) > 1 - share else 0.0
