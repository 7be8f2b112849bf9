"""The process against MBG/NBD's closed forms, within sampling error: `STANDARD_ERRORS` of what the sum of so many
independent customers may be off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta, gamma, kstest

from include import partitions
from include.simulation.purchases import PurchaseProcess
from include.simulation.world import World
from tests.posterior import ShopClock
from tests.unit.simulation.closed_forms import SEEDS, STANDARD_ERRORS, has_left, mean_repeats, no_repeat

START, END = "2024-04-13", "2025-05-17"
DAYS = partitions.span(START, END)
WORLD = replace(World(), arrivals_per_day=150.0)
# Of a Kolmogorov-Smirnov test: as rare as four standard errors.
P_MIN = 6e-5


@dataclass
class Played:
    """The orders of a shop, in the order of the days; `placed` and `end` in operational time."""

    process: PurchaseProcess
    customer: NDArray[np.int64]
    day: NDArray[np.int64]
    second: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    placed: NDArray[np.float64]
    end: float

    @property
    def first_placed(self) -> NDArray[np.float64]:
        """By customer: a customer's first order is where it is said to be."""
        times = np.full(len(self.process.rate), np.nan)
        times[self.customer[self.is_first]] = self.placed[self.is_first]
        return times

    @property
    def repeats(self) -> NDArray[np.int64]:
        return np.bincount(self.customer[~self.is_first], minlength=len(self.process.rate))


def play(seed: int, *, world: World = WORLD, days: list[str] = DAYS, **incident: float) -> Played:
    """Let days pass; `incident` is what next_day takes beside."""
    rng = np.random.default_rng(seed)
    process = PurchaseProcess(world)
    passed = [process.next_day(world.season(partitions.parse(day)), rng, **incident) for day in days]
    clock = ShopClock(world, start=days[0], end=days[-1])
    customer, second, is_first = (
        np.concatenate([getattr(one, name) for one in passed]) for name in ("customer", "second", "is_first")
    )
    day = np.repeat(np.arange(len(days)), [len(one.customer) for one in passed])
    placed = clock.at(np.datetime64(days[0], "us") + (day * 86_400 + second) * np.timedelta64(1, "s"))
    end = clock.at_start_of(days[-1]) + world.season(partitions.parse(days[-1]))
    return Played(process, customer, day, second, is_first, placed, end)


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def shop(request: pytest.FixtureRequest) -> Played:
    return play(request.param)


def cohorts(shop: Played) -> list[NDArray[np.bool_]]:
    """Customers by when they came: any time, and each quarter of the days."""
    day = shop.process.arrived_day
    edges = np.linspace(0, len(DAYS), 5)
    return [day >= 0, *((low <= day) & (day < high) for low, high in pairwise(edges))]


def standard_errors_off(
    observed: NDArray[np.float64], expected: NDArray[np.float64], variance: NDArray[np.float64]
) -> float:
    """Return how many standard errors the sum of independent observations is off its expectation."""
    return float(abs(np.sum(observed - expected)) / np.sqrt(np.sum(variance)))


def test_rates_are_gamma_over_customers(shop):
    assert kstest(shop.process.rate, gamma(WORLD.rate_shape, scale=1 / WORLD.rate_scale_days).cdf).pvalue > P_MIN


def test_the_mean_rate_is_the_worlds(shop):
    error = np.sqrt(WORLD.rate_shape / len(shop.process.rate)) / WORLD.rate_scale_days
    assert abs(shop.process.rate.mean() - WORLD.rate_shape / WORLD.rate_scale_days) < STANDARD_ERRORS * error


def test_drop_out_is_beta_over_customers_and_tells_nothing_of_the_rate(shop):
    process = shop.process
    assert kstest(process.dropout, beta(WORLD.dropout_a, WORLD.dropout_b).cdf).pvalue > P_MIN
    ranks = [np.argsort(np.argsort(values)) for values in (process.rate, process.dropout)]
    # A rank correlation of n independent pairs has a variance of 1 / (n - 1).
    assert abs(np.corrcoef(*ranks)[0, 1]) * np.sqrt(len(process.rate) - 1) < STANDARD_ERRORS


def test_so_many_never_come_back_as_the_model_says(shop):
    left = shop.end - shop.first_placed
    for cohort in cohorts(shop):
        expected = no_repeat(WORLD, left[cohort])
        assert cohort.sum() > 10_000
        off = standard_errors_off(shop.repeats[cohort] == 0, expected, expected * (1 - expected))
        assert off < STANDARD_ERRORS


def test_so_many_orders_follow_the_first_as_the_model_says(shop):
    left = shop.end - shop.first_placed
    for cohort in cohorts(shop):
        expected, repeats = mean_repeats(WORLD, left[cohort]), shop.repeats[cohort]
        assert standard_errors_off(repeats, expected, (repeats - expected) ** 2) < STANDARD_ERRORS


def test_so_many_have_left_as_the_model_says(shop):
    left = shop.end - shop.first_placed
    for cohort in cohorts(shop):
        expected = has_left(WORLD, left[cohort])
        gone = shop.process.dropped_day[cohort] >= 0
        assert standard_errors_off(gone, expected, expected * (1 - expected)) < STANDARD_ERRORS


