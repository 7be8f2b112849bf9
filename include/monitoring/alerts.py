"""Alerts: which of them a look at a model raises, keeps open and resolves, and what is told of them to whom.

What belongs here: pure functions of what monitoring knows and of the alerts that are open. What does not: keeping them
(the state store), reading what they rest on (``steps.raise_alerts``), and sending messages (``mlops.alerts``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal, TypeAlias

from include import partitions
from include.monitoring.check import Check
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.decision_words import count, tell_check
from include.monitoring.estimated_performance import ESTIMATED
from include.monitoring.missed_nights import Hole, tell_holes
from include.monitoring.triggers import Trigger, breaches, can_be_judged, drifting, fallen_checks, known_causes
from include.monitoring.untrained import UntrainedRetrain
from include.specs.model_sections import DecisionSpec, MonitoringSpec

AlertKind: TypeAlias = Literal[
    "data_incident", "drift", "performance", "serving", "training", "approval", "missing_nights"
]
# The requirement's number: somebody answers within a day, and a training takes minutes.
PATIENCE = timedelta(days=1)
# What was over longer ago is news to nobody: a connection that is new is not told of all that ever was.
LATE_NIGHTS = 7
# More of them are no cause but a symptom.
_CAUSES = 3
_IN_BRACKETS = re.compile(r" \(.*\)")
# The ends of a feature's range, each of which is one person's value.
_RANGE = re.compile(r" \([-+.e\d]+ to [-+.e\d]+\)")
_SAID: dict[str, str] = {
    "data_incident": "the night's data can't be trusted",
    "drift": "features have shifted for as many nights as ask for a retrain",
    "performance": "performance has fallen for as many nights as ask for a retrain",
    "serving": "questions were answered too slowly, or with too many errors",
    "training": "a training came to nothing",
    "approval": "a version waits for approval",
    "missing_nights": "nights are missing",
}


@dataclass(frozen=True)
class Finding:
    """Something that a person should know of.

    Attributes
    ----------
    kind : AlertKind
    causes : tuple of str
        In words with numbers; of more than three the first three are told.
    subject : str
        Which one, where a model may have several of the kind one after another, e.g. a version.
    dag_id, run_id : str or None
        The run that shows it; None is the one that looks.
    """

    kind: AlertKind
    causes: tuple[str, ...]
    subject: str = ""
    dag_id: str | None = None
    run_id: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What two findings of the same thing have in common."""
        return self.kind, self.subject


@dataclass(frozen=True)
class Look:
    """What one look has found.

    Attributes
    ----------
    findings : tuple of Finding
    unseen : frozenset of str
        Kinds of which this look can say neither that they are there nor that they are over: they stay as they are.
    """

    findings: tuple[Finding, ...]
    unseen: frozenset[AlertKind] = frozenset()


@dataclass(frozen=True)
class Alert:
    """An alert as it is kept.

    Attributes
    ----------
    alert_id : int
    about : str
        A model, or ``group <name>``.
    kind : AlertKind
    subject : str
    since : str
        The night on which it was raised.
    causes : tuple of str
    decision : str
        What was decided on that night, in words; empty where nothing is decided.
    link : str
        Address of the run.
    over_on : str or None
        The night on which it was over.
    told : frozenset of (str, bool)
        To which connections a message went, and whether it was that it is over.
    """

    alert_id: int
    about: str
    kind: AlertKind
    subject: str
    since: str
    causes: tuple[str, ...]
    decision: str
    link: str
    over_on: str | None = None
    told: frozenset[tuple[str, bool]] = frozenset()

    @property
    def key(self) -> tuple[str, str]:
        """What it has in common with a finding of the same thing."""
        return self.kind, self.subject


