from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import partitions
from include.errors import UsageError
from include.monitoring.check import Check
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision import Decision, decide
from include.monitoring.decision_facts import LedgerFacts, NightMetrics
from include.specs.model_sections import DecisionSpec
from tests.unit.monitoring.nights import MONITORING, make_drift, make_ledger, make_night, make_nights, make_policy

TONIGHT = "2011-09-20"


def decided(
    nights: list[NightMetrics],
    policy: DecisionSpec | None = None,
    ledger: LedgerFacts | None = None,
    partition: str = TONIGHT,
    event: str | None = None,
) -> Decision:
    return decide(
        nights, policy or make_policy(), MONITORING, ledger or make_ledger(), partition=partition, event=event
    )


def outcome(decision: Decision) -> tuple[str, str]:
    return decision.action, decision.trigger


def delivered(day: int, rows: int, verdict: str) -> NightMetrics:
    """Return a night on which everything has shifted, by how many rows were delivered."""
    status = "incident" if verdict == "breach" else "ok"
    check = Check("data_quality", "rows of orders delivered", None, None, verdict, current_rows=rows)
    return replace(make_night(f"2011-09-{day}", shifted=4, status=status), checks=(check,))


@pytest.mark.parametrize(
    ("before", "rows", "verdict", "action"),
    [
        ([delivered(19, 0, "breach")], 0, "unknown", "veto"),
        ([delivered(18, 0, "breach"), delivered(19, 0, "unknown")], 0, "unknown", "veto"),
        ([delivered(18, 0, "breach"), delivered(19, 900, "ok")], 0, "unknown", "retrain"),
        ([delivered(18, 0, "breach")], 0, "unknown", "retrain"),
        ([delivered(19, 0, "breach")], 900, "ok", "retrain"),
        ([delivered(19, 900, "ok")], 0, "unknown", "retrain"),
    ],
    ids=["the day after", "two days", "it was over", "a night is missing", "it is over", "there was none"],
)
def test_a_day_on_which_nothing_is_usual_and_nothing_comes_ends_no_incident(before, rows, verdict, action) -> None:
    policy = make_policy(schedule="0 0 20 9 *", windows=2, breaches=2)
    decision = decided([*before, delivered(20, rows, verdict)], policy)
    assert decision.action == action
    if action == "veto":
        assert f"incident of {before[0].partition} is not known to be over" in decision.reasons[0]


@pytest.mark.parametrize(
    ("shifts", "action"),
    [
        ([0, 0, 0, 0, 0], "hold"),
        ([0, 0, 0, 2, 2], "hold"),
        ([0, 0, 2, 2, 2], "retrain"),
        ([2, 0, 3, 0, 4], "retrain"),
        ([2, 2, 2, 0, 0], "retrain"),
        ([2, 2, 2, 0, 0, 0], "hold"),
        ([1, 1, 1, 1, 1], "hold"),
        ([2, 2, 2], "retrain"),
    ],
)
def test_drift_asks_when_enough_features_shift_on_enough_of_the_last_nights(shifts: list[int], action: str) -> None:
    assert decided(make_nights(TONIGHT, shifts)).action == action


def test_a_drift_decision_explains_itself_with_numbers() -> None:
    decision = decided(make_nights(TONIGHT, [0, 0, 2, 2, 2]))
    assert outcome(decision) == ("retrain", "drift")
    assert decision.reasons == (
        "3 of the last 5 nights showed a significant shift of at least 2 features holding 25% of the model, "
        "or any shift of one that holds it alone; 2011-09-20: f0 psi 0.310 > 0.2 (0.010 expected by chance), "
        "f1 psi 0.310 > 0.2 (0.010 expected by chance)",
    )


def test_a_shift_names_three_causes_at_most_first_those_that_the_model_rests_on() -> None:
    importance = {"f0": 0.1, "f1": 0.5, "f2": 0.4, "f3": 0.0}
    nights = [replace(night, importance=importance) for night in make_nights(TONIGHT, [4] * 5)]
    told = decided(nights).reasons[0]
    assert told.endswith(
        "f1 psi 0.310 > 0.2 (0.010 expected by chance, 50% of the model), "
        "f2 psi 0.310 > 0.2 (0.010 expected by chance, 40% of the model), "
        "f0 psi 0.310 > 0.2 (0.010 expected by chance, 10% of the model) and 1 feature more"
    )


