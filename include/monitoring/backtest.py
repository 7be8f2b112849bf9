"""What a policy would have done: measured nights played again, one decision after another.

What belongs here: nights and a policy in, decisions and what they cost out. What does not: reading nights, and how a
decision is made (``decision``).

A night stays as it was measured: against the version that scored it, whatever the policy played would have trained. So
days to a first retrain, and retrains while nothing had changed, are what a backtest can tell; after a retrain it tells
what the policy makes of the shifts that were measured then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from include import partitions
from include.monitoring.decision import Action, decide
from include.monitoring.decision_facts import LedgerFacts, NightMetrics
from include.monitoring.decision_words import SCORE
from include.monitoring.estimated_performance import ESTIMATED
from include.monitoring.triggers import Trigger, can_be_judged, drifting, fallen_checks
from include.specs.model_sections import DecisionSpec, MonitoringSpec

_YEAR_DAYS = 365.25


@dataclass(frozen=True)
class Costs:
    """What a retrain costs, and a day on which a shift stands that no retrain has learned, in one unit.

    Attributes
    ----------
    retrain, degraded_day : float
    lost_point : float or None
        Of such a day for each hundredth by which the model's metric has fallen, where labels tell that it has; None: it
        costs what any other does.
    unit : str
        In a person's word, e.g. ``EUR``; empty where they gave none.
    """

    retrain: float
    degraded_day: float
    lost_point: float | None = None
    unit: str = ""

    def of_day(self, night: NightMetrics) -> float:
        """Return what is lost on a day on which a shift stands, a fall counted on the night that tells it."""
        # Of a slice, or an estimate: neither is what labels tell of all who were scored.
        fallen = [check for check in fallen_checks(night) if "[" not in check.name and check.name != ESTIMATED]
        if self.lost_point is None or not fallen:
            return self.degraded_day
        surest = max(fallen, key=lambda check: check.current_rows)
        return self.lost_point * 100 * ((surest.reference or 0.0) - (surest.value or 0.0))


@dataclass(frozen=True)
class Yardstick:
    """What every policy that is played is held against, whatever its own values are.

    Attributes
    ----------
    policy : DecisionSpec
        The model's own: by its values features have shifted.
    monitoring : MonitoringSpec
    changes : sequence of str
        Nights on which something is known to have changed.
    costs : Costs
    """

    policy: DecisionSpec
    monitoring: MonitoringSpec
    changes: Sequence[str]
    costs: Costs

    def is_shifted(self, night: NightMetrics) -> bool | None:
        """Say whether a shift stands; None where the night's data is broken or too little to tell."""
        if not can_be_judged(night, self.monitoring):
            return None
        return bool(drifting(night, self.policy) or fallen_checks(night))


@dataclass(frozen=True)
class PlayedNight:
    """One night under a policy.

    Attributes
    ----------
    partition : str
    model_version : int or None
        The one that it was measured against, whatever was played before; 0 of a day of a data set.
    action : {"retrain", "hold", "veto"}
    trigger : {"schedule", "drift", "performance", "event", "none"}
    reason : str
        The first of the decision's.
    is_degraded : bool
        Enough features have shifted, or performance has fallen, since the last retrain.
    loss : float
        What that costs.
    """

    partition: str
    model_version: int | None
    action: Action
    trigger: Trigger
    reason: str
    is_degraded: bool
    loss: float


@dataclass(frozen=True)
class Backtest:
    """Some nights under a policy, and what came of it.

    Attributes
    ----------
    policy : str
        Its name.
    nights : tuple of PlayedNight
    retrains : tuple of str
    false_alarms : tuple of str
        Of them, by drift or performance while nothing had changed: before the first change that is known.
    false_alarms_a_year : float or None
        None where no change is known, or none of the nights lies before it.
    days_to_detection : mapping of str to int or None
        From each known change to the first retrain by drift or performance on or after it, and before the next change;
        None where there is none.
    degraded_days : int
    loss : float
        What they cost.
    cost : float
        That, and the retrains.
    """

    policy: str
    nights: tuple[PlayedNight, ...]
    retrains: tuple[str, ...]
    false_alarms: tuple[str, ...]
    false_alarms_a_year: float | None
    days_to_detection: Mapping[str, int | None]
    degraded_days: int
    loss: float
    cost: float


def play_policy(
    name: str, history: Sequence[NightMetrics], policy: DecisionSpec, yardstick: Yardstick, *, trained: str
) -> Backtest:
    """Play a policy on measured nights.

    Parameters
    ----------
    name : str
    history : sequence of NightMetrics
        One per partition, in any order.
    policy : DecisionSpec
        By which is decided; what a night costs is the yardstick's to say.
    yardstick : Yardstick
    trained : str
        As-of day of the version that the first night was scored with.
    """
    nights = sorted(history, key=lambda night: night.partition)

    def decided(place: int, retrains: Sequence[str]) -> tuple[Action, Trigger, str]:
        night = nights[place]
        since = partitions.shift(night.partition, -policy.windows)
        facts = LedgerFacts(
            production_version=night.model_version,
            last_trained_partition=max([trained, *retrains]),
            retrain_partitions=tuple(retrains),
        )
        seen = [each for each in nights[: place + 1] if each.partition > since]
        found = decide(seen, policy, yardstick.monitoring, facts, partition=night.partition)
        return found.action, found.trigger, found.reasons[0]

    return _play(name, nights, yardstick, decided)


