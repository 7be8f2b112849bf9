"""What forbids a retrain whatever asks for it: broken data, nothing to judge by, and retrains that were.

What belongs here: one reason in words, the first that holds. What does not: what asks for a retrain (``triggers``).
"""

from __future__ import annotations

from collections.abc import Sequence

from include import partitions
from include.monitoring.check import Check
from include.monitoring.decision_facts import LedgerFacts, NightMetrics
from include.monitoring.decision_words import CANDIDATE_WAITS, count, waiting
from include.specs.model_sections import DecisionSpec, MonitoringSpec

_BUDGET_DAYS = 90
# A refused version is trained again when its test has other rows: asked each night, a gate lets one pass by chance.
_REFUSED_DAYS = 7


def veto(policy: DecisionSpec, nights: Sequence[NightMetrics], tonight: NightMetrics | None) -> str | None:
    """Say why no retrain may start, whoever asks for it; None where one may."""
    if policy.stop:
        return "the stop switch is on (decision.stop: true); no retrain starts"
    if tonight is None:
        return None
    if tonight.data_quality.status == "incident":
        return f"data incident, not a reason to retrain: {'; '.join(tonight.data_quality.reasons) or 'no detail'}"
    if (since := _lasting(nights, tonight)) is not None:
        return (
            f"the data incident of {since.partition} is not known to be over: no rows are usual on this day of the "
            f"week, and none came ({'; '.join(since.data_quality.reasons)})"
        )
    return None


def _lasting(nights: Sequence[NightMetrics], tonight: NightMetrics) -> NightMetrics | None:
    """Return the last night of an incident of volume, if all nights since could not have shown that it is over."""
    silent, day = _silent(tonight), tonight.partition
    for night in reversed(nights[:-1]):
        day = partitions.shift(day, -1)
        if not silent or night.partition != day:
            return None
        if any(check.name in silent and check.verdict == "breach" for check in night.checks):
            return night
        silent &= _silent(night)
    return None


def _silent(night: NightMetrics) -> set[str]:
    """Return what of a night's volume was nothing, where nothing is usual."""
    return {check.name for check in night.checks if check.name.startswith("rows ") and _is_nothing(check)}


def _is_nothing(check: Check) -> bool:
    return check.watch == "data_quality" and check.verdict == "unknown" and check.current_rows == 0


def hold(
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
    ledger: LedgerFacts,
    tonight: NightMetrics | None,
    partition: str,
) -> str | None:
    """Say why a retrain has to wait; None where it has not."""
    return _cannot_judge(monitoring, tonight, partition) or _must_wait(policy, ledger, partition)


def _cannot_judge(monitoring: MonitoringSpec, tonight: NightMetrics | None, partition: str) -> str | None:
    if tonight is None:
        return f"nothing was measured for {partition}"
    if tonight.data_quality.status == "unknown":
        return f"the night's data can't be judged: {'; '.join(tonight.data_quality.reasons) or 'no detail'}"
    if tonight.rows < monitoring.min_rows:
        return f"{tonight.rows} rows were scored; fewer than {monitoring.min_rows} give no verdict"
    return None


def _must_wait(policy: DecisionSpec, ledger: LedgerFacts, partition: str) -> str | None:
    if ledger.production_version is None:
        return "nothing in production to retrain"
    if spent := _cooling_down(policy, ledger, partition) or _backing_off(policy, ledger, partition):
        return spent
    if ledger.training_waiting is not None:
        return waiting(ledger.training_waiting)
    return CANDIDATE_WAITS if ledger.candidate_waiting else None


def _ages(of: tuple[str, ...], ledger: LedgerFacts, partition: str) -> list[int]:
    """Return how many days ago each was, the last one first; a replayed night sees neither its own nor later ones."""
    youngest = 0 if ledger.is_live else 1
    return sorted(age for age in (partitions.days_between(key, partition) for key in of) if age >= youngest)


def _cooling_down(policy: DecisionSpec, ledger: LedgerFacts, partition: str) -> str | None:
    ages = _ages(ledger.retrain_partitions, ledger, partition)
    if ages and ages[0] < policy.cooldown_days:
        return (
            f"cooldown: the last retrain was {count(ages[0], 'day')} ago; "
            f"{count(policy.cooldown_days - ages[0], 'day')} of {policy.cooldown_days} left"
        )
    spent = sum(age < _BUDGET_DAYS for age in ages)
    if spent >= policy.budget_per_90_days:
        return f"budget: {count(spent, 'retrain')} in {_BUDGET_DAYS} days, {policy.budget_per_90_days} allowed"
    return None


def _backing_off(policy: DecisionSpec, ledger: LedgerFacts, partition: str) -> str | None:
    """Say that retrains came to nothing lately: each one has the next tried twice as late.

    In the long run they are no more than the policy lets retrains be that come to something.
    """
    refused = _ages(ledger.refused_partitions, ledger, partition)
    ages = sorted([*_ages(ledger.failed_partitions, ledger, partition), *refused])
    if not ages:
        return None
    is_refused = ages[0] in refused
    pace = max(policy.cooldown_days, -(-_BUDGET_DAYS // max(policy.budget_per_90_days, 1)))
    wait = min((_REFUSED_DAYS if is_refused else 1) * 2 ** (len(ages) - 1), pace)
    if ages[0] >= wait:
        return None
    came = (
        f"the last retrain, {count(ages[0], 'day')} ago, came to "
        + ("a version that its gates refused" if is_refused else "nothing")
        + (f", as {count(len(ages) - 1, 'other')} before it came to nothing" if len(ages) > 1 else "")
    )
    return f"{came}; the next is tried {count(wait, 'day')} after it"