@pytest.mark.parametrize(("shifted", "is_told"), [(2, True), (1, False)])
def test_a_shift_that_a_retrain_could_not_learn_yet_is_explained(shifted: int, is_told: bool) -> None:
    reasons = decided(make_nights(TONIGHT, [shifted]), ledger=make_ledger(newest_example="2011-07-20")).reasons
    assert is_told == any("version 1 was trained on examples up to 2011-07-20" in reason for reason in reasons)


BOUNDED = make_policy(false_alarms=0.05)


def surely_moved(*, ks: float, age: int | None = 200, importance: float = 0.5, psi: float = 0.02) -> NightMetrics:
    """Return a night of which one feature lies so far from the reference, as Kolmogorov and Smirnov measure it."""
    moved = replace(make_drift("f0", psi=psi), ks=ks, ks_error=0.0, independent_rows=2_000.0)
    night = replace(make_night(TONIGHT), age=age, importance={"f0": importance, "f1": 0.1})
    return replace(night, drift=(moved, *night.drift[1:]))


@pytest.mark.parametrize(
    ("nights", "action"),
    [
        ([surely_moved(ks=0.25)], "retrain"),
        ([surely_moved(ks=0.1)], "hold"),
        ([surely_moved(ks=0.1, psi=0.3)], "hold"),
        ([surely_moved(ks=0.25, importance=0.2)], "hold"),
        ([surely_moved(ks=0.25, age=None)], "hold"),
        ([replace(night, age=9) for night in make_nights(TONIGHT, [4] * 5)], "hold"),
    ],
    ids=["beyond", "within", "a verdict", "not rested on", "from before", "a verdict on each night"],
)
def test_where_false_alarms_are_bounded_one_night_asks_and_no_verdict_does(nights, action) -> None:
    assert decided(nights, BOUNDED).action == action
    assert decided(nights, make_policy(stop=True, false_alarms=0.05)).action == "veto"


def test_a_night_that_asks_by_itself_says_how_far_chance_reaches() -> None:
    decision = decided([surely_moved(ks=0.25)], BOUNDED)
    assert outcome(decision) == ("retrain", "drift")
    # Five features, night 200: sqrt(log(2 / 0.005) / 4000) + sqrt(log(2 * 40200 / 0.005) / 2000).
    assert decision.reasons == (
        "a shift of at least 2 features holding 25% of the model, or of one that holds it alone, is more than chance "
        "explains in all of the version's life, with 5% for any false alarm; 2011-09-20: f0 ks 0.250 > 0.130, the most "
        "that chance explains, 50% of the model",
    )
    quiet = decided([surely_moved(ks=0.1)], BOUNDED).reasons
    assert quiet == (
        "nothing asks for a retrain: no shift of at least 2 features holding 25% of the model, or of one that holds it "
        "alone, is more than chance explains in all of the version's life, with 5% for any false alarm",
    )


def test_a_policy_of_one_night_says_that_one_is_needed() -> None:
    assert decided(make_nights(TONIGHT, [0]), make_policy(windows=1, breaches=1)).reasons[0].endswith(", 1 needed")


def test_performance_asks_by_several_nights_also_where_drift_asks_by_one() -> None:
    fallen = Check("performance", "auc", 0.7, 0.8, "breach", low=0.68, high=0.72, current_rows=900)
    nights = [replace(night, checks=(fallen,), age=9) for night in make_nights(TONIGHT, [0] * 5)]
    assert outcome(decided(nights, BOUNDED)) == ("retrain", "performance")
    assert (
        decided(nights[-1:], BOUNDED).reasons[0].endswith("performance had fallen on 1 of the last 5 nights, 3 needed")
    )


def test_a_quiet_night_says_what_it_would_have_taken() -> None:
    assert decided(make_nights(TONIGHT, [0, 2, 0, 0, 0])).reasons == (
        "nothing asks for a retrain: 1 of the last 5 nights showed a significant shift of at least 2 features holding "
        "25% of the model, or any shift of one that holds it alone, 3 needed",
    )