@dataclass(frozen=True)
class Message:
    """What is sent of an alert, once to each connection when it is raised and once when it is over.

    Attributes
    ----------
    alert : Alert
    is_over : bool
    is_first : bool
        Whether nothing was sent of it before: what was over before a message got through is told whole, in one.
    """

    alert: Alert
    is_over: bool
    is_first: bool = True

    @property
    def title(self) -> str:
        """The message in one line."""
        said = f"{_SAID[self.alert.kind]}{f' ({self.alert.subject})' if self.alert.subject else ''}"
        if self.is_over:
            return f"[{self.alert.about}] over on {self.alert.over_on}: {said}"
        return f"[{self.alert.about}] {self.alert.since}: {said}"

    @property
    def text(self) -> str:
        """The message whole: three causes at most, what was decided, and where to look; each in one line."""
        lines = [self.title]
        if self.is_over:
            late = "; nothing of it had got through until now" if self.is_first else ""
            lines.append(f"it had been so since {self.alert.since}{late}")
        if self.is_first:
            lines += [f"- {cause}" for cause in limit_causes(self.alert.causes)]
            if self.alert.decision:
                lines.append(f"decided: {self.alert.decision}")
        return "\n".join([*(" ".join(_RANGE.sub("", line).split()) for line in lines), self.alert.link])


def limit_causes(causes: Sequence[str]) -> tuple[str, ...]:
    """Return three causes at most, the last with how many more there are.

    Examples
    --------
    >>> limit_causes(["a", "b", "c", "d", "e"])
    ('a', 'b', 'c and 2 causes more')
    """
    told, rest = list(causes[:_CAUSES]), len(causes) - _CAUSES
    if rest > 0:
        told[-1] = f"{told[-1]} and {count(rest, 'cause')} more"
    return tuple(told)


def look_at_night(
    nights: Sequence[NightMetrics],
    asking: Collection[tuple[Trigger, str]],
    policy: DecisionSpec,
    monitoring: MonitoringSpec,
) -> Look:
    """Say what a measured night shows.

    Parameters
    ----------
    nights : sequence of NightMetrics
        By partition, the night last; those before it as far back as the policy looks.
    asking : collection of (Trigger, str)
        What asks for a retrain of the night, and why, whatever forbids one (``triggers.find_triggers``).
    policy : DecisionSpec
    monitoring : MonitoringSpec

    Notes
    -----
    Nothing is over because it could not be judged: broken data hides drift, a night without questions hides a slow
    service. Drift and fallen performance are raised by N of the last M nights, and over by none of them: between the
    two an alert stays as it is, and what hovers around its threshold is told once. An estimate, where it is judged, may
    raise an alert and ends none: it sees who is scored, and not what becomes of them.
    """
    asks, tonight = dict(asking), nights[-1]
    drifted = breaches(
        nights, policy.drift_needed[1], monitoring, tonight.partition, by=partial(drifting, policy=policy)
    )
    fallen = breaches(nights, policy.windows, monitoring, tonight.partition, by=fallen_checks)
    is_judged = can_be_judged(tonight, monitoring)
    return put_together(
        (
            _look_at_data(tonight),
            _look_at_drift(asks.get("drift"), is_over=is_judged and not drifted),
            _look_at_performance(tonight, asks.get("performance"), is_over=is_judged and not fallen),
            _look_at_serving(tonight),
        )
    )


def look_at_training(untrained: UntrainedRetrain | None, *, decided_at: datetime | None, now: datetime) -> Look:
    """Say whether the last retrain that was claimed came to nothing, by its own word or by its silence of a day.

    It is one alert for as long as trainings come to nothing, however often it is tried again. Of its own word only the
    task is told: an error's message may hold a row, or a password.
    """
    if untrained is None:
        return Look(())
    if untrained.why is not None:
        cause = f"the task {untrained.why.partition(':')[0]} ended it; its log says why"
    elif decided_at is not None and now - decided_at > PATIENCE:
        cause = "it claimed the retrain more than a day ago, and has said nothing since"
    else:
        return Look((), frozenset({"training"}))
    train = f"train_model__{untrained.model_id}"
    told = (
        f"no version has come of the retrain that was decided on {untrained.partition}: {untrained.trained_by}: "
        f"{cause}; clear its tasks in {train}, or train by hand"
    )
    return Look((Finding("training", (told,), dag_id=train, run_id=untrained.trained_by),))


