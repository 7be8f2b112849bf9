"""What asks for a retrain: shifted features, a fallen metric, the schedule.

What belongs here: evidence of the last nights in, what asks out. What does not: what forbids a retrain (``limits``),
and which of several triggers a decision is for (``decision``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Literal

from croniter import croniter

from include import partitions
from include.monitoring.anytime import LifelongAlarm, lifelong_alarms
from include.monitoring.check import Check
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.decision_words import (
    SCORE,
    tally_drift,
    tally_performance,
    tell_alarms,
    tell_cause,
    tell_checks,
    tell_shifts,
)
from include.monitoring.feature_drift import FeatureDrift
from include.specs.model_sections import DecisionSpec, MonitoringSpec

Trigger = Literal["schedule", "drift", "performance", "event", "none"]


def find_triggers(
    nights: Sequence[NightMetrics],
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
    *,
    partition: str,
    last_trained: str | None,
    event: str | None,
) -> Iterator[tuple[Trigger, str]]:
    """Yield what asks for a retrain and why, the strongest reason first.

    Parameters
    ----------
    nights : sequence of NightMetrics
        By partition, none after `partition`.
    last_trained : str or None
        As-of day of the newest training.
    event : str or None
        Who or what asks, in words.

    Notes
    -----
    A night is one of the last M by the calendar: a night long ago is no evidence of today, however few were measured
    since. It counts when its data was judged ok, it has enough rows, and it was measured against tonight's version: an
    older one had other bins, and another performance.
    """
    if event is not None:
        yield "event", event
    fallen = breaches(nights, policy.windows, monitoring, partition, by=fallen_checks)
    if len(fallen) >= policy.breaches:
        last = fallen[-1]
        checks = fallen_checks(last)
        causes = known_causes(checks) or (tell_cause(checks, drifting(last, policy), last.importance, monitoring),)
        told = f"{last.partition}: {tell_checks(checks)}; {'; '.join(causes)}"
        yield "performance", f"{tally_performance(list(map(fallen_checks, fallen)), policy)}; {told}"
    needed, windows = policy.drift_needed
    drifted = breaches(nights, windows, monitoring, partition, by=partial(drifting, policy=policy))
    if len(drifted) >= needed:
        last, found = drifted[-1], drifting(drifted[-1], policy)
        shifts = tell_alarms(_alarms(last, policy), found, last.importance) or tell_shifts(
            found, last.importance, monitoring
        )
        yield "drift", f"{tally_drift(len(drifted), policy)}; {last.partition}: {shifts}"
    # Last, as more is asked of what came of it alone.
    due = _due_at(policy.schedule, last_trained, partition)
    if due is not None:
        trained = f"last trained as of {last_trained}" if last_trained else "never trained before"
        yield "schedule", f"scheduled ({policy.schedule}): due {due:%Y-%m-%d %H:%M}Z, {trained}"


def breaches(
    nights: Sequence[NightMetrics],
    windows: int,
    monitoring: MonitoringSpec,
    partition: str,
    *,
    by: Callable[[NightMetrics], Sequence[object]],
) -> list[NightMetrics]:
    """Return the nights that count of the last `windows`, and on which `by` finds anything."""
    since = partitions.shift(partition, 1 - windows)
    version = nights[-1].model_version if nights and nights[-1].partition == partition else None
    return [
        night
        for night in nights
        if night.partition >= since
        and can_be_judged(night, monitoring)
        and night.model_version == version
        and by(night)
    ]


def can_be_judged(night: NightMetrics, monitoring: MonitoringSpec) -> bool:
    """Say whether a night's shifts tell anything: its data was judged ok, and enough rows were scored."""
    return night.data_quality.status == "ok" and night.rows >= monitoring.min_rows


def drifting(night: NightMetrics, policy: DecisionSpec) -> list[FeatureDrift]:
    """Return the features whose shift has a night count; none where it does not.

    It does where enough have shifted significantly that the model rests on together, or where one that it rests on
    alone has shifted at all: half a deviation is a PSI of 0.25, which chance keeps below 0.2 on every tenth night.
    Where the policy bounds the false alarms of a version's life, a feature has shifted that `lifelong_alarms` names,
    whatever its verdict. The score is judged elsewhere, and is no cause of its own; a feature that is young is judged
    later.
    """
    shifted, surely = _moved(night, policy)
    is_enough = len(surely) >= policy.features_min and _are_rested_on(surely, night, policy)
    return [drift for drift in shifted if (is_enough and drift in surely) or _is_rested_on(drift, night, policy)]


def _moved(night: NightMetrics, policy: DecisionSpec) -> tuple[list[FeatureDrift], list[FeatureDrift]]:
    """Return the features that have shifted at all, and those of them that count together."""
    if policy.false_alarms is None:
        shifted = _find_shifted(night, young=False)
        return shifted, [drift for drift in shifted if drift.verdict == "significant"]
    alarmed = {alarm.feature for alarm in _alarms(night, policy)} - {SCORE, *night.young}
    surely = [drift for drift in night.drift if drift.feature in alarmed]
    return surely, surely


def _alarms(night: NightMetrics, policy: DecisionSpec) -> tuple[LifelongAlarm, ...]:
    """Return what no chance explains in the version's life; nothing where the policy does not ask."""
    if policy.false_alarms is None or night.age is None:
        return ()
    return lifelong_alarms(night.drift, night=night.age, false_alarms=policy.false_alarms)


def shifted_young(night: NightMetrics) -> list[FeatureDrift]:
    """Return the features that have shifted and ask for nothing, as their reference lacks history."""
    return _find_shifted(night, young=True)


def _find_shifted(night: NightMetrics, *, young: bool) -> list[FeatureDrift]:
    shifted = [drift for drift in night.drift if drift.verdict in ("moderate", "significant")]
    return [drift for drift in shifted if drift.feature != SCORE and (drift.feature in night.young) == young]


def _is_rested_on(drift: FeatureDrift, night: NightMetrics, policy: DecisionSpec) -> bool:
    return night.importance.get(drift.feature, 0.0) >= policy.importance_min


def _are_rested_on(drifts: Sequence[FeatureDrift], night: NightMetrics, policy: DecisionSpec) -> bool:
    """Say whether features are enough of the model together; a night from before that was kept is taken for one."""
    share = sum(night.importance.get(drift.feature, 0.0) for drift in drifts)
    return not night.importance or share >= policy.importance_min


def fallen_checks(night: NightMetrics) -> list[Check]:
    """Return what of a night's performance is beyond what is allowed; an estimate where its policy has it judged."""
    return [check for check in night.checks if check.watch == "performance" and check.verdict == "breach"]


def known_causes(checks: Sequence[Check]) -> tuple[str, ...]:
    """Return what checks that are beyond what is allowed are mostly of, where somebody looked."""
    return next((check.causes for check in checks if check.causes), ())


def _due_at(schedule: str | None, last_trained: str | None, partition: str) -> datetime | None:
    if schedule is None:
        return None
    # Without a training to count from, only a fire time within the night itself is due.
    since = partitions.end_of(last_trained) if last_trained is not None else partitions.start_of(partition)
    fires_at: datetime = croniter(schedule, since).get_next(datetime)
    return fires_at if fires_at <= partitions.end_of(partition) else None