def test_a_shift_of_the_score_is_no_feature() -> None:
    nights = [
        replace(n, drift=(make_drift("score", psi=0.5), make_drift("f", psi=0.3)))
        for n in make_nights(TONIGHT, [0] * 5)
    ]
    assert decided(nights).reasons == (
        "nothing asks for a retrain: 0 of the last 5 nights showed a significant shift of at least 2 features holding "
        "25% of the model, or any shift of one that holds it alone, 3 needed",
    )


def test_nights_with_incidents_are_no_evidence() -> None:
    nights = make_nights(TONIGHT, [2, 2, 2, 0, 0])
    nights[0] = make_night(nights[0].partition, shifted=2, status="incident")
    assert decided(nights).action == "hold"


def test_nights_with_too_few_rows_are_no_evidence() -> None:
    nights = make_nights(TONIGHT, [2, 2, 2, 0, 0])
    nights[0] = make_night(nights[0].partition, shifted=2, rows=199)
    assert decided(nights).action == "hold"


def test_nights_measured_against_an_older_version_are_no_evidence() -> None:
    before = make_nights("2011-09-17", [2, 2], version=1)
    assert decided([*before, *make_nights(TONIGHT, [2, 2, 2], version=2)]).action == "retrain"
    assert decided([*before, *make_nights(TONIGHT, [0, 0, 2], version=2)]).action == "hold"


def test_an_incident_tonight_is_a_veto_that_names_it() -> None:
    nights = [*make_nights("2011-09-19", [2, 2, 2, 2]), make_night(TONIGHT, shifted=4, status="incident")]
    decision = decided(nights, event="business event: new price list")
    assert outcome(decision) == ("veto", "none")
    assert decision.reasons[0] == "data incident, not a reason to retrain: f0 is missing in 40.0% of rows"


def test_the_stop_switch_is_a_veto_that_still_tells_what_asked() -> None:
    decision = decided(make_nights(TONIGHT, [2] * 5), make_policy(stop=True), event="business event: new price list")
    assert outcome(decision) == ("veto", "none")
    assert "stop switch" in decision.reasons[0]
    assert decision.reasons[1] == "business event: new price list"


@pytest.mark.parametrize(
    ("nights", "ledger", "reason"),
    [
        ([make_night(TONIGHT, rows=199)], make_ledger(), "199 rows were scored; fewer than 200 give no verdict"),
        ([make_night(TONIGHT, status="unknown")], make_ledger(), "the night's data can't be judged: no detail"),
        ([make_night("2011-09-19")], make_ledger(), "nothing was measured for 2011-09-20"),
        ([], make_ledger(), "nothing was measured for 2011-09-20"),
        ([make_night(TONIGHT)], make_ledger(production_version=None), "nothing in production to retrain"),
        (
            [make_night(TONIGHT)],
            make_ledger(retrain_partitions=("2011-09-10",)),
            "cooldown: the last retrain was 10 days ago; 4 days of 14 left",
        ),
        (
            [make_night(TONIGHT)],
            make_ledger(retrain_partitions=tuple(f"2011-07-0{day}" for day in range(1, 7))),
            "budget: 6 retrains in 90 days, 6 allowed",
        ),
        (
            [make_night(TONIGHT)],
            make_ledger(candidate_waiting=True),
            "a candidate waits for approval; approve or reject it first",
        ),
    ],
    ids=["few_rows", "unknown", "not_measured", "no_history", "no_model", "cooldown", "budget", "candidate"],
)
def test_an_event_has_to_wait(nights: list[NightMetrics], ledger: LedgerFacts, reason: str) -> None:
    decision = decided(nights, ledger=ledger, event="business event: new price list")
    assert outcome(decision) == ("hold", "none")
    assert decision.reasons[:2] == (reason, "business event: new price list")


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        ({"training_waiting": "2011-09-18"}, "the retrain that was decided on 2011-09-18 waits"),
        ({"candidate_waiting": True}, "a candidate waits for approval"),
    ],
)
@pytest.mark.parametrize(
    ("retrains", "status", "shifts"),
    [((), "ok", [2] * 5), (("2011-09-18",), "ok", [2] * 5), ((), "incident", [0] * 5)],
    ids=["alone", "in the cooldown", "on broken data"],
)
def test_what_waits_for_a_run_or_a_person_is_told_whatever_was_decided_and_nothing_acts_beside_it(
    waiting: dict[str, object], told: str, retrains: tuple[str, ...], status: str, shifts: list[int]
) -> None:
    decision = decided(
        make_nights(TONIGHT, shifts, status=status), ledger=make_ledger(retrain_partitions=retrains, **waiting)
    )
    assert decision.action != "retrain"
    assert [told in reason for reason in decision.reasons].count(True) == 1