def play_naive(history: Sequence[NightMetrics], yardstick: Yardstick) -> Backtest:
    """Play what most teams run: any feature's PSI above the threshold on N of the last M nights, and a cooldown."""
    nights = sorted(history, key=lambda night: night.partition)
    policy, limit = yardstick.policy, yardstick.monitoring.psi_significant

    def decided(place: int, retrains: Sequence[str]) -> tuple[Action, Trigger, str]:
        night = nights[place]
        since = partitions.shift(night.partition, -policy.windows)
        high = [n for n in nights[: place + 1] if n.partition > since and _has_psi_above(n, limit)]
        is_cool = not retrains or partitions.days_between(retrains[-1], night.partition) >= policy.cooldown_days
        if len(high) >= policy.breaches and is_cool:
            return "retrain", "drift", f"PSI above {limit:g} on {len(high)} nights"
        return "hold", "none", f"PSI above {limit:g} on {len(high)} nights"

    return _play("PSI on N of M nights", nights, yardstick, decided)


def play_never(history: Sequence[NightMetrics], yardstick: Yardstick) -> Backtest:
    """Play no retrain at all."""
    nights = sorted(history, key=lambda night: night.partition)
    return _play("never", nights, yardstick, lambda *_: ("hold", "none", "never"))


def play_hindsight(history: Sequence[NightMetrics], yardstick: Yardstick) -> Backtest:
    """Play the retrains that cost least, chosen with every night known.

    Notes
    -----
    A shift that stands for some nights running costs what is lost on them or one retrain on the first, whatever
    comes before and after it: the dynamic programme over all nights (as in arXiv 2310.04216) is a choice for each.
    Nights that can't be judged cost nothing, and neither begin a shift nor end one.
    """
    nights = sorted(history, key=lambda night: night.partition)
    judged = [night for night in nights if yardstick.is_shifted(night) is not None]
    worth = {
        run[0].partition
        for is_shifted, run in ((key, list(each)) for key, each in groupby(judged, yardstick.is_shifted))
        if is_shifted and yardstick.costs.retrain < sum(map(yardstick.costs.of_day, run))
    }

    def decided(place: int, _: Sequence[str]) -> tuple[Action, Trigger, str]:
        if nights[place].partition in worth:
            return "retrain", "drift", "the shift that begins here lasts for longer than a retrain costs"
        return "hold", "none", "no retrain is worth its cost here"

    return _play("best in hindsight", nights, yardstick, decided)


_Decided = Callable[[int, Sequence[str]], tuple[Action, Trigger, str]]


def _play(name: str, nights: Sequence[NightMetrics], yardstick: Yardstick, decided: _Decided) -> Backtest:
    played: list[PlayedNight] = []
    retrains: list[str] = []
    is_learned = False
    for place, night in enumerate(nights):
        action, trigger, reason = decided(place, retrains)
        is_shifted = yardstick.is_shifted(night)
        # What a retrain has learned is degraded no more, until the shift has ended and another one begins.
        is_learned = action == "retrain" or (is_learned and is_shifted is not False)
        if action == "retrain":
            retrains.append(night.partition)
        is_degraded = is_shifted is True and not is_learned
        loss = yardstick.costs.of_day(night) if is_degraded else 0.0
        played.append(PlayedNight(night.partition, night.model_version, action, trigger, reason, is_degraded, loss))
    return _account(name, played, retrains, sorted(yardstick.changes), yardstick.costs)


def _account(
    name: str, played: Sequence[PlayedNight], retrains: Sequence[str], changes: Sequence[str], costs: Costs
) -> Backtest:
    alarms = [night.partition for night in played if night.trigger in ("drift", "performance")]
    until = changes[0] if changes else ""
    quiet = sum(night.partition < until for night in played)
    false_alarms = tuple(alarm for alarm in alarms if alarm < until)
    loss = sum(night.loss for night in played)
    return Backtest(
        policy=name,
        nights=tuple(played),
        retrains=tuple(retrains),
        false_alarms=false_alarms,
        false_alarms_a_year=len(false_alarms) / quiet * _YEAR_DAYS if quiet else None,
        days_to_detection=dict(_delays(alarms, changes)),
        degraded_days=sum(night.is_degraded for night in played),
        loss=loss,
        cost=len(retrains) * costs.retrain + loss,
    )


def _delays(alarms: Sequence[str], changes: Sequence[str]) -> Iterator[tuple[str, int | None]]:
    for place, change in enumerate(changes):
        until = changes[place + 1] if place + 1 < len(changes) else "9999-12-31"
        first = next((alarm for alarm in alarms if change <= alarm < until), None)
        yield change, None if first is None else partitions.days_between(change, first)


def _has_psi_above(night: NightMetrics, limit: float) -> bool:
    return any(drift.psi is not None and drift.psi > limit for drift in night.drift if drift.feature != SCORE)


def scheduled_only(policy: DecisionSpec) -> DecisionSpec:
    """Return the policy that retrains once a month whatever was measured."""
    never = {
        "windows": 90,
        "breaches": 90,
        "features_min": 1000,
        "importance_min": 1.0,
        "false_alarms": None,
        "budget_per_90_days": 90,
        "cooldown_days": 0,
    }
    return replace_policy(policy, {**never, "schedule": "0 0 1 * *"})


def replace_policy(policy: DecisionSpec, changed: Mapping[str, object]) -> DecisionSpec:
    """Return a policy with some of its values changed, checked as a spec's are."""
    return DecisionSpec.model_validate({**policy.model_dump(), **changed})
