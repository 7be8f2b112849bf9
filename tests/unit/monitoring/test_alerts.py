"""Which alerts a night raises, keeps and resolves, and what a connection is told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from include import partitions
from include.monitoring.alerts import (
    LATE_NIGHTS,
    Alert,
    Finding,
    Look,
    ended,
    fresh,
    limit_causes,
    look_at_approval,
    look_at_holes,
    look_at_night,
    look_at_training,
    untold,
)
from include.monitoring.check import Check
from include.monitoring.decision import decide
from include.monitoring.drift import measure_drift
from include.monitoring.missed_nights import Hole, MissedNight
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.triggers import find_triggers
from include.monitoring.untrained import UntrainedRetrain
from tests.unit.monitoring.nights import MONITORING, make_drift, make_ledger, make_night, make_nights, make_policy

TONIGHT = "2026-03-10"
NOW = datetime(2026, 3, 11, 6, tzinfo=UTC)
POLICY = make_policy()
FALLEN = Check("performance", "auc", 0.7, 0.8, "breach", low=0.68, high=0.72, current_rows=900)
SLOW = Check("latency", "p99_ms", 180.0, 100.0, "breach", low=170.0, high=190.0, current_rows=5_000)


def look(nights):
    asking = find_triggers(nights, POLICY, MONITORING, partition=TONIGHT, last_trained=None, event=None)
    return look_at_night(nights, list(asking), POLICY, MONITORING)


def kinds(found):
    return {finding.kind for finding in found.findings}


def with_checks(shifts, *checks):
    return [replace(night, checks=checks) for night in make_nights(TONIGHT, shifts)]


QUIET = [0, 0, 0, 0, 0]
FOUND = {
    "a quiet night": (make_nights(TONIGHT, QUIET), set()),
    "drift on too few nights": (make_nights(TONIGHT, [0, 0, 0, 2, 2]), set()),
    "drift that asks": (make_nights(TONIGHT, [0, 0, 2, 2, 2]), {"drift"}),
    "broken data": (make_nights(TONIGHT, [0, 0, 2, 2, 2], status="incident"), {"data_incident"}),
    "fallen performance": (with_checks(QUIET, FALLEN), {"performance"}),
    "a slow service": (with_checks(QUIET, SLOW), {"serving"}),
    "errors": (with_checks(QUIET, replace(SLOW, watch="traffic", name="error_share")), {"serving"}),
    "prediction drift alone": (with_checks(QUIET, replace(SLOW, watch="prediction_drift")), set()),
}


@pytest.mark.parametrize("case", FOUND)
def test_a_night_shows_what_a_person_should_know_and_nothing_else(case):
    nights, expected = FOUND[case]
    assert kinds(look(nights)) == expected


def test_an_alert_names_what_a_fall_is_of_where_somebody_looked():
    causes = ("what becomes of those with the same features has changed", "country=DE: AUC 0.71")
    checks = (FALLEN, replace(FALLEN, name="auc_7_nights", causes=causes))
    (finding,) = look(with_checks(QUIET, *checks)).findings
    assert finding.causes == causes


def alert(kind, *, about="churn", subject="", over_on=None, told=()):
    return Alert(1, about, kind, subject, "2026-03-01", ("why",), "hold: why", "http://x", over_on, frozenset(told))


def on_the_last(nights, **changes):
    return [*nights[:-1], replace(nights[-1], **changes)]


BROKEN = make_night(TONIGHT, status="incident").data_quality
UNKNOWN = replace(BROKEN, status="unknown")
OK_AUC = replace(FALLEN, value=0.85, verdict="ok")
KEPT = {
    "drift on a broken night": ("drift", on_the_last(make_nights(TONIGHT, QUIET), data_quality=BROKEN)),
    "drift on a night of few rows": ("drift", on_the_last(make_nights(TONIGHT, QUIET), rows=3)),
    "drift that is too rare to ask and still there": ("drift", make_nights(TONIGHT, [0, 0, 0, 0, 2])),
    "data of a night without any": ("data_incident", on_the_last(make_nights(TONIGHT, QUIET), data_quality=UNKNOWN)),
    "performance without labels": ("performance", make_nights(TONIGHT, QUIET)),
    "performance that is told and not judged": ("performance", with_checks(QUIET, replace(OK_AUC, threshold=None))),
    "performance that can't be measured": ("performance", with_checks(QUIET, replace(OK_AUC, verdict="unknown"))),
    "performance that is estimated alone": ("performance", with_checks(QUIET, replace(OK_AUC, name="estimated_auc"))),
    "a service that nobody asked": ("serving", make_nights(TONIGHT, QUIET)),
    "drift that asks though the last nights show none": ("drift", make_nights(TONIGHT, [2, 2, 2, 0, 0])),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_can_not_be_judged_is_not_over(case):
    kind, nights = KEPT[case]
    assert ended(look(nights), [alert(kind)]) == ()


OVER = {
    "drift": make_nights(TONIGHT, QUIET),
    "data_incident": make_nights(TONIGHT, QUIET),
    "performance": with_checks(QUIET, OK_AUC),
    "serving": with_checks(QUIET, replace(SLOW, verdict="ok")),
}


@pytest.mark.parametrize("kind", OVER)
def test_what_is_judged_and_gone_is_over(kind):
    assert ended(look(OVER[kind]), [alert(kind)]) == (alert(kind),)


def test_drift_that_asks_by_one_night_is_over_on_the_first_night_without_it():
    policy = make_policy(false_alarms=0.05)
    moved = replace(make_drift("f0"), ks=0.4, ks_error=0.0, independent_rows=2_000.0)
    was, tonight = make_nights(TONIGHT, [0, 0], version=3)
    was = replace(was, age=20, drift=(moved,), importance={"f0": 0.5})
    tonight = replace(tonight, age=21, drift=(replace(moved, ks=0.05),), importance={"f0": 0.5})
    before = [replace(was, partition=tonight.partition)]
    assert kinds(look_at_night(before, list(asking(before, policy)), policy, MONITORING)) == {"drift"}
    found = look_at_night([was, tonight], list(asking([was, tonight], policy)), policy, MONITORING)
    assert ended(found, [alert("drift")]) == (alert("drift"),)


def asking(nights, policy):
    return find_triggers(nights, policy, MONITORING, partition=TONIGHT, last_trained=None, event=None)


def test_what_an_open_alert_tells_is_not_raised_again_and_what_was_over_is():
    found = look(make_nights(TONIGHT, [2, 2, 2, 2, 2]))
    assert [f.kind for f in fresh(found, [])] == ["drift"]
    assert fresh(found, [alert("drift")]) == ()
    assert [f.kind for f in fresh(found, [alert("drift", over_on=TONIGHT)])] == ["drift"]


UNTRAINED = UntrainedRetrain("churn", "2026-03-08", "run-1", "train: connection postgresql://ada:secret@db is gone")


def training(untrained, hours):
    return look_at_training(untrained, decided_at=NOW - timedelta(hours=hours), now=NOW)


def test_a_training_that_came_to_nothing_is_told_without_its_errors_words():
    (found,) = training(UNTRAINED, 1).findings
    assert (found.dag_id, found.run_id) == ("train_model__churn", "run-1")
    assert "the task train ended it" in found.causes[0]
    assert "secret" not in str(found)


def test_a_training_that_is_silent_is_told_after_a_day_and_not_while_it_trains():
    silent = replace(UNTRAINED, why=None)
    assert kinds(training(silent, 25)) == {"training"}
    assert training(silent, 2) == Look((), frozenset({"training"}))
    assert ended(training(None, 2), [alert("training")]) != ()


def test_a_version_is_told_of_once_it_waited_for_a_day_and_its_successor_anew():
    staged = NOW - timedelta(hours=25)
    found = look_at_approval(3, staged_at=staged, now=NOW)
    assert kinds(found) == {"approval"}
    assert kinds(look_at_approval(3, staged_at=NOW - timedelta(hours=23), now=NOW)) == set()
    earlier = alert("approval", subject="version 2")
    assert ([f.subject for f in fresh(found, [earlier])], ended(found, [earlier])) == (["version 3"], (earlier,))


def test_missing_nights_are_one_alert_while_any_is_missing_without_anybodys_values():
    why = "the quality gate refused features/x (bounds of age: 3 (whole) to 7, allowed: 18 to 120); put that right"
    holes = [Hole("group", "x", MissedNight(night, "features", why)) for night in ("2026-03-01", "2026-03-02")]
    found = look_at_holes(holes)
    told = "group x: 2026-03-01 … 2026-03-02 were not built: the quality gate refused features/x; put that right"
    assert [finding.causes for finding in found.findings] == [(told,)]
    assert fresh(found, [alert("missing_nights")]) == ()
    assert ended(look_at_holes([]), [alert("missing_nights")]) == (alert("missing_nights"),)


def said(alerts):
    return [message.is_over for message in untold(alerts, "mail", night=TONIGHT)]


def test_each_connection_is_told_once_when_raised_and_once_when_over():
    begun = ("mail", False)
    assert said([alert("drift")]) == [False]
    assert said([alert("drift", told=[begun])]) == []
    assert said([alert("drift", told=[("chat", False)])]) == [False]
    assert said([alert("drift", over_on=TONIGHT, told=[begun])]) == [True]
    assert said([alert("drift", over_on=TONIGHT, told=[begun, ("mail", True)])]) == []


def test_what_began_and_ended_before_a_message_got_through_is_one_message_for_a_week():
    over = replace(alert("drift", over_on=TONIGHT), causes=("a",), decision="hold")
    (late,) = untold([over], "mail", night=partitions.shift(TONIGHT, LATE_NIGHTS))
    assert late.text.splitlines() == [
        f"[churn] over on {TONIGHT}: features have shifted for as many nights as ask for a retrain",
        f"it had been so since {over.since}; nothing of it had got through until now",
        "- a",
        "decided: hold",
        "http://x",
    ]
    assert said([replace(over, told=frozenset({("mail", True)}))]) == []
    assert list(untold([over], "mail", night=partitions.shift(TONIGHT, LATE_NIGHTS + 1))) == []


def test_a_message_names_three_causes_at_most_the_decision_and_the_run():
    raised = replace(alert("data_incident"), causes=("a", "b\nc", "d", "e"), decision="veto: a data\nincident")
    (message,) = untold([raised], "mail", night=TONIGHT)
    assert message.text.splitlines() == [
        "[churn] 2026-03-01: the night's data can't be trusted",
        "- a",
        "- b c",
        "- d and 1 cause more",
        "decided: veto: a data incident",
        "http://x",
    ]
    assert limit_causes(("a", "b", "c")) == ("a", "b", "c")
    over = replace(raised, over_on=TONIGHT, told=frozenset({("mail", False)}))
    (message,) = untold([over], "mail", night=TONIGHT)
    assert message.title == f"[churn] over on {TONIGHT}: the night's data can't be trusted"


def test_a_message_does_not_tell_the_ends_of_a_range_which_are_of_one_person_each():
    rng = np.random.default_rng(0)
    profile = build_reference_profile({"spend": rng.gamma(2.0, 100.0, 500)})
    window = {"spend": np.where(rng.random(500) < 0.06, 1e6, rng.gamma(2.0, 100.0, 500))}
    (drift,) = measure_drift(profile, window, min_rows=50, moderate=0.1, significant=0.2)
    ends = [f"{end:g}" for end in (profile.features[0].minimum, profile.features[0].maximum)]
    assert all(end in drift.reason for end in ends)
    (message,) = untold(
        [replace(alert("drift"), causes=(drift.reason,), decision=f"retrain: {drift.reason}")], "mail", night=TONIGHT
    )
    assert "lie beyond the reference's range, as did" in message.text
    assert not any(end in message.text for end in ends)


def test_a_finding_is_the_same_thing_whatever_its_causes():
    assert Finding("drift", ("a",)).key == Finding("drift", ("b",)).key


def test_what_hovers_around_its_threshold_is_one_decision_a_cooldown_and_one_alert():
    """Sixty nights, on six of ten of which features have shifted: raised once, never over, decided once a cooldown."""
    rng, open_alerts, raised, over, retrains = np.random.default_rng(4), [], 0, 0, []
    nights = make_nights("2026-03-31", [2 * int(each) for each in rng.random(60) < 0.6])
    for place, tonight in enumerate(nights):
        known = nights[: place + 1]
        ledger = make_ledger(retrain_partitions=tuple(retrains))
        if decide(known, POLICY, MONITORING, ledger, partition=tonight.partition).action == "retrain":
            retrains.append(tonight.partition)
        asking = find_triggers(
            known[-5:], POLICY, MONITORING, partition=tonight.partition, last_trained=None, event=None
        )
        found = look_at_night(known[-5:], list(asking), POLICY, MONITORING)
        over += len(gone := ended(found, open_alerts))
        new = fresh(found, open_alerts)
        raised += len(new)
        open_alerts = [each for each in open_alerts if each not in gone] + [alert(each.kind) for each in new]
    gaps = [partitions.days_between(first, second) for first, second in pairwise(retrains)]
    assert (len(retrains), min(gaps) >= POLICY.cooldown_days) == (4, True)
    assert (raised, over) == (1, 0)