def test_a_request_sees_the_retrain_of_its_own_night() -> None:
    ledger = make_ledger(retrain_partitions=(TONIGHT,))
    assert decided(make_nights(TONIGHT, [0]), ledger=ledger, event="event").action == "retrain"
    held = decided(make_nights(TONIGHT, [0]), ledger=replace(ledger, is_live=True), event="event")
    assert held.reasons[0].startswith("cooldown: the last retrain was 0 days ago")


def test_the_cooldown_ends_on_its_day() -> None:
    nights = make_nights(TONIGHT, [2] * 5)
    assert decided(nights, ledger=make_ledger(retrain_partitions=("2011-09-07",))).action == "hold"
    assert decided(nights, ledger=make_ledger(retrain_partitions=("2011-09-06",))).action == "retrain"


def test_a_night_long_ago_is_no_evidence_of_the_last_nights() -> None:
    nights = [make_night(partitions.shift(TONIGHT, -70), shifted=2), *make_nights(TONIGHT, [2, 2])]
    assert decided(nights).reasons[0].startswith("nothing asks for a retrain: 2 of the last 5 nights")
    nights.append(make_night(partitions.shift(TONIGHT, -4), shifted=2))
    assert decided(nights).action == "retrain"
    nights[-1] = make_night(partitions.shift(TONIGHT, -5), shifted=2)
    assert decided(nights).action == "hold"


@pytest.mark.parametrize(
    ("failed", "action"),
    [
        (("2011-09-19",), "retrain"),
        (("2011-09-18", "2011-09-19"), "hold"),
        (("2011-09-17", "2011-09-18"), "retrain"),
        (("2011-09-14", "2011-09-16", "2011-09-17"), "hold"),
        (("2011-09-13", "2011-09-15", "2011-09-16"), "retrain"),
        (tuple(f"2011-09-0{day}" for day in range(1, 7)), "hold"),
        (tuple(f"2011-09-0{day}" for day in range(1, 6)), "retrain"),
        ((TONIGHT, "2011-09-21"), "retrain"),
    ],
)
def test_a_training_that_came_to_nothing_is_tried_again_and_each_time_twice_as_late(
    failed: tuple[str, ...], action: str
) -> None:
    decision = decided(make_nights(TONIGHT, [2] * 5), ledger=make_ledger(failed_partitions=failed))
    assert decision.action == action
    assert (action == "retrain") != ("came to nothing" in decision.reasons[0])


@pytest.mark.parametrize(
    ("refused", "policy", "action"),
    [
        (("2011-09-14",), {}, "hold"),
        (("2011-09-13",), {}, "retrain"),
        (("2011-08-01", "2011-09-07"), {}, "hold"),
        (("2011-08-01", "2011-09-06"), {}, "retrain"),
        (("2011-07-01", "2011-08-01", "2011-09-05"), {}, "retrain"),
        (("2011-09-17",), {"cooldown_days": 0, "budget_per_90_days": 30}, "retrain"),
        (("2011-09-18",), {"cooldown_days": 0, "budget_per_90_days": 30}, "hold"),
    ],
)
def test_a_refused_version_spends_no_cooldown_and_is_not_tried_again_each_night(
    refused: tuple[str, ...], policy: dict[str, int], action: str
) -> None:
    ledger = make_ledger(refused_partitions=refused)
    decision = decided(make_nights(TONIGHT, [2] * 5), make_policy(**policy), ledger=ledger)
    assert decision.action == action
    assert (action == "hold") == ("a version that its gates refused" in decision.reasons[0])


