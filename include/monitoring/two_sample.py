"""Tests that compare two whole samples: Kolmogorov-Smirnov, Wasserstein, chi-square.

What belongs here: statistics with their effect size beside the p-value. What does not: bins, and verdicts (``drift``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from include.monitoring.quantile_sketch import QuantileSketch

_STRIDE = 128
_SIDES: tuple[Literal["right", "left"], ...] = ("right", "left")
# Above so many rows the exact tail takes up to a second, and its limit with Vrbik's correction is within a hundredth.
_MANY = 10_000


@dataclass(frozen=True)
class TestResult:
    """A statistic and its p-value."""

    __test__ = False  # the name would have pytest collect it

    statistic: float
    pvalue: float


@dataclass(frozen=True)
class NumericComparison:
    """Two numeric samples compared.

    Attributes
    ----------
    ks : TestResult
        Largest distance of the two distribution functions, in [0, 1]; exact statistic, asymptotic
        two-sided p-value.
    wasserstein : float or None
        Area between the distribution functions, in the feature's unit; None when it is not finite.
    wasserstein_normalised : float or None
        The same in reference standard deviations (divisor n); None for a constant reference.
    """

    ks: TestResult
    wasserstein: float | None
    wasserstein_normalised: float | None


def compare_numeric(reference: NDArray[np.float64], current: NDArray[np.float64]) -> NumericComparison | None:
    """Compare two numeric samples, each sorted once.

    Parameters
    ----------
    reference, current : ndarray of shape (n_rows,), float64
        NaN is left out. Infinities have their place in the order, so KS is defined with them and
        Wasserstein is not.

    Returns
    -------
    NumericComparison or None
        None when a side has no values.

    Notes
    -----
    scipy's ``ks_2samp(method="asymp")`` and ``wasserstein_distance`` give the same numbers, and take many times as
    long: they merge the samples, which takes longer than sorting them. Above 10,000 effective rows the p-value is the
    limit with Vrbik's correction.

    References
    ----------
    Vrbik (2018), Small-sample corrections to Kolmogorov-Smirnov test statistic, Pioneer J. Theor. Appl. Stat. 15.

    Examples
    --------
    >>> result = compare_numeric(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    >>> round(result.wasserstein, 12), round(result.ks.statistic, 4)
    (1.0, 0.3333)
    """
    expected, actual = _sorted_values(reference), _sorted_values(current)
    if not len(expected) or not len(actual):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = float(expected.std())
    gap, area = _largest_gap(expected, actual), _area_between(expected, actual)
    return _judged(gap, area, (len(expected), len(actual)), deviation=deviation)


def compare_with_sketch(
    reference: QuantileSketch, current: NDArray[np.float64], *, design_effect: float = 1.0
) -> NumericComparison | None:
    """Compare a window with a frozen sample, of which a sketch is left.

    Parameters
    ----------
    reference : QuantileSketch
    current : ndarray of shape (n_rows,), float64
        Rounded as the reference's numbers were. NaN is left out.
    design_effect : float
        So many rows of the reference count for one.

    Returns
    -------
    NumericComparison or None
        None when a side has no values.

    Notes
    -----
    As `compare_numeric` on the whole sample where that has at most 512 finite values. Of a larger one the statistic is
    off by `QuantileSketch.error` at most, and the p-value is that of the statistic less the error: never smaller than
    the whole sample's.

    Examples
    --------
    >>> from include.monitoring.quantile_sketch import sketch
    >>> result = compare_with_sketch(sketch(np.array([0.0, 1.0, 2.0])), np.array([1.0, 2.0, 3.0]))
    >>> round(result.wasserstein, 12), round(result.ks.statistic, 4)
    (1.0, 0.3333)
    """
    actual = _sorted_values(current)
    expected = np.repeat(*reference.points())
    if not len(expected) or not len(actual):
        return None
    gap, area = _largest_gap(expected, actual), _area_between(expected, actual)
    return judge_with_sketch(reference, gap, area, rows=len(actual), design_effect=design_effect)


def judge_with_sketch(
    reference: QuantileSketch, gap: float, area: float, *, rows: int, design_effect: float
) -> NumericComparison:
    """Return a comparison with a frozen sample, given both statistics of a window of so many values."""
    deviation = math.nan if reference.infinite else reference.deviation
    independent = max((reference.rows + reference.infinite) / design_effect, 1.0)
    return _judged(gap, area, (independent, rows), deviation=deviation, error=reference.error)


def _judged(
    statistic: float, distance: float, rows: tuple[float, int], *, deviation: float, error: float = 0.0
) -> NumericComparison:
    expected, actual = rows
    # One value against one has an effective size of 0.5, which scipy rounds to 0 and answers with NaN.
    effective_rows = max(round(expected * actual / (expected + actual)), 1)
    pvalue = _ks_pvalue(max(statistic - error, 0.0), effective_rows)
    finite = math.isfinite(distance)
    normalisable = finite and math.isfinite(deviation) and deviation > 0
    return NumericComparison(
        ks=TestResult(statistic, pvalue),
        wasserstein=distance if finite else None,
        wasserstein_normalised=distance / deviation if normalisable else None,
    )


def _sorted_values(sample: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a sample sorted, without NaN, which sorts last."""
    ordered = np.sort(sample)
    return ordered[: np.searchsorted(ordered, np.nan)]


def _ks_pvalue(statistic: float, rows: int) -> float:
    if rows > _MANY:
        root = math.sqrt(rows)
        from scipy.special import kolmogorov  # not in the service's image

        return float(kolmogorov(root * statistic + 1 / (6 * root) + (root * statistic - 1) / (4 * rows)))
    from scipy.stats import kstwo  # 2 s to import; PSI alone must not pay for it

    return float(np.clip(kstwo.sf(statistic, rows), 0, 1))


def _largest_gap(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """Return the largest distance of the distribution functions of two sorted samples.

    The functions are compared at every 128th value of each sample first. Between two such values both only rise, so
    that the gap is bounded by what they rise; all values are looked at only where the bound is above what was found.
    """
    edges = np.sort(np.concatenate([expected[::_STRIDE], actual[::_STRIDE], [expected[-1], actual[-1]]]))
    up_to, below = ([np.searchsorted(sample, edges, side) for sample in (expected, actual)] for side in _SIDES)
    n, m = len(expected), len(actual)
    at, before = up_to[0] / n - up_to[1] / m, below[0] / n - below[1] / m
    found = float(max(np.abs(at).max(), np.abs(before).max()))
    rises = at[:-1] + (below[0][1:] - up_to[0][:-1]) / n, (below[1][1:] - up_to[1][:-1]) / m - at[:-1]
    between = [
        sample[first:last]
        for place in np.flatnonzero(np.maximum(*rises) > found)
        for sample, up, down in zip((expected, actual), up_to, below, strict=True)
        if (first := up[place]) < (last := down[place + 1])
    ]
    if not between:
        return found
    points = np.sort(np.concatenate(between))
    gaps = np.searchsorted(expected, points, side="right") / n - np.searchsorted(actual, points, side="right") / m
    return max(found, float(np.abs(gaps).max()))


def _area_between(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """Return the area between the distribution functions of two sorted samples, quantile by quantile."""
    n, m = len(expected), len(actual)
    with np.errstate(invalid="ignore", over="ignore"):
        if n == m:
            return float(np.abs(expected - actual).mean())
        # In units of 1 / (n m) both quantile functions step at whole numbers.
        ends = np.sort(np.concatenate([np.arange(1, n + 1) * m, np.arange(1, m + 1) * n]))
        apart = np.abs(expected[(ends - 1) // m] - actual[(ends - 1) // n])
        widths = np.diff(ends, prepend=0)
        return float(np.sum(apart[widths > 0] * widths[widths > 0]) / (n * m))


def compare_categories(reference: Mapping[str, int], current: Mapping[str, int]) -> TestResult | None:
    """Test whether two samples draw their categories alike: Pearson's chi-square of homogeneity.

    Parameters
    ----------
    reference, current : mapping of str to int
        Rows per category; a category may be absent on one side. Missing values are left out.

    Returns
    -------
    TestResult or None
        None when a side has no rows. With one category in all, the statistic is 0 and p is 1.

    Notes
    -----
    Equal to scipy's ``chi2_contingency(correction=False)``. The reference is a sample too: a test
    that takes its proportions for the truth finds drift too often.

    Examples
    --------
    >>> compare_categories({"a": 10, "b": 10}, {"a": 5, "b": 5})
    TestResult(statistic=0.0, pvalue=1.0)
    """
    categories = sorted(
        category for category in {*reference, *current} if reference.get(category, 0) + current.get(category, 0)
    )
    table = np.array(
        [[side.get(category, 0) for category in categories] for side in (reference, current)], dtype=np.float64
    )
    rows = table.sum(axis=1, keepdims=True)
    if not categories or not rows.all():
        return None
    if len(categories) == 1:
        return TestResult(0.0, 1.0)
    expected = rows * table.sum(axis=0) / table.sum()
    statistic = float(np.sum((table - expected) ** 2 / expected))
    from scipy.special import chdtrc  # not in the service's image

    return TestResult(statistic, float(chdtrc(len(categories) - 1, statistic)))
