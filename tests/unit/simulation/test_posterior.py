"""The yardstick itself, before anything is measured with it: tests/posterior.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from include import partitions
from include.simulation.purchases import PurchaseProcess
from include.simulation.world import World
from tests.posterior import Histories, ShopClock, probability_of_no_order, read_histories
from tests.unit.simulation.closed_forms import SEEDS, STANDARD_ERRORS

HORIZON_DAYS = 60

# Orders, operational days from the first to the last, and from the last to now.
SEEN = {
    "a first order just now": (1, 0.0, 0.01),
    "a first order a month ago": (1, 0.0, 30.0),
    "a regular in silence": (40, 300.0, 25.0),
    "a regular": (40, 300.0, 1.0),
    "two orders on one day": (2, 0.3, 12.0),
    "a rare guest": (3, 500.0, 29.0),
}


def by_brute_force(world: World, orders: int, span: float, silence: float, horizon: float) -> float:
    """Weigh a fine grid of rates and drop-outs by how likely each makes what is seen; nothing is integrated by hand."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    u, weights = (nodes + 1) / 2, weights / 2
    # Rates up to 12 a day, and l^(r - 1) dl without its singularity in l^r; the same for p.
    rate = (u * 12**world.rate_shape) ** (1 / world.rate_shape)
    p = (u ** (1 / world.dropout_a))[:, None]
    prior = weights * np.exp(-world.rate_scale_days * rate) * (weights[:, None] * (1 - p) ** (world.dropout_b - 1))
    came = (1 - p) ** (orders - 1) * (rate * span / max(orders, 1)) ** (orders - 1) * np.exp(-rate * span)
    gone, there = prior * came * p, prior * came * (1 - p) * np.exp(-rate * silence)
    return float((gone.sum() + (there * np.exp(-rate * horizon)).sum()) / (gone.sum() + there.sum()))


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
@pytest.mark.parametrize("horizon", [1.0, 60.0])
def test_the_closed_form_is_what_weighing_every_customer_gives(seen, horizon):
    orders, span, silence = seen
    expected = by_brute_force(World(), orders, span, silence, horizon)
    first = 123.4
    now = first + span + silence
    histories = Histories(np.array([orders]), np.array([first]), np.array([first + span]), now)
    closed = probability_of_no_order(World(), histories, until=now + horizon)
    assert closed[0] == pytest.approx(expected, rel=1e-6)


def test_nothing_can_happen_in_no_time():
    histories = Histories(np.array([1, 9]), np.array([0.0, 0.0]), np.array([0.0, 50.0]), 60.0)
    assert probability_of_no_order(World(), histories, until=60.0) == pytest.approx([1, 1], abs=1e-12)


def test_longer_silence_after_the_same_orders_makes_a_return_less_likely():
    scores = [
        probability_of_no_order(
            World(), Histories(np.array([20]), np.array([0.0]), np.array([100.0]), now), until=now + 60
        )[0]
        for now in (101.0, 110.0, 130.0)
    ]
    assert scores == sorted(scores)


def test_the_clock_runs_from_midnight_to_midnight_by_the_season():
    world = World()
    clock = ShopClock(world, start="2025-12-05", end="2025-12-07")
    midnight = clock.at(np.array(["2025-12-06T00:00:00"], "datetime64[us]"))[0]
    # Half a second is added for the fraction that the shop cuts off: 2 % of a day's orders come in six hours.
    assert midnight == pytest.approx(clock.at_start_of("2025-12-06"), abs=1e-6)
    noon = clock.at(np.array(["2025-12-06T12:00:00"], "datetime64[us]"))[0]
    assert noon == pytest.approx(clock.at_start_of("2025-12-06") + 0.34 * 1.38, abs=1e-4)
    assert clock.at_start_of("2025-12-07") - clock.at_start_of("2025-12-06") == pytest.approx(1.38, rel=1e-12)


def test_histories_are_read_from_orders_before_now_only():
    customers = np.array(["b", "a", "b", "a", "b"], dtype=object)
    seen = read_histories(
        customers, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), of=np.array(["b", "a"], dtype=object), now=4.0
    )
    assert seen.orders.tolist() == [2, 1]
    assert seen.first.tolist() == [1.0, 2.0]
    assert seen.last.tolist() == [3.0, 2.0]


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def judged(request: pytest.FixtureRequest) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Of every customer of a shop: posterior, whether no order came, and how many were seen."""
    world, start, now, end = replace(World(), arrivals_per_day=60.0), "2024-04-13", "2025-03-01", "2025-04-29"
    assert partitions.days_between(now, end) == HORIZON_DAYS - 1
    rng, process, clock = (
        np.random.default_rng(request.param),
        PurchaseProcess(world),
        ShopClock(world, start=start, end=end),
    )
    customers, placed = [], []
    for day in partitions.span(start, end):
        passed = process.next_day(world.season(partitions.parse(day)), rng)
        customers.append(passed.customer)
        placed.append(clock.at(np.datetime64(day, "us") + passed.second * np.timedelta64(1, "s")))
    who, when = np.concatenate(customers), np.concatenate(placed)
    moment = clock.at_start_of(now)
    known = np.unique(who[when < moment])
    seen = read_histories(who, when, of=known, now=moment)
    until = clock.at_start_of(end) + world.season(partitions.parse(end))
    return probability_of_no_order(world, seen, until=until), ~np.isin(known, who[when >= moment]), seen.orders


def test_the_posterior_is_calibrated_on_the_simulated_shop_in_every_decile(judged):
    score, label, _ = judged
    for part in np.array_split(np.argsort(score), 10):
        expected = score[part]
        assert len(part) > 1000
        assert abs(np.sum(label[part] - expected)) < STANDARD_ERRORS * np.sqrt(np.sum(expected * (1 - expected)))


@pytest.mark.parametrize(("fewest", "most"), [(1, 1), (2, 2), (3, 5), (6, 20), (21, 10_000)])
def test_the_posterior_is_calibrated_for_every_number_of_orders(judged, fewest, most):
    score, label, orders = judged
    chosen = (fewest <= orders) & (orders <= most)
    assert chosen.sum() > 100
    expected = score[chosen]
    assert abs(np.sum(label[chosen] - expected)) < STANDARD_ERRORS * np.sqrt(np.sum(expected * (1 - expected)))
