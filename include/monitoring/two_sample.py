"""Tests that compare two whole samples: Kolmogorov-Smirnov, Wasserstein, chi-square.

What belongs here: statistics with their effect size beside the p-value. What does not: bins and
verdicts, which rest on PSI (``drift``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc


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
    from scipy.stats import kstwo  # 2 s to import; PSI alone must not pay for it

    expected, actual = (np.sort(sample[~np.isnan(sample)]) for sample in (reference, current))
    n, m = len(expected), len(actual)
    if not n or not m:
        return None
    grid = np.sort(np.concatenate([expected, actual]), kind="stable")
    gap = np.abs(np.searchsorted(expected, grid, side="right") / n - np.searchsorted(actual, grid, side="right") / m)
    statistic = float(gap.max())
    # One value against one has an effective size of 0.5, which scipy rounds to 0 and answers with NaN.
    effective_rows = max(np.round(n * m / (n + m)), 1)
    pvalue = float(np.clip(kstwo.sf(statistic, effective_rows), 0, 1))
    with np.errstate(invalid="ignore", over="ignore"):
        distance = float(np.sum(gap[:-1] * np.diff(grid)))
        deviation = float(expected.std())
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
