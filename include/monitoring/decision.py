"""The decision: retrain, hold or veto, with its reasons.

What belongs here: a pure function of measured nights, the policy and the ledger. What does not:
measuring, recording, and whether a decision acts (`acting`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from croniter import croniter

from include import partitions
from include.errors import UsageError
from include.monitoring.check import Check
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_words import SCORE, count, prediction_drift, tally, tell_shift, waiting
from include.monitoring.drift import FeatureDrift
from include.monitoring.untrained import UntrainedRetrain
from include.specs.model_sections import DecisionSpec, MonitoringSpec

Action = Literal["retrain", "hold", "veto"]
Trigger = Literal["schedule", "drift", "performance", "event", "none"]

_BUDGET_DAYS = 90
_CANDIDATE_WAITS = "a candidate waits for approval; approve or reject it first"


@dataclass(frozen=True)
class NightMetrics:
    """What monitoring measured for one partition.

    Attributes
    ----------
    partition : str
    rows : int
        Rows scored.
    data_quality : DataQuality
    drift : tuple of FeatureDrift
        One per feature, and one named ``score`` for the prediction.
    model_version : int or None
        The version whose bins the night was measured against.
    checks : tuple of Check
        What else is watched of the night: predictions, performance, and how it was answered online.
    """

    partition: str
    rows: int
    data_quality: DataQuality
    drift: tuple[FeatureDrift, ...]
    model_version: int | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger knew before the partition was decided.

    Attributes
    ----------
    production_version : int or None
    last_trained_partition : str or None
        As-of day of the newest training.
    retrain_partitions : tuple of str
        Partitions of the retrains that acted, each as often as one did.
    candidate_waiting : bool
        A candidate waits for its approval.
    training_waiting : str or None
        The first night whose retrain acted and that no training has claimed.
    untrained : UntrainedRetrain or None
        The last retrain that acted, where its training has come to no version.
    is_live : bool
        A request that comes now is decided, not a night: a retrain of the night itself has happened before it.
    """

    production_version: int | None
    last_trained_partition: str | None
    retrain_partitions: tuple[str, ...] = ()
    candidate_waiting: bool = False
    training_waiting: str | None = None
    untrained: UntrainedRetrain | None = None
    is_live: bool = False


@dataclass(frozen=True)
class Decision:
    """What to do about one partition, and why.

    Attributes
    ----------
    action : {"retrain", "hold", "veto"}
        ``veto``: a retrain must not start, whatever asks for it.
    trigger : {"schedule", "drift", "performance", "event", "none"}
        What a retrain is for; ``none`` for the other actions.
    reasons : tuple of str
        Sentences with numbers; the first one decided.
    """

    action: Action
    trigger: Trigger
    reasons: tuple[str, ...]


def decide(
    history: Sequence[NightMetrics],
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
    ledger: LedgerFacts,
    *,
    partition: str,
    event: str | None = None,
) -> Decision:
    """Decide one partition.

    Parameters
    ----------
    history : sequence of NightMetrics
        In any order, one per partition; nights after `partition` are not looked at, so that
        replaying March gives March's answers.
    policy : DecisionSpec
    monitoring : MonitoringSpec
    ledger : LedgerFacts
    partition : str
        The night to decide.
    event : str, optional
        Who or what asks for a retrain, in words, e.g. "business event: price change".

    Returns
    -------
    Decision

    Raises
    ------
    UsageError
        If a partition stands twice in `history`.

    Notes
    -----
    What forbids comes first: stop switch, data incident, too few rows, no model, cooldown, budget, a
    waiting training, a waiting candidate. Then what asks: event, drift in N of the last M measured nights, schedule. A
    night counts for drift when its data was judged ok, it has enough rows, it was measured against
    tonight's version (an older one had other bins), and enough features shifted together. A
    reason to retrain that was forbidden is still told, and so is a training or a candidate that waits, and a training
    that came to nothing.
    """
    nights = _until(history, partition)
    tonight = nights[-1] if nights and nights[-1].partition == partition else None
    asking = list(_triggers(nights, tonight, policy, monitoring, ledger, partition=partition, event=event))
    told = tuple(reason for _, reason in asking) + tuple(_asides(tonight, ledger))
    forbidden = _veto(policy, tonight) or _hold(policy, monitoring, ledger, tonight, partition)
    if forbidden is not None:
        return Decision(forbidden.action, "none", tuple(dict.fromkeys((*forbidden.reasons, *told))))
    if asking:
        return Decision("retrain", asking[0][0], told)
    return Decision("hold", "none", (_nothing_asks(nights, policy, monitoring, partition), *told))


def _until(history: Sequence[NightMetrics], partition: str) -> list[NightMetrics]:
    nights = sorted((night for night in history if night.partition <= partition), key=lambda night: night.partition)
    for earlier, later in pairwise(nights):
        if earlier.partition == later.partition:
            raise UsageError(f"the history has {later.partition} twice; keep the newest measurement of a night")
    return nights


