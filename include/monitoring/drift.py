"""The drift of a window: every feature counted over its frozen bins and given a verdict.

What belongs here: from a counted window to one judged row per feature. What does not: counting it
(``window_counts``), whether its data can be trusted (``data_quality``), what is done about a shift (``decision``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.monitoring.binning import BinCounts
from include.monitoring.columns import Kind, Precision
from include.monitoring.crowding import crowding_pvalue
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.outside import outside_psi, range_pvalue, unseen_pvalue
from include.monitoring.psi import adjust_for_multiplicity, psi_expected, psi_from_counts, psi_pvalue
from include.monitoring.psi_interval import psi_interval
from include.monitoring.psi_of_bins import tell_largest
from include.monitoring.two_sample import NumericComparison
from include.monitoring.window_counts import ColumnCounts, WindowCounts

Verdict = Literal["schema", "significant", "moderate", "stable", "insufficient"]

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
    verdict : {"schema", "significant", "moderate", "stable", "insufficient"}
        ``schema``: it is no longer the column that the reference knew.
    psi : float or None
        None where there are no bins or too few rows, as are the next two.
    psi_expected : float or None
        What two samples of one population of these sizes have on average.
    psi_pvalue : float or None
        Of this feature alone; the verdict corrects for the number of tests.
    missing_reference, missing_current : float or None
        Fractions of rows; None without rows.
    outside_range : float or None
        Fraction of the window's rows beyond the reference's range, or of unseen categories.
    reason : str or None
        Why there is no verdict, why a high PSI isn't held to be a shift, or what shows one that PSI doesn't.
    outside_pvalue : float or None
        Of so many rows outside, by chance; None where there are too few rows.
    ks, ks_pvalue : float or None
        Kolmogorov and Smirnov's largest distance, and how likely it is by chance; None without numbers on either side.
    wasserstein, wasserstein_normalised : float or None
        In the feature's unit, and in standard deviations of the reference.
    ks_error : float or None
        By how much the distance can be off, at most, as the reference is a sketch.
    independent_rows : float or None
        Reference rows with a number, as many as are worth one of their own.
    counts : tuple of int
        The window's rows in each bin of the reference, the missing ones last; empty where it was not counted.
    mostly : str or None
        Which bin has the largest share of a PSI that is a shift, in words.
    design_effect : float
        So many reference rows count for one, as entities recur in it.
    crowding_pvalue : float or None
        Of so many rows in one value, by chance, of a text column with too many values for bins.
    psi_low, psi_high : float or None
        Ends of the 95 % interval of the populations' PSI, without what chance adds; None where there is no PSI, and of
        nights that were kept without it.
    precision : {"float32", "float64"} or None
        In which the window's numbers were counted; None without values, and of nights that were kept without it, which
        were counted in the reference's own.
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
    outside_pvalue: float | None = None
    ks: float | None = None
    ks_pvalue: float | None = None
    wasserstein: float | None = None
    wasserstein_normalised: float | None = None
    ks_error: float | None = None
    independent_rows: float | None = None
    counts: tuple[int, ...] = ()
    mostly: str | None = None
    design_effect: float = 1.0
    crowding_pvalue: float | None = None
    psi_low: float | None = None
    psi_high: float | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class _Measured:
    """A feature before its verdict; effects are on PSI's scale, words say what was seen of them.

    Of one that is `unjudged` no bins tell its values, and PSI is that of rows with and without one.
    """

    drift: FeatureDrift
    outside_effect: float = 0.0
    outside_words: str = ""
    crowding_effect: float = 0.0
    crowding_words: str = ""
    is_replaced: bool = False
    unjudged: str | None = None


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
    tests = [pvalue for each in measured for pvalue in _pvalues(each.drift)]
    adjusted = iter(adjust_for_multiplicity(tests).tolist())
    limits = (moderate, significant, level)
    return tuple(_judged(each, [next(adjusted) for _ in _pvalues(each.drift)], limits) for each in measured)


def tell_drift(drift: FeatureDrift) -> str:
    """Say what was seen of a feature.

    Examples
    --------
    >>> tell_drift(FeatureDrift("x", "numeric", 500, 500, "significant", 0.31, 0.02, 1e-9, 0.0, 0.0, 0.0))
    'psi 0.310 (0.020 expected by chance)'
    """
    if drift.reason is not None or drift.psi is None:
        return drift.reason or drift.verdict
    mostly = f", {drift.mostly}" if drift.mostly else ""
    return f"psi {drift.psi:.3f} ({drift.psi_expected:.3f} expected by chance){mostly}"


def _pvalues(drift: FeatureDrift) -> list[float]:
    found = (drift.psi_pvalue, drift.crowding_pvalue, drift.outside_pvalue)
    return [pvalue for pvalue in found if pvalue is not None]


def _measured(column: ColumnCounts, min_rows: int) -> _Measured:
    feature, counted = column.feature, column.counted
    if column.changed is not None:
        return _Measured(replace(_without_verdict(feature, None, column.rows, column.changed), verdict="schema"))
    if counted is None:
        return _Measured(_without_verdict(feature, None, column.rows, feature.unjudged))
    for side, rows in (("reference", feature.rows), ("window", counted.rows)):
        if rows < max(min_rows, 1):
            few = f"the {side} has {rows} rows, below {min_rows}"
            return _Measured(_without_verdict(feature, counted, counted.rows, few))
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


def _measured_numbers(feature: FeatureProfile, counted: BinCounts, compared: NumericComparison | None) -> _Measured:
    independent = (feature.rows - feature.missing) / feature.effect.mean
    outside = feature.rows_outside / feature.effect.mean
    return _Measured(
        replace(
            _with_comparison(_over_bins(feature, counted), compared, feature.numbers.error, independent),
            outside_pvalue=range_pvalue(independent, outside, counted.told_apart, counted.outside),
        ),
        _growth(feature.rows, feature.rows_outside, counted.rows, counted.outside),
        f"{counted.outside / counted.rows:.1%} of {counted.rows} rows lie beyond the reference's range "
        f"({feature.minimum:g} to {feature.maximum:g}), as did {feature.rows_outside / feature.rows:.1%} of its own",
    )


def _measured_categories(feature: FeatureProfile, counted: BinCounts) -> _Measured:
    recurrence, is_known = feature.recurrence, feature.known is not None
    if is_known and not feature.missing + counted.missing:
        drift = _without_verdict(feature, counted, counted.rows, feature.unjudged)
    else:
        drift = _over_bins(feature, counted)
    measured = _crowded(feature, counted, _Measured(drift, unjudged=feature.unjudged))
    if not counted.told_apart:
        return measured
    return replace(
        measured,
        drift=replace(measured.drift, outside_pvalue=unseen_pvalue(recurrence, counted.told_apart, counted.outside)),
        outside_effect=_growth(recurrence.rows, recurrence.once, counted.told_apart, counted.outside)
        if is_known
        else 0,
        outside_words=f"{counted.outside} of {counted.told_apart} values are none that the reference has, "
        f"of which {recurrence.once} of {recurrence.rows} come just once",
        is_replaced=counted.outside == counted.told_apart,
    )


def _crowded(feature: FeatureProfile, counted: BinCounts, measured: _Measured) -> _Measured:
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


def _judged(measured: _Measured, adjusted: Sequence[float], limits: tuple[float, float, float]) -> FeatureDrift:
    drift, (moderate, significant, level) = measured.drift, limits
    judged = drift
    if drift.psi is not None:
        judged = _judged_by_bins(drift, _sized(drift.psi, moderate, significant), adjusted[0], level)
        judged = judged if measured.unjudged is None else _judged_by_missing(judged, measured.unjudged)
    if drift.crowding_pvalue is not None:
        pvalue = adjusted[drift.psi_pvalue is not None]
        judged = _judged_by_share(judged, measured.crowding_effect, measured.crowding_words, pvalue, limits)
    if drift.outside_pvalue is None:
        return judged
    if measured.is_replaced:
        is_chance, words = adjusted[-1] >= level, _tell_share(measured.outside_words, adjusted[-1])
        replaced: Verdict = "insufficient" if is_chance else "schema"
        stands = measured.unjudged is not None and _RANK[judged.verdict] > _RANK[replaced]
        return judged if stands else replace(judged, verdict=replaced, reason=words)
    return _judged_by_share(judged, measured.outside_effect, measured.outside_words, adjusted[-1], limits)


def _judged_by_share(
    judged: FeatureDrift, effect: float, words: str, pvalue: float, limits: tuple[float, float, float]
) -> FeatureDrift:
    moderate, significant, level = limits
    verdict = _sized(effect, moderate, significant)
    if pvalue >= level or _RANK[verdict] <= _RANK[judged.verdict]:
        return judged
    return replace(judged, verdict=verdict, reason=_tell_share(words, pvalue))


def _tell_share(words: str, pvalue: float) -> str:
    return f"{words} (p {pvalue:.2g} after correction)"


_RANK: Mapping[Verdict, int] = {"insufficient": 0, "stable": 0, "moderate": 1, "significant": 2, "schema": 3}


def _sized(psi: float, moderate: float, significant: float) -> Verdict:
    return "stable" if psi < moderate else "significant" if psi > significant else "moderate"


def _judged_by_missing(drift: FeatureDrift, unjudged: str) -> FeatureDrift:
    """Return a feature without bins, of which the share of rows without a value is known alone."""
    if drift.verdict == "stable":
        return replace(
            drift, verdict="insufficient", psi=None, psi_expected=None, psi_pvalue=None, psi_low=None, psi_high=None,
            reason=unjudged,
        )  # fmt: skip
    now, before = f"{drift.missing_current:.1%} of {drift.current_rows}", f"{drift.missing_reference:.1%}"
    words = f"{now} rows have no value, as had {before} of the reference's {drift.reference_rows}"
    return replace(drift, reason=words)


def _judged_by_bins(drift: FeatureDrift, size: Verdict, pvalue: float, level: float) -> FeatureDrift:
    if size != "stable" and pvalue < level:
        return replace(drift, verdict=size)
    if size == "stable":
        return replace(drift, verdict=size, mostly=None)
    return replace(
        drift,
        verdict="stable",
        mostly=None,
        reason=f"psi {drift.psi:.3f} is within chance for {drift.reference_rows} and {drift.current_rows} rows "
        f"(expected {drift.psi_expected:.3f}, p {pvalue:.2g} after correction)",
    )
