"""The population stability index of two histograms, and what chance alone makes of it.

What belongs here: formulas on counts of bins that somebody else made. What does not: the
bins (``reference_profile``), thresholds and verdicts (``drift``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.errors import UsageError
from include.monitoring.design_effect import INDEPENDENT, DesignEffect

# The floor of evidently and feature_engine. As a floor, not as a stand-in for zero, it keeps an
# empty bin from counting less than a bin with one row of a million.
PROPORTION_FLOOR = 1e-4

# Cochran (1954): below five expected rows a cell's chi-square is not to be trusted.
_MIN_EXPECTED = 5.0


def psi_from_counts(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the PSI of two samples counted over the same bins.

    Parameters
    ----------
    reference, current : array-like of shape (n_bins,), int
        Rows per bin, missing and unseen bins included.

    Returns
    -------
    float
        At least 0; 0 for equal proportions; the same when the samples are swapped.

    Raises
    ------
    UsageError
        If the shapes differ, or a sample has no rows.

    Notes
    -----
    ``sum((q - p) * ln(q / p))`` over the proportions p (reference) and q (current), each raised to
    at least 1e-4. A bin that is empty on both sides adds nothing. PSI is the Jeffreys divergence:
    merging bins can't increase it, but for what the floor adds.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, ch. 8.

    Examples
    --------
    >>> round(psi_from_counts([50, 50], [25, 75]), 4)
    0.2747
    >>> psi_from_counts([10, 0], [100, 0])
    0.0
    """
    return float(np.sum(psi_terms(reference, current)))


def psi_terms(reference: ArrayLike, current: ArrayLike) -> NDArray[np.float64]:
    """Return what each bin adds to PSI; parameters are those of `psi_from_counts`."""
    p, q = (np.maximum(counts / counts.sum(), PROPORTION_FLOOR) for counts in _checked(reference, current))
    return np.asarray((q - p) * np.log(q / p))


def psi_expected(reference: ArrayLike, current: ArrayLike, *, effect: DesignEffect = INDEPENDENT) -> float:
    """Return the PSI that two samples of one population have on average.

    Parameters
    ----------
    reference, current : array-like of shape (n_bins,), int
        Rows per bin.
    effect : DesignEffect
        Of the reference's rows; the window has one row per entity.

    Notes
    -----
    ``(B - 1) * (d/n + 1/m)`` for n and m rows, d of n being worth one, over B bins, of which those that
    are empty on both sides are left out: the mean of the chi-square limit of Yurdakul & Naranjo.

    References
    ----------
    Yurdakul & Naranjo (2020), Statistical properties of the population stability index,
    Journal of Risk Model Validation 14(4).

    Examples
    --------
    >>> round(psi_expected([50, 50], [50, 50]), 4)
    0.02
    """
    expected, actual = _checked(reference, current)
    bins = np.count_nonzero(expected + actual)
    return float((bins - 1) * (effect.mean / expected.sum() + 1 / actual.sum()))


def psi_pvalue(
    reference: ArrayLike, current: ArrayLike, *, effect: DesignEffect = INDEPENDENT, is_quantile: bool = False
) -> float:
    """Return the probability of so large a shift between two samples of one population.

    Parameters
    ----------
    reference, current : array-like of shape (n_bins,), int
        Rows per bin.
    effect : DesignEffect
        Of the reference's rows; the window has one row per entity.
    is_quantile : bool
        The bins are quantiles of the reference, whose counts are not drawn then.

    Returns
    -------
    float
        In [0, 1]; 1 when only one bin can be judged.

    Notes
    -----
    Under the null, PSI / (1/n + 1/m) has a chi-square limit with B - 1 degrees of freedom, and so has
    Pearson's statistic of homogeneity, its second-order equal. The tail is taken from Pearson's: in
    thin bins the logarithm (and the floor) overstate, so that at five rows a bin PSI's own tail
    raises 8 % false alarms at a nominal 1 %. Bins in which the smaller sample expects fewer than
    five rows are pooled first. Where entities recur in the reference it counts for n/d rows (Rao &
    Scott's first order), and where d differs between the bins' directions the tail is that of fewer
    degrees of freedom (the second, after Satterthwaite). That the same entities stand in the window
    makes the two alike, so the test errs to the quiet side.

    References
    ----------
    Yurdakul & Naranjo (2020), as above; Cochran (1954), Some methods for strengthening the common
    chi-square tests, Biometrics 10(4); Rao & Scott (1981), as in ``design_effect``.

    Examples
    --------
    >>> psi_pvalue([50, 50], [500, 500])
    1.0
    >>> psi_pvalue([500, 500], [250, 750]) < 1e-9
    True
    """
    counted, actual = _checked(reference, current)
    expected, actual = _pooled(counted / effect.mean, actual, is_quantile=is_quantile)
    n, m = expected.sum(), actual.sum()
    if len(expected) < 2:
        return 1.0
    share = (expected + actual) / (n + m)
    statistic = np.sum((expected / n - actual / m) ** 2 / share) / (1 / n + 1 / m)
    # Of the sum of both variances only the reference's differs from direction to direction.
    widening = 1 + effect.spread * (m / (n + m)) ** 2
    from scipy.special import chdtrc  # not in the service's image

    return float(chdtrc((len(expected) - 1) / widening, statistic / widening))


def adjust_for_multiplicity(pvalues: ArrayLike) -> NDArray[np.float64]:
    """Return p-values corrected for being many, by Holm's method.

    Holm holds the probability of one false alarm among all features at the nominal level whatever
    the features have to do with each other; features of one customer are never independent.

    Parameters
    ----------
    pvalues : array-like of shape (n_features,), float
        In any order; may be empty.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6.

    Examples
    --------
    >>> adjust_for_multiplicity([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    raw = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    scaled = np.minimum(raw[order] * np.arange(len(raw), 0, -1), 1.0)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted


def _checked(reference: ArrayLike, current: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    expected, actual = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if expected.shape != actual.shape or expected.ndim != 1:
        raise UsageError(f"counts of shape {expected.shape} and {actual.shape} are not over the same bins")
    for side, counts in (("reference", expected), ("current", actual)):
        if counts.sum() <= 0:
            raise UsageError(f"the {side} window is empty: PSI of no rows is not defined")
    return expected, actual


def _pooled(
    expected: NDArray[np.float64], actual: NDArray[np.float64], *, is_quantile: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total, smaller = expected + actual, min(expected.sum(), actual.sum())
    # Counts that chance had no part in choose: it would pool the bins that it has left thin with one another.
    chooses = expected * total.sum() / expected.sum() if is_quantile else total
    needed = _MIN_EXPECTED * total.sum() / smaller
    order = np.argsort(-chooses, kind="stable")
    kept = int(np.count_nonzero(chooses >= needed))
    # The thin bins become one; when that is thin too, it takes the thinnest of the others with it.
    if 0 < kept < len(total) and 0 < total[order[kept:]].sum() < needed:
        kept -= 1
    thick, thin = order[:kept], order[kept:]
    if not total[thin].sum():
        return expected[thick], actual[thick]
    return np.append(expected[thick], expected[thin].sum()), np.append(actual[thick], actual[thin].sum())
