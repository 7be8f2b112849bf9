from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import partitions
from include.monitoring.backtest import (
    Backtest,
    Costs,
    play_hindsight,
    play_naive,
    play_never,
    play_policy,
    replace_policy,
    scheduled_only,
)
from include.monitoring.decision_facts import NightMetrics
from include.specs.model_sections import DecisionSpec
from tests.unit.monitoring.nights import MONITORING, make_nights, make_policy

END = "2026-12-31"
COSTS = Costs(retrain=1.0, degraded_day=0.2)


def played(nights: list[NightMetrics], policy: DecisionSpec, *changes: str) -> Backtest:
    trained = partitions.shift(nights[0].partition, -1)
    return play_policy("p", nights, policy, MONITORING, trained=trained, changes=changes, costs=COSTS)


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
    naive = play_naive(nights, make_policy(), MONITORING, changes=[change], costs=COSTS)
    assert late.days_to_detection == {change: 4}
    assert len(late.false_alarms) == 0
    assert naive.false_alarms == (nights[22].partition, nights[36].partition)
    assert naive.false_alarms_a_year == pytest.approx(2 / 40 * 365.25)


def test_a_month_is_retrained_once_whatever_was_measured() -> None:
    nights = shifts(60, 40, 10)
    found = played(nights, scheduled_only(make_policy()))
    assert [night[5:7] + night[8:] for night in found.retrains] == ["0930", "1031", "1130", "1231"]
    assert {night.trigger for night in found.nights} == {"none", "schedule"}


def test_a_change_that_nothing_notices_is_never_detected() -> None:
    nights = shifts(30, 0, 10)
    assert played(nights, make_policy(), nights[30].partition).days_to_detection == {nights[30].partition: None}


def test_without_a_known_change_nothing_is_called_false() -> None:
    found = played(shifts(10, 10, 0), make_policy())
    assert (found.false_alarms, found.false_alarms_a_year, found.days_to_detection) == ((), None, {})


def test_a_policy_is_checked_as_a_specs_is() -> None:
    with pytest.raises(ValueError, match=r"breaches=6 can't be above windows=5"):
        replace_policy(make_policy(), {"breaches": 6})


def cost_of(nights: list[NightMetrics], retrains: set[int], policy: DecisionSpec, costs: Costs) -> float:
    """Count what retrains on some nights cost, one night after another."""
    total, is_learned = 0.0, False
    for place, night in enumerate(nights):
        is_shifted = sum(drift.verdict == "significant" for drift in night.drift) >= policy.features_min
        is_learned = place in retrains or (is_learned and is_shifted)
        total += costs.retrain * (place in retrains) + costs.degraded_day * (is_shifted and not is_learned)
    return total


@given(st.lists(st.sampled_from([0, 0, 2]), min_size=1, max_size=9), st.sampled_from([0.1, 0.3, 1.0, 5.0]))
def test_no_choice_of_retrains_is_cheaper_than_the_best_in_hindsight(counts: list[int], price: float) -> None:
    nights, policy, costs = make_nights(END, counts), make_policy(), Costs(price, 0.2)
    every = (set(chosen) for size in range(len(nights) + 1) for chosen in combinations(range(len(nights)), size))
    best = min(cost_of(nights, chosen, policy, costs) for chosen in every)
    assert play_hindsight(nights, policy, changes=(), costs=costs).cost == pytest.approx(best)
    never = play_never(nights, policy, changes=(), costs=costs).cost
    assert never == pytest.approx(cost_of(nights, set(), policy, costs))
