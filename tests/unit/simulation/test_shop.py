from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.simulation.baskets import ORDER_LINES, ORDER_TRUTH
from include.simulation.incidents import MEANINGS
from include.simulation.shop import ShopDay
from include.simulation.world import World
from tests.unit.simulation.closed_forms import STANDARD_ERRORS
from tests.unit.simulation.shops import BUSY, START, all_lines, open_shop, sell_days

DAYS = 70
CHANGED = partitions.shift(START, 40)
DELIVERED = tuple(f"{kind}@{CHANGED}" for kind, meaning in MEANINGS.items() if not meaning.lasts)


@pytest.fixture(scope="module")
def days() -> list[ShopDay]:
    return sell_days(DAYS)


def split(days: list[ShopDay]) -> tuple[list[ShopDay], list[ShopDay]]:
    return [d for d in days if d.day < CHANGED], [d for d in days if d.day >= CHANGED]


def assert_same(one: list[ShopDay], other: list[ShopDay]) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert (a.day, a.lines, a.truth) == (b.day, b.lines, b.truth)


def test_days_follow_one_another(days):
    assert [day.day for day in days] == partitions.span(START, partitions.shift(START, DAYS - 1))


def test_every_line_lies_inside_its_day_in_order_of_time(days):
    for day in days:
        first = partitions.start_of(day.day)
        times = pc.min_max(day.lines["ordered_at"]).as_py()
        assert first <= times["min"] <= times["max"] < first + timedelta(days=1)
        assert (np.diff(day.lines["ordered_at"].cast(pa.int64()).to_numpy()) >= 0).all()


def test_lines_are_unique(days):
    lines = all_lines(days)
    assert lines.group_by(["order_id", "line"]).aggregate([]).num_rows == lines.num_rows


def test_orders_are_numbered_in_order_of_time(days):
    ids = [key for day in days for key in day.truth["order_id"].to_pylist()]
    assert ids == [f"o{number:09d}" for number in range(1, len(ids) + 1)]
    assert len(ids) > 3000


def test_every_order_has_its_truth_and_its_lines(days):
    for day in days:
        sales = day.lines.filter(pc.equal(day.lines["kind"], "sale"))
        assert set(sales["order_id"].to_pylist()) == set(day.truth["order_id"].to_pylist())


def test_what_is_undone_refers_to_an_earlier_sale(days):
    lines = all_lines(days)
    placed: dict[str, object] = {}
    counted = dict.fromkeys(("cancellation", "return", "dispute"), 0)
    for row in lines.to_pylist():
        if row["kind"] == "sale":
            assert row["ref_order_id"] is None
            placed[row["order_id"]] = row["ordered_at"]
        else:
            assert placed[row["ref_order_id"]] < row["ordered_at"]
            assert row["quantity"] < 0
            counted[row["kind"]] += 1
    assert min(counted.values()) > 10


def test_nobody_knows_yet_when_a_line_was_received(days):
    assert all_lines(days)["received_at"].null_count == all_lines(days).num_rows


def test_tables_have_the_canonical_columns(days):
    assert {day.lines.schema for day in days} == {ORDER_LINES}
    assert {day.truth.schema for day in days} == {ORDER_TRUTH}


def test_a_longer_run_begins_with_the_shorter_one(days):
    assert_same(sell_days(30), days[:30])


def test_the_same_seed_is_the_same_shop_and_another_is_another(days):
    assert_same(sell_days(DAYS), days)
    assert sell_days(3, seed=2)[2].lines != days[2].lines


@pytest.mark.parametrize("incident", DELIVERED)
def test_what_goes_wrong_on_the_way_changes_nothing_that_happened(days, incident):
    assert_same(sell_days(DAYS, incident), days)


@pytest.mark.parametrize("kind", ["price_drift", "churn_drift", "campaign"])
def test_an_incident_changes_nothing_before_its_day(days, kind):
    before, after = split(sell_days(DAYS, f"{kind}@{CHANGED}"))
    assert_same(before, split(days)[0])
    assert after[-1].lines != days[-1].lines


