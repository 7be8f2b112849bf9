"""The drift of a window: every feature counted over its frozen bins and given a verdict.

What belongs here: from a counted window to one row per feature. What does not: counting it (``window_counts``), the
verdict on a row (``drift_verdict``), whether its data can be trusted (``data_quality``), what is done about a shift
(``decision``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.monitoring.binning import BinCounts
from include.monitoring.crowding import crowding_pvalue
from include.monitoring.drift_verdict import Measured, judge, pvalues_of
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.outside import outside_psi, range_pvalue, unseen_pvalue
from include.monitoring.psi import adjust_for_multiplicity, psi_expected, psi_from_counts, psi_pvalue
from include.monitoring.psi_interval import psi_interval
from include.monitoring.psi_of_bins import tell_largest
from include.monitoring.two_sample import NumericComparison
from include.monitoring.window_counts import ColumnCounts, WindowCounts

# The requirements' level for a shift; after Holm it is the chance of one false alarm a window.
SIGNIFICANCE_LEVEL = 0.01


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
        With fewer rows on either side there is no verdict, but on a column that is another.
    moderate, significant : float
        PSI from which a shift is moderate, and above which it is significant.
    level : float
        A shift also has to be less likely than this by chance, over all tests of all features together.

    Returns
    -------
    tuple of FeatureDrift
        In the profile's order.

    Notes
    -----
    The verdict is the worst of what is measured. ``schema``: the column is gone, holds text for numbers or the reverse,
    or has none of the values that the reference knew, where those recur. Then PSI over the bins, of which one is for
    missing rows and one for unseen categories; and, since bins are open to infinity, the share of rows beyond the
    reference's range, taken as PSI of two cells: with none in the reference, 2 % is moderate and 3.5 % significant.
    """
    window = WindowCounts(profile)
    window.add(columns)
    return judge_drift(window, min_rows=min_rows, moderate=moderate, significant=significant, level=level)


def judge_drift(
    window: WindowCounts, *, min_rows: int, moderate: float, significant: float, level: float = SIGNIFICANCE_LEVEL
) -> tuple[FeatureDrift, ...]:
    """Judge a window that was counted in batches; otherwise as `measure_drift`."""
    measured = [_measured(column, min_rows) for column in window.columns.values()]
    tests = [pvalue for each in measured for pvalue in pvalues_of(each.drift)]
    adjusted = iter(adjust_for_multiplicity(tests).tolist())
    limits = (moderate, significant, level)
    return tuple(judge(each, [next(adjusted) for _ in pvalues_of(each.drift)], limits) for each in measured)


def _measured(column: ColumnCounts, min_rows: int) -> Measured:
    feature, counted = column.feature, column.counted
    if column.changed is not None:
        return Measured(replace(_without_verdict(feature, None, column.rows, column.changed), verdict="schema"))
    if counted is None:
        return Measured(_without_verdict(feature, None, column.rows, feature.unjudged))
    for side, rows in (("reference", feature.rows), ("window", counted.rows)):
        if rows < max(min_rows, 1):
            few = f"the {side} has {rows} rows, below {min_rows}"
            return Measured(_without_verdict(feature, counted, counted.rows, few))
    if feature.kind == "categorical":
        return _measured_categories(feature, counted)
    return _measured_numbers(feature, counted, column.compare())


def _over_bins(feature: FeatureProfile, counted: BinCounts) -> FeatureDrift:
    reference = np.array([*feature.counted_in(counted.precision), feature.missing])
    current = np.array([*counted.bins, counted.missing])
    low, high = psi_interval(reference, current, effect=feature.effect)
    return replace(
        _without_verdict(feature, counted, counted.rows, None),
        psi=psi_from_counts(reference, current),
        psi_expected=psi_expected(reference, current, effect=feature.effect),
        psi_pvalue=psi_pvalue(reference, current, effect=feature.effect, is_quantile=feature.kind == "numeric"),
        mostly=tell_largest(feature, reference, current) if feature.known is None else None,
        psi_low=low,
        psi_high=high,
    )


def _measured_numbers(feature: FeatureProfile, counted: BinCounts, compared: NumericComparison | None) -> Measured:
    independent = (feature.rows - feature.missing) / feature.effect.mean
    outside = feature.rows_outside / feature.effect.mean
    return Measured(
        replace(
            _with_comparison(_over_bins(feature, counted), compared, feature.numbers.error, independent),
            outside_pvalue=range_pvalue(independent, outside, counted.told_apart, counted.outside),
        ),
        _growth(feature.rows, feature.rows_outside, counted.rows, counted.outside),
        f"{counted.outside / counted.rows:.1%} of {counted.rows} rows lie beyond the reference's range "
        f"({feature.minimum:g} to {feature.maximum:g}), as did {feature.rows_outside / feature.rows:.1%} of its own",
    )


def _measured_categories(feature: FeatureProfile, counted: BinCounts) -> Measured:
    recurrence, is_known = feature.recurrence, feature.known is not None
    if is_known and not feature.missing + counted.missing:
        drift = _without_verdict(feature, counted, counted.rows, feature.unjudged)
    else:
        drift = _over_bins(feature, counted)
    measured = _crowded(feature, counted, Measured(drift, unjudged=feature.unjudged))
    if not counted.told_apart:
        return measured
    unseen = _growth(recurrence.rows, recurrence.once, counted.told_apart, counted.outside)
    return replace(
        measured,
        drift=replace(measured.drift, outside_pvalue=unseen_pvalue(recurrence, counted.told_apart, counted.outside)),
        outside_effect=unseen if is_known else 0.0,
        outside_words=f"{counted.outside} of {counted.told_apart} values are none that the reference has, "
        f"of which {recurrence.once} of {recurrence.rows} come just once",
        is_replaced=counted.outside == counted.told_apart,
    )


def _crowded(feature: FeatureProfile, counted: BinCounts, measured: Measured) -> Measured:
    """Return a feature with what is known of rows that come together in one value."""
    if feature.known is None or not feature.known.most or not counted.valued:
        return measured
    before, now = (feature.rows - feature.missing, feature.known.most), (counted.valued, int(counted.cells.max()))
    return replace(
        measured,
        drift=replace(measured.drift, crowding_pvalue=crowding_pvalue(*before, *now)),
        crowding_effect=_growth(*before, *now),
        crowding_words=f"{now[1] / now[0]:.1%} of {now[0]} rows with a value have one value, or few, where none was in "
        f"more than {before[1] / before[0]:.1%} of the reference's {before[0]}",
    )


def _growth(reference_rows: int, reference_outside: int, rows: int, outside: int) -> float:
    """Return by how much more lies outside, on PSI's scale; that less does is no shift of its own."""
    if outside * reference_rows <= reference_outside * rows:
        return 0.0
    return outside_psi(reference_rows, reference_outside, rows, outside)


def _with_comparison(
    drift: FeatureDrift, compared: NumericComparison | None, error: float, independent: float
) -> FeatureDrift:
    if compared is None:
        return drift
    return replace(
        drift,
        ks=compared.ks.statistic,
        ks_pvalue=compared.ks.pvalue,
        wasserstein=compared.wasserstein,
        wasserstein_normalised=compared.wasserstein_normalised,
        ks_error=error,
        independent_rows=independent,
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
        counts=(*counted.bins.tolist(), counted.missing) if counted is not None else (),
        design_effect=feature.effect.mean,
        precision=counted.kept_in if counted is not None else None,
    )