def _fallen(verdict: str = "breach") -> Check:
    return Check("performance", "auc", 0.71, 0.8, verdict, low=0.68, high=0.74, reference=0.84, current_rows=900)


@pytest.mark.parametrize(
    ("fallen", "action"), [((0, 1, 2), "retrain"), ((0, 2, 4), "retrain"), ((0, 1), "hold"), ((0, 1, 5), "hold")]
)
def test_performance_asks_when_it_had_fallen_on_enough_of_the_last_nights(fallen: tuple[int, ...], action: str) -> None:
    nights = make_nights(TONIGHT, [0] * 8)
    nights = [replace(n, checks=(_fallen("breach" if 7 - i in fallen else "ok"),)) for i, n in enumerate(nights)]
    decision = decided(nights)
    assert outcome(decision) == (action, "performance" if action == "retrain" else "none")
    assert ("auc 0.710 [0.680, 0.740] against 0.8 of 900 rows" in decision.reasons[0]) == (action == "retrain")
    assert ("no shift of that night counts: what becomes of those with the same features" in decision.reasons[0]) == (
        action == "retrain"
    )
    assert f"performance had fallen on {sum(age < 5 for age in fallen)} of the last 5 nights" in decision.reasons[0]


def test_a_fall_of_performance_beside_a_shift_names_it() -> None:
    nights = [replace(night, checks=(_fallen(),)) for night in make_nights(TONIGHT, [2] * 5)]
    decision = decided(nights)
    assert outcome(decision) == ("retrain", "performance")
    assert "who is scored has changed too: f0 psi 0.310" in decision.reasons[0]
    assert decision.reasons[1].startswith("5 of the last 5 nights showed a significant shift")


@pytest.mark.parametrize(
    ("shifted", "said"),
    [(0, "no shift of that night counts by itself"), (2, "f0 psi 0.310")],
    ids=["none-shifted", "shifted"],
)
def test_an_estimated_fall_is_of_who_is_scored_as_an_estimate_sees_nothing_else(shifted: int, said: str) -> None:
    estimated, both = replace(_fallen(), name="estimated_auc"), make_nights(TONIGHT, [shifted] * 3)
    nights = [replace(night, checks=(estimated, *([_fallen()] if night is both[0] else ()))) for night in both]
    decision = decided(nights)
    assert outcome(decision) == ("retrain", "performance")
    assert decision.reasons[0].startswith(
        "performance had fallen on 3 of the last 5 nights, on 2 by an estimate alone; "
    )
    assert f"an estimate tells a fall by who is scored alone: {said}" in decision.reasons[0]
    assert "what becomes of those" not in decision.reasons[0]


def test_a_fall_whose_causes_are_known_tells_them_and_no_more_than_three_checks() -> None:
    checks = [replace(_fallen(), name=f"auc_{n}") for n in range(5)]
    checks[2] = replace(
        checks[2], causes=("what becomes of those with the same features has changed", "country=DE: AUC 0.71")
    )
    nights = [replace(night, checks=tuple(checks)) for night in make_nights(TONIGHT, [2] * 5)]
    told = decided(nights).reasons[0]
    assert told.endswith(
        "; and 2 checks more; what becomes of those with the same features has changed; country=DE: AUC 0.71"
    )
    assert [f"auc_{n} 0.710" in told for n in range(5)] == [True, True, True, False, False]


@pytest.mark.parametrize("watch", ["prediction_drift", "latency", "traffic"])
def test_what_a_new_model_would_not_mend_is_told_and_asks_for_none(watch: str) -> None:
    slow = Check(watch, "p99_ms", 140.0, 100.0, "breach", current_rows=5_000)
    nights = [replace(night, checks=(slow,)) for night in make_nights(TONIGHT, [0] * 5)]
    decision = decided(nights)
    assert decision.action == "hold"
    assert decision.reasons[1] == f"{watch.replace('_', ' ')}: p99_ms 140.000 against 100 of 5000 rows"


