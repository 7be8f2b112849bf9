"""Tests that compare two whole samples: Kolmogorov-Smirnov, Wasserstein, chi-square.

What belongs here: statistics with their effect size beside the p-value. What does not: bins, and verdicts (``drift``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from include.monitoring.quantile_sketch import QuantileSketch


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
    """Compare two numeric samples in one sort and merge.

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
    scipy's ``ks_2samp(method="asymp")`` and ``wasserstein_distance`` give the same numbers; one
    merge serves both here, at a third of their time together.

    Examples
    --------
    >>> result = compare_numeric(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    >>> round(result.wasserstein, 12), round(result.ks.statistic, 4)
    (1.0, 0.3333)
    """
    expected, actual = (np.sort(sample[~np.isnan(sample)]) for sample in (reference, current))
    n, m = len(expected), len(actual)
    if not n or not m:
        return None
    grid = np.sort(np.concatenate([expected, actual]), kind="stable")
    gap = np.abs(np.searchsorted(expected, grid, side="right") / n - np.searchsorted(actual, grid, side="right") / m)
    with np.errstate(invalid="ignore", over="ignore"):
        deviation = float(expected.std())
    return _compared(grid, gap, deviation=deviation, effective_rows=n * m / (n + m))


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
    actual = np.sort(current[~np.isnan(current)])
    values, weights = reference.points()
    if not len(values) or not len(actual):
        return None
    grid = np.sort(np.concatenate([values, actual]), kind="stable")
    reached = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    expected = reached[np.searchsorted(values, grid, side="right")]
    gap = np.abs(expected - np.searchsorted(actual, grid, side="right") / len(actual))
    n, m = max(float(weights.sum()) / design_effect, 1.0), len(actual)
    deviation = math.nan if reference.infinite else reference.deviation
    return _compared(grid, gap, deviation=deviation, effective_rows=n * m / (n + m), error=reference.error)


def _compared(
    grid: NDArray[np.float64],
    gap: NDArray[np.float64],
    *,
    deviation: float,
    effective_rows: float,
    error: float = 0.0,
) -> NumericComparison:
    from scipy.stats import kstwo  # 2 s to import; PSI alone must not pay for it

    statistic = float(gap.max())
    # One value against one has an effective size of 0.5, which scipy rounds to 0 and answers with NaN.
    pvalue = float(np.clip(kstwo.sf(max(statistic - error, 0.0), max(np.round(effective_rows), 1)), 0, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = float(np.sum(gap[:-1] * np.diff(grid)))
    finite = math.isfinite(distance)
    normalisable = finite and math.isfinite(deviation) and deviation > 0
    return NumericComparison(
        ks=TestResult(statistic, pvalue),
        wasserstein=distance if finite else None,
        wasserstein_normalised=distance / deviation if normalisable else None,
    )


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
    return TestResult(statistic, float(chdtrc(len(categories) - 1, statistic)))