def test_dearer_prices_change_no_order_cancellation_or_return_but_their_prices(days):
    """Disputes aside: an order that is worth more is disputed more often."""
    plain, dear = (all_lines(split(d)[1]) for d in (days, sell_days(DAYS, f"price_drift@{CHANGED}*3")))
    plain, dear = (lines.filter(pc.not_equal(lines["kind"], "dispute")) for lines in (plain, dear))
    others = [name for name in ORDER_LINES.names if name != "unit_price"]
    assert dear.select(others).equals(plain.select(others))
    is_dearer = pc.greater_equal(plain["ordered_at"], pa.scalar(partitions.start_of(CHANGED)))
    sales = pc.and_(is_dearer, pc.equal(plain["kind"], "sale"))
    was, now = (lines.filter(sales)["unit_price"].to_numpy() for lines in (plain, dear))
    # Both are rounded to a cent: half a cent, and three halves. No price is below a cent, so a third of one may be 1.
    assert np.abs(now - 3 * was).max() <= 0.02 + 1e-9
    assert now.sum() == pytest.approx(3 * was.sum(), rel=1e-3)


def test_dearer_prices_make_more_orders_likely_to_be_disputed(days):
    plain, dear = (
        pa.concat_tables([day.truth for day in split(d)[1]])
        for d in (days, sell_days(DAYS, f"price_drift@{CHANGED}*3"))
    )
    log_odds = [np.log(p / (1 - p)) for p in (t["dispute_probability"].to_numpy() for t in (plain, dear))]
    np.testing.assert_allclose(log_odds[1] - log_odds[0], 2.5 * np.log(3), rtol=1e-9)


def test_two_price_rises_multiply():
    twice = sell_days(3, f"price_drift@{START}*2", f"price_drift@{START}*3")
    once = sell_days(3, f"price_drift@{START}*6")
    assert_same(twice, once)


def test_a_campaign_brings_so_many_times_as_many_customers_from_its_day_on():
    shop, boosted = open_shop(), open_shop(f"campaign@{CHANGED}*5")
    last = partitions.shift(START, DAYS - 1)
    for one in (shop, boosted):
        assert len(list(one.days(last))) == DAYS
    plain, many = (one.purchases.arrived_day for one in (shop, boosted))
    assert (plain < 40).sum() == (many < 40).sum()
    season = sum(BUSY.season(partitions.parse(day)) for day in partitions.span(CHANGED, last))
    expected = 5 * BUSY.arrivals_per_day * season
    assert abs((many >= 40).sum() - expected) < STANDARD_ERRORS * np.sqrt(expected)


def test_with_a_churn_drift_so_many_leave_after_each_order_at_least():
    shop = open_shop(f"churn_drift@{CHANGED}*0.4")
    days = list(shop.days(partitions.shift(START, DAYS - 1)))
    customers = shop.customers()
    row = {key: number for number, key in enumerate(customers["customer_id"].to_pylist())}
    orders = [row[key] for day in split(days)[1] for key in day.truth["customer_id"].to_pylist()]
    probability = np.maximum(customers["dropout_probability"].to_numpy()[orders], 0.4)
    left = pc.sum(pc.greater_equal(customers["dropped_on"], pa.scalar(partitions.parse(CHANGED)))).as_py()
    error = np.sqrt(np.sum(probability * (1 - probability)))
    assert abs(left - probability.sum()) < STANDARD_ERRORS * error


def test_the_truth_of_customers_says_who_came_when_and_who_left(days):
    shop = open_shop()
    truth = pa.concat_tables([day.truth for day in shop.days(partitions.shift(START, DAYS - 1))])
    customers = {row["customer_id"]: row for row in shop.customers().to_pylist()}
    seen: dict[str, list[object]] = {}
    for key, at in zip(truth["customer_id"].to_pylist(), truth["ordered_at"].to_pylist(), strict=True):
        seen.setdefault(key, []).append(at.date())
    assert seen.keys() == customers.keys()
    for key, placed in seen.items():
        assert customers[key]["arrived_on"] == placed[0]
        assert customers[key]["dropped_on"] in (None, placed[-1])


def test_the_truth_of_a_customers_mean_order_value_is_in_currency():
    shop = open_shop(world=replace(World(), spend_shape=1e6, spend_q=1e6, spend_gamma=25.0))
    assert len(list(shop.days(START))) == 1
    # With so large shapes every customer's mean is the world's, 25, give or take a thousandth, four of them at most.
    np.testing.assert_allclose(shop.customers()["mean_order_value"].to_numpy(), 25.0, rtol=5e-3)