def test_a_retrain_leaves_the_budget_after_ninety_days() -> None:
    nights, policy = make_nights(TONIGHT, [2] * 5), make_policy(budget_per_90_days=1)
    recent, old = partitions.shift(TONIGHT, -89), partitions.shift(TONIGHT, -90)
    assert decided(nights, policy, make_ledger(retrain_partitions=(recent,))).action == "hold"
    assert decided(nights, policy, make_ledger(retrain_partitions=(old,))).action == "retrain"


def test_a_replay_sees_neither_its_own_retrain_nor_later_ones() -> None:
    nights = make_nights(TONIGHT, [2] * 5)
    ledger = make_ledger(retrain_partitions=(TONIGHT, "2011-10-05"))
    assert decided(nights, ledger=ledger) == decided(nights)


@pytest.mark.parametrize(
    ("last_trained", "partition", "action"),
    [
        ("2011-08-31", "2011-09-29", "hold"),
        ("2011-08-31", "2011-09-30", "retrain"),  # 2011-10-01 00:00Z is the end of the last September day
        ("2011-09-30", "2011-10-30", "hold"),  # the fire at the end of the training's own day is behind it
        ("2011-09-30", "2011-11-05", "retrain"),  # a missed fire is made good
        ("2011-12-01", "2011-10-31", "hold"),  # trained later: a replay
        (None, "2011-09-30", "retrain"),
        (None, "2011-10-15", "hold"),
    ],
)
def test_the_monthly_schedule_is_due_once(last_trained: str | None, partition: str, action: str) -> None:
    decision = decided(
        [make_night(partition)],
        make_policy(schedule="0 0 1 * *"),
        make_ledger(last_trained_partition=last_trained),
        partition=partition,
    )
    assert outcome(decision) == (action, "schedule" if action == "retrain" else "none")


def test_a_schedule_in_the_middle_of_a_day_is_due_on_that_day() -> None:
    policy, ledger = make_policy(schedule="30 13 * * 1"), make_ledger(last_trained_partition="2011-09-13")
    monday, sunday = "2011-09-19", "2011-09-18"
    assert decided([make_night(monday)], policy, ledger, partition=monday).action == "retrain"
    assert decided([make_night(sunday)], policy, ledger, partition=sunday).action == "hold"


def test_event_goes_before_drift_and_drift_before_schedule() -> None:
    nights = make_nights("2011-09-30", [2] * 5)
    policy = make_policy(schedule="0 0 1 * *")
    both = decided(nights, policy, partition="2011-09-30")
    assert outcome(both) == ("retrain", "drift")
    assert len(both.reasons) == 2
    assert outcome(decided(nights, policy, partition="2011-09-30", event="merger")) == ("retrain", "event")


def test_a_night_that_stands_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="2011-09-20 twice"):
        decided([make_night(TONIGHT), make_night(TONIGHT, shifted=2)])


_nights = st.lists(
    st.builds(
        make_night,
        st.integers(-12, 6).map(lambda days: partitions.shift(TONIGHT, days)),
        shifted=st.integers(0, 4),
        status=st.sampled_from(["ok", "ok", "ok", "incident", "unknown"]),
        rows=st.sampled_from([1_000, 1_000, 1_000, 50]),
        version=st.sampled_from([1, 1, 1, 2]),
    ),
    unique_by=lambda night: night.partition,
    max_size=15,
)
_policies = st.builds(
    make_policy,
    schedule=st.sampled_from([None, "0 0 1 * *", "0 0 * * 1"]),
    breaches=st.integers(1, 3),
    windows=st.integers(3, 8),
    features_min=st.integers(1, 3),
    cooldown_days=st.integers(0, 20),
)
_ledgers = st.builds(
    make_ledger,
    production_version=st.sampled_from([1, 1, 1, None]),
    last_trained_partition=st.sampled_from([None, "2011-08-31", "2011-09-18"]),
    retrain_partitions=st.lists(st.sampled_from(["2011-07-01", "2011-09-01", "2011-09-12"]), unique=True).map(tuple),
)
_events = st.sampled_from([None, None, "new price list"])


