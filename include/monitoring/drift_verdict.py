"""The verdict on a feature whose window was measured: the worst of what no chance explains.

What belongs here: sizes, p-values and limits in, a verdict and its reason out. What does not: measuring (``drift``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from include.monitoring.feature_drift import FeatureDrift, Verdict

_RANK: Mapping[Verdict, int] = {"insufficient": 0, "stable": 0, "moderate": 1, "significant": 2, "schema": 3}


@dataclass(frozen=True)
class Measured:
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


def pvalues_of(drift: FeatureDrift) -> list[float]:
    """Return the p-values of what was tested of a feature: its bins, rows in one value, rows outside."""
    found = (drift.psi_pvalue, drift.crowding_pvalue, drift.outside_pvalue)
    return [pvalue for pvalue in found if pvalue is not None]


def judge(measured: Measured, adjusted: Sequence[float], limits: tuple[float, float, float]) -> FeatureDrift:
    """Return a feature with its verdict.

    Parameters
    ----------
    measured : Measured
    adjusted : sequence of float
        Its p-values, in the order of `pvalues_of`, corrected for all tests of all features.
    limits : tuple of float
        PSI from which a shift is moderate, that above which it is significant, and the level of a p-value.
    """
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
