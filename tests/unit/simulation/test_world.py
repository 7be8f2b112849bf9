from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy.integrate import quad

from include import partitions
from include.simulation.world import World, expected_orders, operational_time
from tests.unit.simulation.closed_forms import mean_repeats, no_repeat

WORLDS = {
    "shipped": World(),
    "loyal": World(rate_shape=0.6, rate_scale_days=12.0, dropout_a=0.5, dropout_b=9.0),
    "fickle": World(rate_shape=0.25, rate_scale_days=4.0, dropout_a=0.8, dropout_b=2.5),
}


def seasons(world: World, start: str, end: str) -> list[float]:
    return [world.season(partitions.parse(day)) for day in partitions.span(start, end)]


def test_the_season_of_a_peak_saturday_is_what_it_is_by_hand():
    # 6 December 2025 is a Saturday and day 340: 1.2 * (1 + 0.15).
    assert World().season(date(2025, 12, 6)) == pytest.approx(1.38, rel=1e-12)


def test_the_season_half_a_year_from_the_peak_is_what_it_is_by_hand():
    # 7 June 2025, a Saturday, is day 158: 182 days before the peak, cos(2 pi 182 / 365.25) = -0.999942.
    assert World().season(date(2025, 6, 7)) == pytest.approx(1.2 * (1 - 0.15 * 0.999942), rel=1e-6)


def test_the_weekdays_mean_is_one():
    assert np.mean(World().weekly) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("first_year", [2021, 2022, 2023, 2024])
def test_the_seasons_mean_over_four_years_is_one(first_year):
    mean = np.mean(seasons(World(), f"{first_year}-01-01", f"{first_year + 3}-12-31"))
    # 1,461 days are five more than whole weeks, and each year lacks or has a part of a day of the wave: what is
    # left over is worth less than a day.
    assert mean == pytest.approx(1, abs=1 / 1461)


def test_operational_time_starts_at_zero_and_grows_by_the_season():
    assert operational_time([0.5, 1.25, 1.0]).tolist() == [0.0, 0.5, 1.75, 2.75]


def test_operational_time_of_no_days_is_zero():
    assert operational_time([]).tolist() == [0.0]


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("time", [1.0, 30.0, 700.0])
def test_two_ways_to_integrate_over_drop_out_agree(world, time):
    """What other claims rest on: an adaptive rule with the singularity as its weight gives the same means."""
    a, r = world.rate_scale_days, world.rate_shape
    ends = (world.dropout_a - 1, world.dropout_b - 1)

    def mean(function):
        given = {"weight": "alg", "wvar": ends, "epsabs": 1e-12, "epsrel": 1e-10, "limit": 200}
        return quad(function, 0, 1, **given)[0] / quad(lambda p: 1.0, 0, 1, **given)[0]

    repeats = mean(lambda p: (1 - p) * (-np.expm1(-r * np.log1p(p * time / a)) / p if p else r * time / a))
    alone = mean(lambda p: p + (1 - p) * (a / (a + time)) ** r)
    assert mean_repeats(world, np.array([time]))[0] == pytest.approx(repeats, rel=1e-6)
    assert no_repeat(world, np.array([time]))[0] == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.parametrize("days", [7, 60, 717])
def test_expected_orders_are_the_integral_over_arrivals_and_drop_out(world, days):
    season = seasons(world, "2024-04-13", partitions.shift("2024-04-13", days - 1))
    clock = operational_time(season)
    # Arrivals are spread evenly over a day's operational time: Gauss-Legendre within each day.
    nodes, weights = np.polynomial.legendre.leggauss(8)
    came = clock[:-1, None] + np.diff(clock)[:, None] * (nodes + 1) / 2
    repeats = mean_repeats(world, (clock[-1] - came).ravel()).reshape(came.shape) @ (weights / 2)
    # expected_orders takes the middle of each day: a week's mean is off by less than one in ten thousand.
    assert expected_orders(world, season) == pytest.approx(np.diff(clock) @ (1 + repeats), rel=1e-4)


def test_expected_orders_of_an_unwavering_customer_grow_with_the_square_of_time():
    """Who never leaves orders at a constant rate: n arrivals, and rate n squared over two repeats."""
    world = World(dropout_a=1e-3, dropout_b=1e3, rate_shape=200.0, rate_scale_days=2000.0)
    by_hand = 100 + 0.1 * 100**2 / 2
    assert expected_orders(world, [1.0] * 100) == pytest.approx(by_hand, rel=1e-3)