def test_the_claims_above_would_see_a_drop_out_that_spares_the_first_order(shop):
    """BG/NBD's: who has not come back can't have left. Its expectations are refused by the same measure."""
    left = shop.end - shop.first_placed
    spared = (WORLD.rate_scale_days / (WORLD.rate_scale_days + left)) ** WORLD.rate_shape
    assert standard_errors_off(shop.repeats == 0, spared, spared * (1 - spared)) > STANDARD_ERRORS


def test_every_customer_has_one_first_order_on_the_day_of_arrival(shop):
    first = shop.customer[shop.is_first]
    assert sorted(first) == list(range(len(shop.process.rate)))
    assert (shop.process.arrived_day[first] == shop.day[shop.is_first]).all()
    assert (shop.placed >= shop.first_placed[shop.customer]).all()


def test_nobody_orders_after_having_left_and_all_left_with_an_order(shop):
    last = np.zeros(len(shop.process.rate), dtype=np.int64)
    np.maximum.at(last, shop.customer, shop.day)
    dropped = shop.process.dropped_day
    assert (last[dropped >= 0] == dropped[dropped >= 0]).all()


def test_orders_are_in_order_of_time_and_inside_their_day(shop):
    assert (np.diff(shop.day * 86_400 + shop.second) >= 0).all()
    assert shop.second.min() >= 0
    assert shop.second.max() < 86_400


def test_first_orders_spread_evenly_over_a_days_operational_time(shop):
    """So the clock of `tests.posterior` is the way back from the second of the day."""
    clock = ShopClock(WORLD, start=START, end=END)
    starts = np.array([clock.at_start_of(day) for day in DAYS])
    lengths = np.diff([*starts, shop.end])
    place = ((shop.placed - starts[shop.day]) / lengths[shop.day])[shop.is_first]
    assert kstest(place, "uniform").pvalue > P_MIN


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def arrivals(request: pytest.FixtureRequest) -> tuple[World, NDArray[np.datetime64], NDArray[np.int64]]:
    """Arrivals by day of two years, of customers who leave at once."""
    world = replace(World(), arrivals_per_day=150.0, dropout_a=1e3, dropout_b=1e-3)
    days = partitions.span("2023-01-01", "2024-12-31")
    shop = play(request.param, world=world, days=days)
    return world, np.array(days, "datetime64[D]"), np.bincount(shop.process.arrived_day, minlength=len(days))


def wave(days: NDArray[np.datetime64], peak: float) -> NDArray[np.float64]:
    of_year = (days - days.astype("datetime64[Y]")).astype(int) + 1
    return np.cos(2 * np.pi * (of_year - peak) / 365.25)


def weekday(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return (days.astype(int) + 3) % 7  # 1 January 1970 was a Thursday.


def test_arrivals_by_weekday_are_the_worlds(arrivals):
    world, days, count = arrivals
    for number, factor in enumerate(world.weekly):
        chosen = weekday(days) == number
        exposure = world.arrivals_per_day * np.sum(1 + 0.15 * wave(days[chosen], 340))
        # Poisson: the variance of the count is the count.
        assert abs(count[chosen].sum() / exposure - factor) < STANDARD_ERRORS * np.sqrt(factor / exposure)


def test_arrivals_swing_as_far_as_the_worlds_and_with_its_peak(arrivals):
    """Least squares on the world's wave and on one that peaks a quarter of a year later, which has no share."""
    world, days, count = arrivals
    base = world.arrivals_per_day * np.asarray(world.weekly)[weekday(days)]
    waves = np.stack([wave(days, 340), wave(days, 340 + 365.25 / 4)])
    weights = np.linalg.inv(waves @ waves.T) @ waves
    estimate = weights @ (count / base - 1)
    error = np.sqrt(weights**2 @ ((1 + 0.15 * waves[0]) / base))
    assert (error < 0.01).all()
    assert (np.abs(estimate - [0.15, 0.0]) < STANDARD_ERRORS * error).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_arrivals_times_three_are_three_times_as_many(seed):
    shop = play(seed, days=DAYS[:60], arrivals=3.0)
    expected = 3 * WORLD.arrivals_per_day * sum(WORLD.season(partitions.parse(day)) for day in DAYS[:60])
    assert abs(len(shop.process.rate) - expected) < STANDARD_ERRORS * np.sqrt(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_least_drop_out_holds_for_every_order_and_spares_nobody(seed):
    shop = play(seed, days=DAYS[:120], dropout_min=0.5)
    probability = np.maximum(shop.process.dropout, 0.5)[shop.customer]
    # After each order one draw, whatever came before: the squares of their errors add up.
    left = (shop.process.dropped_day >= 0).sum()
    error = np.sqrt(np.sum(probability * (1 - probability)))
    assert abs(left - probability.sum()) < STANDARD_ERRORS * error


def test_with_a_drop_out_of_one_nobody_comes_back():
    assert play(1, days=DAYS[:60], dropout_min=1.0).repeats.max() == 0


def test_a_shop_without_arrivals_sells_nothing():
    shop = play(1, world=replace(WORLD, arrivals_per_day=0.0), days=DAYS[:5])
    assert len(shop.customer) == len(shop.process.rate) == 0