@given(_nights, _policies, _ledgers, _events, st.randoms())
def test_the_order_of_the_history_is_of_no_account(nights, policy, ledger, event, random) -> None:
    shuffled = random.sample(nights, len(nights))
    assert decided(shuffled, policy, ledger, event=event) == decided(nights, policy, ledger, event=event)


@given(_nights, _policies, _ledgers, _events)
def test_later_nights_do_not_matter(nights, policy, ledger, event) -> None:
    until = [night for night in nights if night.partition <= TONIGHT]
    assert decided(nights, policy, ledger, event=event) == decided(until, policy, ledger, event=event)


@given(_nights, _policies, _ledgers, _events, st.data())
def test_a_further_incident_never_starts_a_retrain(nights, policy, ledger, event, data) -> None:
    if nights:
        index = data.draw(st.integers(0, len(nights) - 1))
        worse = list(nights)
        worse[index] = replace(nights[index], data_quality=DataQuality("incident", ("broken",)))
        if decided(nights, policy, ledger, event=event).action != "retrain":
            assert decided(worse, policy, ledger, event=event).action != "retrain"


@given(_nights, _policies, _ledgers, _events)
def test_the_stop_switch_always_vetoes(nights, policy, ledger, event) -> None:
    stopped = policy.model_copy(update={"stop": True})
    assert decided(nights, stopped, ledger, event=event).action == "veto"


@pytest.mark.parametrize(
    ("psi", "importance", "action"),
    [(0.12, 0.25, "retrain"), (0.12, 0.24, "hold"), (0.09, 0.9, "hold"), (0.3, 0.25, "retrain"), (0.3, 0.1, "hold")],
)
def test_one_feature_that_the_model_rests_on_counts_alone(psi: float, importance: float, action: str) -> None:
    drift = (make_drift("f0", psi=psi), make_drift("f1"), make_drift("score", psi=0.5))
    shares = {"f0": importance, "score": 1.0}
    nights = [replace(night, drift=drift, importance=shares) for night in make_nights(TONIGHT, [0] * 5)]
    assert decided(nights).action == action


@pytest.mark.parametrize(("share", "action"), [(0.125, "retrain"), (0.12, "hold")])
def test_features_that_the_model_hardly_uses_do_not_count_together(share: float, action: str) -> None:
    shares = {"f0": share, "f1": share, "f2": 1 - 2 * share}
    nights = [replace(night, importance=shares) for night in make_nights(TONIGHT, [2] * 5)]
    assert decided(nights).action == action


def test_a_shift_of_a_feature_whose_reference_lacks_history_is_told_and_asks_for_nothing() -> None:
    nights = [replace(night, young={"f0": 20, "f3": 90}) for night in make_nights(TONIGHT, [2] * 5)]
    decision = decided(nights)
    assert decision.action == "hold"
    assert decision.reasons[0].startswith("nothing asks for a retrain: 0 of the last 5 nights")
    assert decision.reasons[1].startswith("a shift of f0 asks for nothing: ")
    assert decision.reasons[1].endswith("by 20 days at most")


@given(_nights, _policies, _ledgers)
def test_asking_for_more_evidence_never_starts_a_retrain(nights, policy, ledger) -> None:
    if decided(nights, policy, ledger).action != "retrain":
        for changes in ({"breaches": policy.breaches + 1}, {"features_min": policy.features_min + 1}):
            stricter = policy.model_copy(update=changes)
            assert decided(nights, stricter, ledger).action != "retrain"


@given(_nights, _policies, _ledgers)
def test_looking_further_back_never_stops_a_retrain(nights, policy, ledger) -> None:
    if decided(nights, policy, ledger).action == "retrain":
        wider = policy.model_copy(update={"windows": policy.windows + 1})
        assert decided(nights, wider, ledger).action == "retrain"


@given(_nights, _policies, _ledgers, _events)
def test_every_decision_has_a_reason_and_only_a_retrain_a_trigger(nights, policy, ledger, event) -> None:
    decision = decided(nights, policy, ledger, event=event)
    assert decision.reasons
    assert (decision.trigger != "none") == (decision.action == "retrain")
