"""The drift of a window: every feature counted over its frozen bins and given a verdict.

What belongs here: from a reference profile and a window to one judged row per feature. What
does not: whether the night's data can be trusted (``data_quality``) and what is done about a
shift (``decision``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.errors import UsageError
from include.monitoring.columns import Kind
from include.monitoring.psi import adjust_for_multiplicity, psi_expected, psi_from_counts, psi_pvalue
from include.monitoring.reference_profile import (
    BinCounts,
    FeatureProfile,
    ReferenceProfile,
    count_over,
)

Verdict = Literal["stable", "moderate", "significant", "insufficient"]

# The requirements' level for a shift; after Holm it is the chance of one false alarm a window.
SIGNIFICANCE_LEVEL = 0.01


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of one window, judged.

    Attributes
    ----------
    feature : str
    kind : {"numeric", "categorical"}
    reference_rows, current_rows : int
    verdict : {"stable", "moderate", "significant", "insufficient"}
    psi : float or None
        None when the verdict is ``insufficient``, as are the next two.
    psi_expected : float or None
        What two samples of one population of these sizes have on average.
    psi_pvalue : float or None
        Of this feature alone; the verdict corrects for the number of features.
    missing_reference, missing_current : float or None
        Fractions of rows; None without rows.
    outside_range : float or None
        Fraction of the window's rows beyond the reference's range, or of unseen categories.
    reason : str or None
        Why there is no verdict, or why a high PSI isn't held to be a shift.
    """

    feature: str
    kind: Kind
    reference_rows: int
    current_rows: int
    verdict: Verdict
    psi: float | None
    psi_expected: float | None
    psi_pvalue: float | None
    missing_reference: float | None
    missing_current: float | None
    outside_range: float | None
    reason: str | None = None


def measure_drift(
    profile: ReferenceProfile,
    columns: Mapping[str, NDArray[Any]],
    *,
    min_rows: int,
    moderate: float,
    significant: float,
    level: float = SIGNIFICANCE_LEVEL,
) -> tuple[FeatureDrift, ...]:
    """Judge a window against the frozen bins, feature by feature.

    Parameters
    ----------
    profile : ReferenceProfile
        Frozen at training.
    columns : mapping of str to ndarray of shape (n_rows,)
        The window; columns that the profile doesn't know are left alone. NaN and None are counted
        in the missing bin, infinities in the outer bins.
    min_rows : int
        With fewer rows on either side there is no verdict.
    moderate, significant : float
        PSI from which a shift is moderate, and above which it is significant.
    level : float
        A shift also has to be less likely than this by chance, over all features together.

    Returns
    -------
    tuple of FeatureDrift
        In the profile's order.

    Raises
    ------
    UsageError
        If a feature of the profile isn't in `columns`, or its type is another.
    """
    absent = [feature.name for feature in profile.features if feature.name not in columns]
    if absent:
        raise UsageError(f"the window has no column {', '.join(map(repr, absent))}; it has {', '.join(columns)}")
    measured = [_measured(feature, columns[feature.name], min_rows) for feature in profile.features]
    pvalues = adjust_for_multiplicity([drift.psi_pvalue for drift in measured if drift.psi_pvalue is not None])
    adjusted = iter(pvalues.tolist())
    return tuple(
        drift
        if drift.psi is None
        else _judged(drift, drift.psi, next(adjusted), moderate=moderate, significant=significant, level=level)
        for drift in measured
    )


def _measured(feature: FeatureProfile, values: NDArray[Any], min_rows: int) -> FeatureDrift:
    if feature.unjudged is not None:
        return _without_verdict(feature, None, len(values), feature.unjudged)
    counted = count_over(feature, values)
    for side, rows in (("reference", feature.rows), ("window", counted.rows)):
        if rows < max(min_rows, 1):
            return _without_verdict(feature, counted, counted.rows, f"the {side} has {rows} rows, below {min_rows}")
    reference = np.array([*feature.counts, feature.missing])
    current = np.array([*counted.bins, counted.missing])
    return replace(
        _without_verdict(feature, counted, counted.rows, None),
        psi=psi_from_counts(reference, current),
        psi_expected=psi_expected(reference, current),
        psi_pvalue=psi_pvalue(reference, current),
    )


def _without_verdict(feature: FeatureProfile, counted: BinCounts | None, rows: int, reason: str | None) -> FeatureDrift:
    known = counted is not None and rows > 0
    return FeatureDrift(
        feature=feature.name,
        kind=feature.kind,
        reference_rows=feature.rows,
        current_rows=rows,
        verdict="insufficient",
        psi=None,
        psi_expected=None,
        psi_pvalue=None,
        missing_reference=feature.missing / feature.rows if feature.rows else None,
        missing_current=counted.missing / rows if counted is not None and known else None,
        outside_range=counted.outside / rows if counted is not None and known else None,
        reason=reason,
    )


def _judged(
    drift: FeatureDrift, psi: float, pvalue: float, *, moderate: float, significant: float, level: float
) -> FeatureDrift:
    if psi < moderate:
        return replace(drift, verdict="stable")
    if pvalue >= level:
        return replace(
            drift,
            verdict="stable",
            reason=f"psi {psi:.3f} is within chance for {drift.reference_rows} and {drift.current_rows} rows "
            f"(expected {drift.psi_expected:.3f}, p {pvalue:.2g} after correction)",
        )
    return replace(drift, verdict="significant" if psi > significant else "moderate")
