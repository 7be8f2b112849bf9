"""The decision: retrain, hold or veto, with its reasons.

What belongs here: a pure function of measured nights, the policy and the ledger. What does not: what asks
(``triggers``) and what forbids (``limits``), measuring, recording, and whether a decision acts (`acting`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

from include.errors import UsageError
from include.monitoring import limits
from include.monitoring.decision_facts import LedgerFacts, NightMetrics
from include.monitoring.decision_words import (
    CANDIDATE_WAITS,
    tally_drift,
    tally_performance,
    tell_breaches,
    tell_reference,
    tell_young,
    waiting,
)
from include.monitoring.triggers import Trigger, breaches, drifting, fallen_checks, find_triggers, shifted_young
from include.specs.model_sections import DecisionSpec, MonitoringSpec

Action = Literal["retrain", "hold", "veto"]


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
    What forbids comes first: stop switch, data incident, too few rows, no model, cooldown, budget, trainings that
    failed, a waiting training, a waiting candidate. Then what asks: event, performance or drift on N of the last M
    nights, schedule. A reason to retrain that was forbidden is still told, and so are a training or a candidate that
    waits, a training that came to nothing, and what else of the night is beyond its threshold.
    """
    nights = _until(history, partition)
    tonight = nights[-1] if nights and nights[-1].partition == partition else None
    last_trained = ledger.last_trained_partition
    asking = list(
        find_triggers(nights, policy, monitoring, partition=partition, last_trained=last_trained, event=event)
    )
    told = tuple(reason for _, reason in asking) + tuple(_asides(tonight, ledger, policy))
    if (forbidden := limits.veto(policy, nights, tonight)) is not None:
        return Decision("veto", "none", tuple(dict.fromkeys((forbidden, *told))))
    if (forbidden := limits.hold(policy, monitoring, ledger, tonight, partition)) is not None:
        return Decision("hold", "none", tuple(dict.fromkeys((forbidden, *told))))
    if asking:
        return Decision("retrain", asking[0][0], told)
    return Decision("hold", "none", (_nothing_asks(nights, policy, monitoring, partition), *told))


def _until(history: Sequence[NightMetrics], partition: str) -> list[NightMetrics]:
    nights = sorted((night for night in history if night.partition <= partition), key=lambda night: night.partition)
    for earlier, later in pairwise(nights):
        if earlier.partition == later.partition:
            raise UsageError(f"the history has {later.partition} twice; keep the newest measurement of a night")
    return nights


def _asides(tonight: NightMetrics | None, ledger: LedgerFacts, policy: DecisionSpec) -> Iterator[str]:
    if tonight is not None:
        yield from tell_breaches(tonight.checks)
        if young := shifted_young(tonight):
            yield tell_young(young, tonight.young)
        if drifting(tonight, policy) and ledger.newest_example is not None:
            yield tell_reference(tonight.model_version, ledger.newest_example)
    if ledger.training_waiting is not None:
        yield waiting(ledger.training_waiting)
    if ledger.untrained is not None:
        yield str(ledger.untrained)
    if ledger.candidate_waiting:
        yield CANDIDATE_WAITS


def _nothing_asks(
    nights: Sequence[NightMetrics], policy: DecisionSpec, monitoring: MonitoringSpec, partition: str
) -> str:
    _, windows = policy.drift_needed
    drifted = breaches(nights, windows, monitoring, partition, by=partial(drifting, policy=policy))
    fallen = breaches(nights, policy.windows, monitoring, partition, by=fallen_checks)
    told = [tally_drift(len(drifted), policy)]
    if fallen:
        told.append(tally_performance(list(map(fallen_checks, fallen)), policy))
    of_nights = f", {policy.breaches} needed" if fallen or policy.false_alarms is None else ""
    return f"nothing asks for a retrain: {' and '.join(told)}{of_nights}"
