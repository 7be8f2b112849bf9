"""The champion's gate: the lower end of the interval decides, by what asked for the training."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.governance.gate import CandidateFacts, ChampionFacts
from include.governance.gates.champion import MIN_ENTITIES, judge_champion
from include.specs.model_sections import BinaryGatesSpec
from include.training.comparison import PairedDifference

GATES = BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50, champion_margin=0.02, scheduled_gain=0)
FOUND = PairedDifference("AUC", 0.84, 0.83, -0.005, 0.025, 900, 120)


def judge(asked_by="drift", gates=GATES, seen=0, **found):
    facts = ChampionFacts(3, asked_by, replace(FOUND, **found), seen=seen)
    return judge_champion(CandidateFacts(champion=facts), gates)


@pytest.mark.parametrize("asked_by", ["drift", "performance", "event", None])
@pytest.mark.parametrize(("low", "verdict"), [(-0.0199, "pass"), (-0.02, "fail"), (-0.05, "fail"), (0.01, "pass")])
def test_one_that_the_schedule_did_not_ask_for_must_be_worse_by_less_than_the_margin(asked_by, low, verdict):
    report = judge(asked_by, low=low)
    assert (report.verdict, report.value, report.threshold) == (verdict, low, -0.02)


@pytest.mark.parametrize(("low", "verdict"), [(0.0001, "pass"), (0.0, "fail"), (-0.0199, "fail")])
def test_one_that_the_schedule_asked_for_must_be_better_and_a_higher_number_alone_is_not(low, verdict):
    report = judge("schedule", low=low)
    assert FOUND.difference > 0
    assert (report.verdict, report.value, report.threshold) == (verdict, low, 0.0)


def test_what_the_schedule_must_gain_is_the_specs():
    gates = GATES.model_copy(update={"scheduled_gain": -0.01})
    assert [judge("schedule", gates, low=low).verdict for low in (-0.009, -0.01)] == ["pass", "fail"]


def test_the_reason_tells_both_numbers_the_interval_the_rows_the_version_and_what_asked():
    assert judge("schedule", seen=40).reason == (
        "AUC 0.8400, version 3 in Production has 0.8300 on the same 900 rows, 40 more left out, whose time is that of "
        "labels it was fitted on; difference +0.0100, 95 % interval [-0.0050, +0.0250]; the schedule asked, so that it "
        "must be better: -0.0050 ≤ +0.0000, which these rows do not show"
    )
    assert judge("drift").reason.endswith("; drift asked, so that it must not be worse by 0.02: -0.0050 > -0.0200")
    assert judge(None).reason.endswith("; who asked is not on record, so that it must not be worse by 0.02: "
                                       "-0.0050 > -0.0200")  # fmt: skip


def test_a_version_that_answers_another_question_is_told_of():
    facts = ChampionFacts(3, "drift", FOUND, fitted_to="no_order (horizon_days=60) of those with true")
    told = (
        "version 3 in Production, which was fitted to tell no_order (horizon_days=60) of those with true, has 0.8300 on"
    )
    assert told in judge_champion(CandidateFacts(champion=facts), GATES).reason


def test_one_that_is_worse_is_told_from_one_of_which_nothing_is_known():
    assert judge(candidate=0.7, low=-0.2, high=-0.06).reason.endswith(", and it is worse")
    assert judge(low=-0.2, high=0.2).reason.endswith(", which these rows do not show")


@pytest.mark.parametrize("asked_by", ["drift", "schedule"])
def test_an_interval_of_few_entities_is_unknown_whatever_it_says(asked_by):
    few = {"low": 0.5, "high": 0.5, "entities": MIN_ENTITIES - 1}
    assert judge(asked_by, **few).verdict == "unknown"
    assert judge(asked_by, **{**few, "entities": MIN_ENTITIES}).verdict == "pass"


def test_without_a_version_in_production_there_is_nothing_to_compare_with():
    report = judge_champion(CandidateFacts(champion=ChampionFacts()), GATES)
    assert (report.verdict, report.value, report.threshold) == ("not_applicable", None, None)


def test_what_could_not_be_compared_is_unknown_with_the_reason():
    report = judge_champion(CandidateFacts(champion=ChampionFacts(3, "drift", why_not="its files are gone")), GATES)
    assert (report.verdict, report.threshold) == ("unknown", -0.02)
    assert report.reason == "can't be compared with version 3 in Production: its files are gone"
