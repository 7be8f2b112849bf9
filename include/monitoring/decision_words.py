"""What a decision says: sentences for a person.

What belongs here: wording. What does not: what is decided (``decision``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from include.monitoring.anytime import LifelongAlarm
from include.monitoring.check import Check
from include.monitoring.estimated_performance import ESTIMATED
from include.monitoring.feature_drift import FeatureDrift
from include.specs.model_sections import DecisionSpec, MonitoringSpec

# The prediction is profiled beside the features; its shift has a check of its own, and is no cause of a retrain.
SCORE = "score"
# More of them are no cause but a symptom.
_CAUSES = 3
# Longer ones nobody counts the noughts of.
_LARGEST_WRITTEN_OUT = 1e15
# Nine tell apart whatever 32 bits do.
_DIGITS = range(3, 10)

CANDIDATE_WAITS = "a candidate waits for approval; approve or reject it first"


def waiting(night: str) -> str:
    """Say that nobody trains."""
    return (
        f"the retrain that was decided on {night} waits: no training has claimed it, and it is asked for again; "
        "see that the model's training is unpaused"
    )


def tally_drift(found: int, policy: DecisionSpec) -> str:
    """Say how many nights showed a shift; where one alone asks, whether it did."""
    features, share = count(policy.features_min, "feature"), f"{percent(policy.importance_min)} of the model"
    if policy.false_alarms is not None:
        return (
            f"{'a' if found else 'no'} shift of at least {features} holding {share}, or of one that holds it alone, is "
            f"more than chance explains in all of the version's life, with {percent(policy.false_alarms)} for any "
            "false alarm"
        )
    nights = count(policy.windows, "night")
    return (
        f"{found} of the last {nights} showed a significant shift of at least {features} holding {share}, or any shift "
        "of one that holds it alone"
    )


def tally_performance(fallen: Sequence[Collection[Check]], policy: DecisionSpec) -> str:
    """Say on how many nights performance had fallen, by the checks of each, and on how many of them by an estimate."""
    told = f"performance had fallen on {len(fallen)} of the last {count(policy.windows, 'night')}"
    estimated = sum(map(_are_estimates, fallen))
    return f"{told}, on {estimated} by an estimate alone" if estimated else told


def tell_breaches(checks: Iterable[Check]) -> Iterator[str]:
    """Say what of a night is beyond its threshold and asks for no retrain: a new model would not mend it."""
    for check in checks:
        if check.watch == "data_quality" and check.verdict == "ok" and check.reason is not None:
            yield check.reason
        if check.verdict == "breach" and check.watch not in ("performance", "data_quality", "feature_drift"):
            yield f"{check.watch.replace('_', ' ')}: {tell_check(check)}"


def tell_check(check: Check) -> str:
    """Say of a check what was measured, against what.

    Examples
    --------
    >>> print(tell_check(Check("performance", "auc", 0.7312, 0.8, "breach", low=0.71, high=0.75, current_rows=900)))
    auc 0.731 [0.710, 0.750] against 0.8 of 900 rows
    """
    interval = f" [{check.low:.3f}, {check.high:.3f}]" if check.low is not None and check.high is not None else ""
    value = "unknown" if check.value is None else f"{check.value:.3f}"
    threshold = "" if check.threshold is None else f" against {check.threshold:.3g}"
    reason = f": {check.reason}" if check.reason else ""
    return f"{check.name} {value}{interval}{threshold} of {count(check.current_rows, 'row')}{reason}"


def tell_checks(checks: Sequence[Check]) -> str:
    """Say of checks what was measured, of three at most."""
    rest = len(checks) - _CAUSES
    return "; ".join(map(tell_check, checks[:_CAUSES])) + (f"; and {count(rest, 'check')} more" if rest > 0 else "")


def tell_shifts(shifted: Sequence[FeatureDrift], importance: Mapping[str, float], monitoring: MonitoringSpec) -> str:
    """Say which features have shifted: three at most, first those that the model rests on and that shifted far."""
    ranked = sorted(shifted, key=lambda drift: -(drift.psi or 1.0) * importance.get(drift.feature, 1.0))
    told = [_tell_shift(drift, importance.get(drift.feature), monitoring) for drift in ranked[:_CAUSES]]
    rest = len(ranked) - len(told)
    return ", ".join(told) + (f" and {count(rest, 'feature')} more" if rest else "")


def tell_alarms(
    alarms: Collection[LifelongAlarm], shifted: Sequence[FeatureDrift], importance: Mapping[str, float]
) -> str:
    """Say how far features lie from the reference and how far chance reaches: three at most; empty without alarms."""
    known = {alarm.feature: alarm for alarm in alarms}
    ranked = sorted(
        (drift for drift in shifted if drift.feature in known),
        key=lambda drift: -known[drift.feature].distance * importance.get(drift.feature, 1.0),
    )
    told = [_tell_alarm(known[drift.feature], importance.get(drift.feature)) for drift in ranked[:_CAUSES]]
    rest = len(ranked) - len(told)
    return ", ".join(told) + (f" and {count(rest, 'feature')} more" if rest else "")


def _tell_alarm(alarm: LifelongAlarm, importance: float | None) -> str:
    share = "" if importance is None else f", {importance:.0%} of the model"
    return f"{alarm.feature} ks {alarm.distance:.3f} > {alarm.by_chance:.3f}, the most that chance explains{share}"


def tell_cause(
    checks: Collection[Check],
    drifting: Sequence[FeatureDrift],
    importance: Mapping[str, float],
    monitoring: MonitoringSpec,
) -> str:
    """Say whether who is scored has changed, or what becomes of the same ones: a fall of performance is of either.

    Only features of one night are looked at, while performance is of nights whose labels are in: a hint, and no proof,
    where nobody could look at those (`causes`). What is estimated is of the night itself, and of who is scored.
    """
    if _are_estimates(checks):
        shifts = (
            tell_shifts(drifting, importance, monitoring) if drifting else "no shift of that night counts by itself"
        )
        return f"an estimate tells a fall by who is scored alone: {shifts}"
    if not drifting:
        return (
            "no shift of that night counts: what becomes of those with the same features has changed, or who was "
            "scored on those nights had"
        )
    return f"who is scored has changed too: {tell_shifts(drifting, importance, monitoring)}"


def _are_estimates(checks: Collection[Check]) -> bool:
    return all(check.name == ESTIMATED for check in checks)


def _tell_shift(drift: FeatureDrift, importance: float | None, monitoring: MonitoringSpec) -> str:
    moved = "" if drift.wasserstein is None else f", moved by {number(drift.wasserstein)} of its unit"
    share = "" if importance is None else f", {importance:.0%} of the model"
    if drift.reason is not None:
        return f"{drift.feature}: {drift.reason}{share}"
    mostly = f", {drift.mostly}" if drift.mostly else ""
    if drift.verdict == "stable":
        return f"{drift.feature} ks {drift.ks:.3f}{moved}{share}"
    least = monitoring.psi_moderate if drift.verdict == "moderate" else monitoring.psi_significant
    return (
        f"{drift.feature} psi {drift.psi:.3f} > {least:g}{mostly} ({drift.psi_expected:.3f} expected by chance"
        f"{moved}{share})"
    )


def tell_reference(version: int | None, newest_example: str) -> str:
    """Say why a shift is not over though a version was trained since."""
    return (
        f"version {version} was trained on examples up to {newest_example}, the last whose labels were known: what has "
        "shifted since is no part of its reference yet, and stays a shift until a later training"
    )


def tell_young(shifted: Sequence[FeatureDrift], young: Mapping[str, int]) -> str:
    """Say of shifts that they ask for nothing, and how much history their reference lacks."""
    lacking = max(young[drift.feature] for drift in shifted)
    rest = len(shifted) - _CAUSES
    named = ", ".join(drift.feature for drift in shifted[:_CAUSES]) + (f" and {rest} more" if rest > 0 else "")
    return (
        f"a shift of {named} asks for nothing: they look back further than there was history when the reference was "
        f"sampled, by {count(lacking, 'day')} at most"
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "night"), count(2, "night")
    ('1 night', '2 nights')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """Return a share in percent, to three digits: a limit of 2.5 % is not told as one of 2.

    Examples
    --------
    >>> percent(0.05), percent(0.025), percent(0.0523)
    ('5%', '2.5%', '5.23%')
    """
    return f"{100 * share:.3g}%"


def number(value: float, *, digits: int = 3) -> str:
    """Return a number to so many digits, as people write it.

    Examples
    --------
    >>> number(0.01234), number(12.345), number(1234567.0), number(-20150)
    ('0.0123', '12.3', '1230000', '-20200')
    """
    short = f"{value:.{digits}g}"
    return f"{float(short):.0f}" if "e+" in short and abs(value) < _LARGEST_WRITTEN_OUT else short


def digits_for(values: Sequence[float], *, spread: float) -> int:
    """Return to how many digits numbers are told: three, or as many as move none by over a hundredth of their spread.

    Examples
    --------
    >>> digits_for([7.3312, 12.5], spread=10), digits_for([2019, 2023], spread=4), digits_for([100003.7], spread=2.7)
    (3, 4, 7)
    """

    def off(digits: int) -> float:
        return max(abs(float(f"{value:.{digits}g}") - value) for value in values)

    # Of one value that 32 bits hold no digits are enough.
    return next(
        (digits for digits in _DIGITS if off(digits) <= spread / 100), _DIGITS[-1] if spread > 0 else _DIGITS[0]
    )
