"""What predictions were worth against what was promised of them.

What belongs here: a metric with its interval, and the verdict on a fall. What does not: measuring
(``training.outcome_metrics``), which rows are judged (``maturity``, ``measure_performance``), and what a fall leads to
(``decision``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from include.monitoring.check import Check, CheckVerdict
from include.monitoring.decision_words import percent

# Of a version's own value on its test: a fall of more than so much is a breach (the requirements' number).
FALL_MAX = 0.05
# Three windows each night, of which the longest is another one thirteen times a year: looks that chance has.
_LOOKS = 3 * 13
# How much wider than that of one look an interval is that holds for all of a year.
_WIDER = NormalDist().inv_cdf(1 - 0.025 / _LOOKS) / NormalDist().inv_cdf(1 - 0.025)


@dataclass(frozen=True)
class Figure:
    """A metric and the ends of its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Reference:
    """What a version had on its test, frozen when it was registered, with the ends of its interval and its rows."""

    value: float
    low: float
    high: float
    rows: int


def promised_by(metrics: Mapping[str, float], name: str) -> Reference | None:
    """Return what a version had on its test, of the metrics that it keeps; None where it keeps none or no interval."""
    value, low, high = (metrics.get(each) for each in (name, f"{name}_low", f"{name}_high"))
    if value is None or low is None or high is None:
        return None
    return Reference(value, low, high, int(metrics.get("rows", 0)))


def judge_fall(
    name: str, figure: Figure, reference: Reference | None, *, rows: int, about: str, fall_max: float = FALL_MAX
) -> Check:
    """Judge whether a metric, of which more is better, has fallen.

    Parameters
    ----------
    name : str
        Of the check.
    figure : Figure
        What was measured.
    reference : Reference or None
        What the version had on its own test; None where it keeps none.
    rows : int
        That were measured.
    about : str
        Which predictions, in words.
    fall_max : float
        The share of the reference that it may fall by.

    Returns
    -------
    Check
        ``breach`` where the metric is below the reference by more than `fall_max` of it, and the interval of the fall,
        as wide as a year of looks takes, excludes that there is none.

    Notes
    -----
    Both are estimates. The interval of their difference is made of the ends of their own (MOVER): the lower end of a
    fall r - v is r - v - sqrt((v_high - v)² + (r - r_low)²). The root is taken 1.64 times: a version is looked at every
    night, and with the 95 % of one look 300 customers in whom nothing changes had a retrain in every third year.

    References
    ----------
    G. Y. Zou, A. Donner, Construction of confidence limits about effect measures: a general approach, Statistics in
    Medicine 27 (2008).

    Examples
    --------
    >>> reference = Reference(0.86, 0.84, 0.88, 2000)
    >>> judge_fall("auc", Figure(0.74, 0.70, 0.78), reference, rows=900, about="of a night").verdict
    'breach'
    >>> judge_fall("auc", Figure(0.80, 0.70, 0.90), reference, rows=40, about="of a night").verdict
    'ok'
    """
    if reference is None or figure.value is None or figure.low is None or figure.high is None:
        why = (
            "all labels are the same"
            if figure.value is None
            else "the version keeps no value of its own test with its interval"
        )
        return Check(
            "performance", name, figure.value, None, "unknown", figure.low, figure.high, current_rows=rows,
            reason=f"{about}: {why}",
        )  # fmt: skip
    threshold = reference.value * (1 - fall_max)
    fall = reference.value - figure.value
    surely = fall - _WIDER * math.hypot(figure.high - figure.value, reference.value - reference.low)
    verdict: CheckVerdict = "ok"
    reason = about
    if figure.value < threshold:
        verdict = "breach" if surely > 0 else "ok"
        reason = (
            f"{about}: {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}] is {percent(fall / reference.value)} "
            f"below the {reference.value:.3f} of the version's test, where {percent(fall_max)} is allowed, "
            f"{'and not by chance' if surely > 0 else 'which may be chance'}"
        )
    return Check(
        "performance", name, figure.value, threshold, verdict, figure.low, figure.high, reference.value,
        reference_rows=reference.rows, current_rows=rows, reason=reason,
    )  # fmt: skip


def tell(name: str, figure: Figure, *, rows: int, about: str, reference: Reference | None = None) -> Check:
    """Return a figure that is told and not judged, beside what it was on the version's test."""
    verdict: CheckVerdict = "unknown" if figure.value is None else "ok"
    was, of_rows = (None, 0) if reference is None else (reference.value, reference.rows)
    return Check("performance", name, figure.value, None, verdict, figure.low, figure.high, was, of_rows, rows, about)


def unjudged(name: str, why: str, *, rows: int = 0) -> Check:
    """Return that nothing can be said, and why."""
    return Check("performance", name, None, None, "unknown", current_rows=rows, reason=why)
