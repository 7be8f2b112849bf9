from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import partitions
from include.monitoring.backtest import (
    Backtest,
    Costs,
    Yardstick,
    play_hindsight,
    play_naive,
    play_never,
    play_policy,
    replace_policy,
    scheduled_only,
)
from include.monitoring.check import Check
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.estimated_performance import ESTIMATED
from include.specs.model_sections import DecisionSpec
from tests.unit.monitoring.nights import MONITORING, make_nights, make_policy

END = "2026-12-31"
COSTS = Costs(retrain=1.0, degraded_day=0.2)


def yardstick(*changes: str, costs: Costs = COSTS) -> Yardstick:
    return Yardstick(make_policy(), MONITORING, changes, costs)


def played(nights: list[NightMetrics], policy: DecisionSpec, *changes: str) -> Backtest:
    trained = partitions.shift(nights[0].partition, -1)
    return play_policy("p", nights, policy, yardstick(*changes), trained=trained)


def shifts(quiet: int, shifted: int, after: int) -> list[NightMetrics]:
    return make_nights(END, [0] * quiet + [2] * shifted + [0] * after)


def test_a_shift_is_noticed_on_the_third_of_its_days_and_retrained_once_a_cooldown() -> None:
    nights = shifts(100, 40, 10)
    change = nights[100].partition
    found = played(nights, make_policy(), change)
    assert found.days_to_detection == {change: 2}
    assert found.retrains == tuple(nights[100 + day].partition for day in (2, 16, 30))
    assert (found.false_alarms, found.false_alarms_a_year) == ((), 0.0)
    assert found.degraded_days == 2
    assert found.cost == pytest.approx(3 * 1.0 + 2 * 0.2)


def test_a_stricter_policy_is_later_and_a_naive_one_alarms_on_one_feature() -> None:
    nights = make_nights(END, [0] * 20 + [1] * 20 + [2] * 20)
    change = nights[40].partition
    late = played(nights, make_policy(breaches=5), change)
    naive = play_naive(nights, yardstick(change))
    assert late.days_to_detection == {change: 4}
    assert len(late.false_alarms) == 0
    assert naive.false_alarms == (nights[22].partition, nights[36].partition)
    assert naive.false_alarms_a_year == pytest.approx(2 / 40 * 365.25)


def test_the_score_is_no_feature_whose_psi_is_watched() -> None:
    nights = make_nights(END, [0] * 5, score_psi=0.9)
    assert play_naive(nights, yardstick()).retrains == ()


def test_a_month_is_retrained_once_whatever_was_measured() -> None:
    nights = shifts(60, 40, 10)
    found = played(nights, scheduled_only(make_policy()))
    assert [night[5:7] + night[8:] for night in found.retrains] == ["0930", "1031", "1130", "1231"]
    assert {night.trigger for night in found.nights} == {"none", "schedule"}


@pytest.mark.parametrize("blind", [{"features_min": 9, "importance_min": 1.0}, None], ids=["to_features", "to_all"])
def test_a_policy_that_sees_no_shift_loses_by_it_what_any_other_does(blind: dict[str, object] | None) -> None:
    nights = shifts(5, 8, 5)
    policy = scheduled_only(make_policy()) if blind is None else make_policy(**blind)
    assert played(nights, replace_policy(policy, {"schedule": None})).degraded_days == 8


BROKEN = DataQuality("incident", ("price_eur is 100 times what is usual",))


@pytest.mark.parametrize("broken", [{"data_quality": BROKEN}, {"rows": 9}], ids=["incident", "few_rows"])
def test_a_night_that_can_not_be_judged_is_no_shift_and_ends_none(broken: dict[str, object]) -> None:
    nights = shifts(3, 8, 3)
    nights[0] = replace(shifts(0, 1, 13)[0], **broken)
    nights[6] = replace(nights[6], drift=nights[1].drift, **broken)
    never, best = (play(nights, yardstick(costs=Costs(1.0, 2.0))) for play in (play_never, play_hindsight))
    assert never.degraded_days == 7
    assert best.retrains == (nights[3].partition,)


def test_a_change_that_nothing_notices_is_never_detected() -> None:
    nights = shifts(30, 0, 10)
    assert played(nights, make_policy(), nights[30].partition).days_to_detection == {nights[30].partition: None}