def look_at_approval(version: int | None, *, staged_at: datetime | None, now: datetime) -> Look:
    """Say whether a version has waited for its approval for more than a day."""
    if version is None or staged_at is None or now - staged_at <= PATIENCE:
        return Look(())
    told = (
        f"it has stood in Staging since {staged_at:%Y-%m-%d %H:%M}Z; approve or reject it: nothing is retrained before"
    )
    return Look((Finding("approval", (told,), f"version {version}"),))


def look_at_holes(holes: Collection[Hole]) -> Look:
    """Say which nights of a group or model are missing: one alert while any is.

    What a cause has in brackets is left out: of a gate's refusal it is the extremes that it saw, which are somebody's.
    """
    bare = [replace(hole, night=replace(hole.night, why=_IN_BRACKETS.sub("", hole.night.why))) for hole in holes]
    return Look((Finding("missing_nights", tell_holes(bare)),) if bare else ())


def put_together(looks: Collection[Look]) -> Look:
    """Return several looks as one."""
    return Look(
        tuple(finding for look in looks for finding in look.findings),
        frozenset().union(*(look.unseen for look in looks)),
    )


def fresh(look: Look, alerts: Collection[Alert]) -> tuple[Finding, ...]:
    """Return what a look has found and no open alert tells."""
    known = {alert.key for alert in alerts if alert.over_on is None}
    return tuple({finding.key: finding for finding in look.findings if finding.key not in known}.values())


def ended(look: Look, alerts: Collection[Alert]) -> tuple[Alert, ...]:
    """Return the open alerts that are over by a look."""
    found = {finding.key for finding in look.findings}
    return tuple(a for a in alerts if a.over_on is None and a.key not in found and a.kind not in look.unseen)


def untold(alerts: Collection[Alert], connection: str, *, night: str) -> Iterator[Message]:
    """Yield what a connection has not been told yet: what is open, and what is over.

    What was raised and over before a message got through is one message, until a week after its end.

    Parameters
    ----------
    night : str
        The one that is looked at.
    """
    for alert in alerts:
        is_over, is_first = alert.over_on is not None, (connection, False) not in alert.told
        if (connection, True) in alert.told or not (is_over or is_first):
            continue
        if alert.over_on is None or not is_first or night <= partitions.shift(alert.over_on, LATE_NIGHTS):
            yield Message(alert, is_over, is_first)


def _unseen(kind: AlertKind) -> Look:
    return Look((), frozenset({kind}))


def _look_at_data(tonight: NightMetrics) -> Look:
    if tonight.data_quality.status == "unknown":
        return _unseen("data_incident")
    is_incident = tonight.data_quality.status == "incident"
    return Look((Finding("data_incident", tonight.data_quality.reasons),) if is_incident else ())


def _look_at_drift(asks: str | None, *, is_over: bool) -> Look:
    if asks is not None:
        return Look((Finding("drift", (asks,)),))
    return Look(()) if is_over else _unseen("drift")


def _look_at_performance(tonight: NightMetrics, asks: str | None, *, is_over: bool) -> Look:
    checks = fallen_checks(tonight)
    fallen = known_causes(checks) or tuple(map(tell_check, checks))
    if asks is not None:
        return Look((Finding("performance", fallen or (asks,)),))
    return Look(()) if is_over and any(map(_is_judged, tonight.checks)) else _unseen("performance")


def _is_judged(check: Check) -> bool:
    is_seen = check.threshold is not None and check.verdict != "unknown"
    return check.watch == "performance" and is_seen and check.name != ESTIMATED


def _look_at_serving(tonight: NightMetrics) -> Look:
    served = [check for check in tonight.checks if check.watch in ("latency", "traffic")]
    if not served:
        return _unseen("serving")
    slow = tuple(tell_check(check) for check in served if check.verdict == "breach")
    return Look((Finding("serving", slow),) if slow else ())
