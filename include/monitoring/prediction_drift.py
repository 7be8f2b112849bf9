"""Prediction drift: whether the scores of a night are those of another population.

What belongs here: Kolmogorov and Smirnov's test of a night's scores against the frozen ones, as a check. What does not:
the features behind them (``drift``).
"""

from __future__ import annotations

import math

from include.monitoring.check import Check
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.two_sample import NumericComparison
from include.monitoring.window_counts import ColumnCounts

# The distance of two unit normals 0.25 apart, half a moderate shift by PSI: less moves no decision.
DISTANCE_FLOOR = 0.1
# The requirements' level.
LEVEL = 0.01
_COVERAGE = 0.95


def prediction_drift(
    scores: ColumnCounts | None, *, min_rows: int, level: float = LEVEL, floor: float = DISTANCE_FLOOR
) -> Check:
    """Compare a night's scores with those of the version's own reference.

    Parameters
    ----------
    scores : ColumnCounts or None
        Counted over the reference of the version that scored; None where that has no score. NaN is left out.
    min_rows : int
        With fewer scores on either side there is no verdict.
    level, floor : float
        A breach is a distance above the floor that is less likely than the level by chance.

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
    feature = scores.feature if scores is not None else None
    rows = feature.numbers.rows + feature.numbers.infinite if feature is not None else 0
    found = scores.valued if scores is not None else 0
    missing = _why_not(feature, rows, found, min_rows)
    compared = scores.compare() if scores is not None and missing is None else None
    if feature is None or compared is None:
        return Check("prediction_drift", "ks_distance", None, floor, "unknown", None, None, None, rows, found, missing)
    distance = compared.ks.statistic
    around = _band(rows / feature.effect.mean) + _band(found) + feature.numbers.error
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
        current_rows=found,
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