def test_without_a_known_change_nothing_is_called_false() -> None:
    found = played(shifts(10, 10, 0), make_policy())
    assert (found.false_alarms, found.false_alarms_a_year, found.days_to_detection) == ((), None, {})


def test_a_policy_is_checked_as_a_specs_is() -> None:
    with pytest.raises(ValueError, match=r"breaches=6 can't be above windows=5"):
        replace_policy(make_policy(), {"breaches": 6})


def fallen(night: NightMetrics, points: float) -> NightMetrics:
    """A night that tells a fall of so many hundredths over 28 nights, and others over the newest and in a slice."""
    figures = {
        "auc": (0.6, 100),
        "auc_28_nights": (0.8 - points / 100, 2_800),
        "auc_28_nights[country=DE]": (0.5, 2_900),
    }
    checks = (
        Check("performance", name, value, 0.76, "breach", reference=0.8, current_rows=rows)
        for name, (value, rows) in figures.items()
    )
    return replace(night, checks=tuple(checks))


def test_a_known_fall_costs_what_its_points_do_and_a_shift_alone_a_days_price() -> None:
    quiet, shifted = shifts(1, 1, 0)
    costs = Costs(retrain=100.0, degraded_day=7.0, lost_point=2.5)
    nights = [quiet, shifted, *(fallen(night, 6) for night in make_nights("2027-01-02", [0, 2]))]
    never = play_never(nights, yardstick(costs=costs))
    assert [night.loss for night in never.nights] == pytest.approx([0, 7, 15, 15])
    assert (never.loss, never.cost) == (pytest.approx(37), pytest.approx(37))
    priced_by_day = play_never(nights, yardstick(costs=Costs(100.0, 7.0)))
    assert [night.loss for night in priced_by_day.nights] == [0, 7, 7, 7]


def test_a_fall_that_is_only_estimated_costs_a_days_price_as_no_label_tells_it() -> None:
    costs = Costs(retrain=100.0, degraded_day=7.0, lost_point=2.5)
    estimate = Check("performance", ESTIMATED, 0.5, 0.76, "breach", reference=0.8, current_rows=9_000)
    night, told = make_nights(END, [0, 0])
    told = fallen(told, 6)
    nights = [replace(night, checks=(estimate,)), replace(told, checks=(*told.checks, estimate))]
    assert [each.loss for each in play_never(nights, yardstick(costs=costs)).nights] == pytest.approx([7, 15])


def cost_of(nights: list[NightMetrics], retrains: set[int], policy: DecisionSpec, costs: Costs) -> float:
    """Count what retrains on some nights cost, one night after another."""
    total, is_learned = 0.0, False
    for place, night in enumerate(nights):
        is_told = night.data_quality.status == "ok"
        is_shifted = bool(night.checks) or sum(d.verdict == "significant" for d in night.drift) >= policy.features_min
        is_learned = place in retrains or (is_learned and (is_shifted or not is_told))
        total += costs.retrain * (place in retrains) + costs.of_day(night) * (is_told and is_shifted and not is_learned)
    return total


@given(st.lists(st.sampled_from([0, 0, 2, 7, -5, -9]), min_size=1, max_size=9), st.sampled_from([0.1, 0.3, 1.0, 5.0]))
def test_no_choice_of_retrains_is_cheaper_than_the_best_in_hindsight(kinds: list[int], price: float) -> None:
    """Nights on which nothing has happened, features have shifted, data is broken, or performance has fallen."""
    nights, policy, costs = make_nights(END, [max(kind, 0) for kind in kinds]), make_policy(), Costs(price, 0.2, 0.1)
    nights = [fallen(night, -kind) if kind < 0 else night for night, kind in zip(nights, kinds, strict=True)]
    nights = [replace(n, data_quality=BROKEN) if kind == 7 else n for n, kind in zip(nights, kinds, strict=True)]
    every = (set(chosen) for size in range(len(nights) + 1) for chosen in combinations(range(len(nights)), size))
    best = min(cost_of(nights, chosen, policy, costs) for chosen in every)
    assert play_hindsight(nights, yardstick(costs=costs)).cost == pytest.approx(best)
    never = play_never(nights, yardstick(costs=costs)).cost
    assert never == pytest.approx(cost_of(nights, set(), policy, costs))
    others = [played(nights, other) for other in (make_policy(breaches=1, cooldown_days=0), scheduled_only(policy))]
    assert all(other.cost >= play_hindsight(nights, yardstick()).cost - 1e-9 for other in others)
