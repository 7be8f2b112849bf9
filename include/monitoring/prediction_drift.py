"""Prediction drift: whether the scores of a night are those of another population.

What belongs here: Kolmogorov and Smirnov's test of a night's scores against the frozen ones, as a check. What does not:
the features behind them (``drift``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from include.monitoring.check import Check
from include.monitoring.columns import rounded_to
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.two_sample import NumericComparison, compare_with_sketch

# The distance of two unit normals 0.25 apart, half a moderate shift by PSI: less moves no decision.
DISTANCE_FLOOR = 0.1
# The requirements' level.
LEVEL = 0.01
_COVERAGE = 0.95


def prediction_drift(
    profile: ReferenceProfile,
    scores: NDArray[np.floating],
    *,
    min_rows: int,
    level: float = LEVEL,
    floor: float = DISTANCE_FLOOR,
    score: str = "score",
) -> Check:
    """Compare a night's scores with those of the version's own reference.

    Parameters
    ----------
    profile : ReferenceProfile
        Of the version that scored.
    scores : ndarray of shape (n_rows,)
        NaN is left out.
    min_rows : int
        With fewer scores on either side there is no verdict.
    level, floor : float
        A breach is a distance above the floor that is less likely than the level by chance.
    score : str
        What the profile calls the score.

    Returns
    -------
    Check
        ``ks_distance``, with an interval that holds the distance of the two populations 95 times in 100 or more.

    Notes
    -----
    The interval is the statistic and both samples' bands of Dvoretzky, Kiefer and Wolfowitz, which hold for every
    sample size; where entities recur in the reference, it counts for fewer rows.

    References
    ----------
    Massart (1990), The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Ann. Probab. 18.
    """
    feature = next((each for each in profile.features if each.name == score), None)
    values = np.asarray(scores, dtype=np.float64)
    values = values[~np.isnan(values)]
    rows = feature.numbers.rows + feature.numbers.infinite if feature is not None else 0
    missing, compared = _why_not(feature, rows, len(values), min_rows), None
    if feature is not None and missing is None:
        rounded = rounded_to(feature.precision, values)
        compared = compare_with_sketch(feature.numbers, rounded, design_effect=feature.effect.mean)
    if feature is None or compared is None:
        return Check(
            "prediction_drift", "ks_distance", None, floor, "unknown", None, None, None, rows, len(values), missing
        )
    distance = compared.ks.statistic
    around = _band(rows / feature.effect.mean) + _band(len(values)) + feature.numbers.error
    return Check(
        watch="prediction_drift",
        name="ks_distance",
        value=distance,
        threshold=floor,
        verdict="breach" if distance > floor and compared.ks.pvalue < level else "ok",
        low=max(distance - around, 0.0),
        high=min(distance + around, 1.0),
        reference=0.0,
        reference_rows=rows,
        current_rows=len(values),
        reason=_words(compared, level, floor),
    )


def _why_not(feature: FeatureProfile | None, rows: int, found: int, min_rows: int) -> str | None:
    if feature is None:
        return "the version's reference profile has no score"
    if not rows:
        return "the version's reference profile keeps no scores to compare with; its next training does"
    few = [(side, n) for side, n in (("reference", rows), ("night", found)) if n < max(min_rows, 1)]
    return f"the {few[0][0]} has {few[0][1]} scores, below {min_rows}" if few else None


def _band(rows: float) -> float:
    return math.sqrt(math.log(4 / (1 - _COVERAGE)) / (2 * rows))


def _words(compared: NumericComparison, level: float, floor: float) -> str | None:
    distance, pvalue = compared.ks.statistic, compared.ks.pvalue
    if distance <= floor:
        return None
    if pvalue >= level:
        return f"a distance of {distance:.3f} is within chance for so few scores (p {pvalue:.2g})"
    return f"the scores have moved: distance {distance:.3f} above {floor:g}, p {pvalue:.2g}"