def _veto(policy: DecisionSpec, tonight: NightMetrics | None) -> Decision | None:
    if policy.stop:
        return Decision("veto", "none", ("the stop switch is on (decision.stop: true); no retrain starts",))
    if tonight is not None and tonight.data_quality.status == "incident":
        reasons = tonight.data_quality.reasons
        first = f"data incident, not a reason to retrain: {'; '.join(reasons) or 'no detail'}"
        return Decision("veto", "none", (first,))
    return None


def _hold(
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
    ledger: LedgerFacts,
    tonight: NightMetrics | None,
    partition: str,
) -> Decision | None:
    reason = _cannot_judge(monitoring, tonight, partition) or _must_wait(policy, ledger, partition)
    return None if reason is None else Decision("hold", "none", (reason,))


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
    if spent := _spent(policy, ledger, partition):
        return spent
    if ledger.training_waiting is not None:
        return waiting(ledger.training_waiting)
    return _CANDIDATE_WAITS if ledger.candidate_waiting else None


def _spent(policy: DecisionSpec, ledger: LedgerFacts, partition: str) -> str | None:
    # A replayed night doesn't see its own retrain, nor later ones.
    youngest = 0 if ledger.is_live else 1
    ages = sorted(
        age for age in (partitions.days_between(key, partition) for key in ledger.retrain_partitions) if age >= youngest
    )
    if ages and ages[0] < policy.cooldown_days:
        return (
            f"cooldown: the last retrain was {count(ages[0], 'day')} ago; "
            f"{count(policy.cooldown_days - ages[0], 'day')} of {policy.cooldown_days} left"
        )
    spent = sum(age < _BUDGET_DAYS for age in ages)
    if spent >= policy.budget_per_90_days:
        return f"budget: {count(spent, 'retrain')} in {_BUDGET_DAYS} days, {policy.budget_per_90_days} allowed"
    return None


def _triggers(
    nights: Sequence[NightMetrics],
    tonight: NightMetrics | None,
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
    ledger: LedgerFacts,
    *,
    partition: str,
    event: str | None,
) -> Iterator[tuple[Trigger, str]]:
    if event is not None:
        yield "event", event
    breaches = _breaches(nights, tonight, policy, monitoring)
    if len(breaches) >= policy.breaches:
        latest = breaches[-1]
        shifts = ", ".join(tell_shift(drift, monitoring) for drift in _shifted(latest))
        yield "drift", f"{tally(len(breaches), policy)}; {latest.partition}: {shifts}"
    # Last, as more is asked of what came of it alone.
    due = _due_at(policy.schedule, ledger.last_trained_partition, partition)
    if due is not None:
        last = ledger.last_trained_partition
        trained = f"last trained as of {last}" if last else "never trained before"
        yield "schedule", f"scheduled ({policy.schedule}): due {due:%Y-%m-%d %H:%M}Z, {trained}"


def _due_at(schedule: str | None, last_trained: str | None, partition: str) -> datetime | None:
    if schedule is None:
        return None
    # Without a training to count from, only a fire time within the night itself is due.
    since = partitions.end_of(last_trained) if last_trained is not None else partitions.start_of(partition)
    fires_at: datetime = croniter(schedule, since).get_next(datetime)
    return fires_at if fires_at <= partitions.end_of(partition) else None


def _breaches(
    nights: Sequence[NightMetrics], tonight: NightMetrics | None, policy: DecisionSpec, monitoring: MonitoringSpec
) -> list[NightMetrics]:
    version = tonight.model_version if tonight is not None else None
    return [
        night
        for night in nights[-policy.windows :]
        if night.data_quality.status == "ok"
        and night.rows >= monitoring.min_rows
        and night.model_version == version
        and len(_shifted(night)) >= policy.features_min
    ]


def _shifted(night: NightMetrics) -> list[FeatureDrift]:
    return [drift for drift in night.drift if drift.feature != SCORE and drift.verdict == "significant"]


def _asides(tonight: NightMetrics | None, ledger: LedgerFacts) -> Iterator[str]:
    yield from prediction_drift(tonight.drift if tonight is not None else ())
    if ledger.training_waiting is not None:
        yield waiting(ledger.training_waiting)
    if ledger.untrained is not None:
        yield str(ledger.untrained)
    if ledger.candidate_waiting:
        yield _CANDIDATE_WAITS


def _nothing_asks(
    nights: Sequence[NightMetrics], policy: DecisionSpec, monitoring: MonitoringSpec, partition: str
) -> str:
    tonight = nights[-1] if nights and nights[-1].partition == partition else None
    found = len(_breaches(nights, tonight, policy, monitoring))
    return f"nothing asks for a retrain: {tally(found, policy)}, {policy.breaches} needed"
