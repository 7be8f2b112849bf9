"""What is in baskets and what becomes of them, against the world's own distributions, within sampling error.

Claims about customers have one order of each, so that orders are independent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray
from scipy.special import digamma, polygamma
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from include.simulation.baskets import (
    _CATEGORY_SHARES,
    _COUNTRY_SHARES,
    CATEGORIES,
    COUNTRIES,
    ORDER_LINES,
    ORDER_TRUTH,
    Baskets,
    DayBaskets,
    customer_ids,
    dispute_probability,
)
from include.simulation.purchases import DayPurchases
from include.simulation.shop import Shop
from include.simulation.world import World
from tests.unit.simulation.closed_forms import SEEDS, STANDARD_ERRORS

WORLD = World()
CUSTOMERS = 20_000
DAY_US = 86_400_000_000
DAY = 20_000 * DAY_US


@dataclass
class Sold:
    """A day on which every customer orders once."""

    baskets: Baskets
    purchases: DayPurchases
    filled: DayBaskets

    @property
    def value(self) -> NDArray[np.float64]:
        return self.filled.truth["value"].to_numpy()

    @property
    def order_of_line(self) -> NDArray[np.int64]:
        return pc.index_in(self.filled.lines["order_id"], self.filled.truth["order_id"]).to_numpy()


def sell(seed: int, *, world: World = WORLD, customers: int = CUSTOMERS, prices: float = 1.0) -> Sold:
    rng = np.random.default_rng(seed)
    baskets = Baskets(world)
    baskets.add_customers(customers, rng)
    second = np.sort(rng.integers(0, 86_400, customers))
    purchases = DayPurchases(np.arange(customers), second, rng.random(customers) < 0.5, customers)
    return Sold(baskets, purchases, baskets.fill(DAY, purchases, rng, prices=prices))


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def sold(request: pytest.FixtureRequest) -> Sold:
    return sell(request.param)


def undone(sold: Sold, kind: str) -> pa.Table:
    return sold.filled.undone.filter(pc.equal(sold.filled.undone["kind"], kind))


def assert_share(count: int, of: int, share: float) -> None:
    assert abs(count - of * share) < STANDARD_ERRORS * np.sqrt(of * share * (1 - share))


# Spend: the gamma-gamma model --------------------------------------------------------------------


def test_the_mean_of_log_values_is_gamma_gammas(sold):
    logs = np.log(sold.value)
    expected = digamma(WORLD.spend_shape) - digamma(WORLD.spend_q) + np.log(WORLD.spend_gamma)
    error = np.sqrt((polygamma(1, WORLD.spend_shape) + polygamma(1, WORLD.spend_q)) / len(logs))
    assert abs(logs.mean() - expected) < STANDARD_ERRORS * error


def test_the_variance_of_log_values_is_gamma_gammas(sold):
    logs = np.log(sold.value)
    expected = polygamma(1, WORLD.spend_shape) + polygamma(1, WORLD.spend_q)
    fourth = polygamma(3, WORLD.spend_shape) + polygamma(3, WORLD.spend_q) + 3 * expected**2
    # The variance of a sample's variance is (fourth moment - variance squared) / n.
    assert abs(logs.var() - expected) < STANDARD_ERRORS * np.sqrt((fourth - expected**2) / len(logs))


def test_the_mean_value_of_an_order_is_the_worlds(sold):
    p, q, scale = WORLD.spend_shape, WORLD.spend_q, WORLD.spend_gamma
    expected, second = p * scale / (q - 1), p * (p + 1) * scale**2 / ((q - 1) * (q - 2))
    assert WORLD.mean_order_value == pytest.approx(expected, rel=1e-12)
    assert abs(sold.value.mean() - expected) < STANDARD_ERRORS * np.sqrt((second - expected**2) / CUSTOMERS)


def test_a_customers_orders_spread_around_the_customers_mean():
    """10,000 orders of one customer: Gamma with the customer's own rate."""
    baskets, rng = Baskets(WORLD), np.random.default_rng(1)
    baskets.add_customers(2, rng)
    n = 10_000
    purchases = DayPurchases(np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), 0)
    scaled = baskets.fill(DAY, purchases, rng).truth["value"].to_numpy() * baskets.value_rate[1]
    assert abs(scaled.mean() - WORLD.spend_shape) < STANDARD_ERRORS * np.sqrt(WORLD.spend_shape / n)


@pytest.mark.parametrize("seed", SEEDS)
def test_spend_tells_nothing_of_how_often_or_how_long_a_customer_buys(seed):
    shop = Shop(replace(WORLD, arrivals_per_day=60.0), seed=seed, start="2024-04-13")
    placed = pa.concat_tables([day.truth for day in shop.days("2024-10-09")])
    # A mean of many orders is less skewed than one order: only first orders can be compared between customers.
    seen = placed.group_by("customer_id", use_threads=False).aggregate([("value", "first"), ("value", "count")])
    customers = shop.customers()
    pairs = [
        (seen["value_first"], seen["value_count"]),
        (customers["mean_order_value"], customers["orders_per_day"]),
        (customers["mean_order_value"], customers["dropout_probability"]),
    ]
    assert customers.num_rows == seen.num_rows > 8000
    for spend, habit in pairs:
        # The rank correlation of n independent pairs has a variance of 1 / (n - 1).
        assert abs(spearmanr(spend, habit).statistic) * np.sqrt(len(spend) - 1) < STANDARD_ERRORS


# Lines -------------------------------------------------------------------------------------------


def test_lines_add_up_to_the_orders_value_within_rounding(sold):
    quantity, price = (sold.filled.lines[name].to_numpy() for name in ("quantity", "unit_price"))
    summed = np.bincount(sold.order_of_line, quantity * price)
    # A price is rounded to the cent, half a cent off at most, and a whole one where it would have been nothing.
    bound = np.bincount(sold.order_of_line, quantity * np.where(price <= 0.01, 0.01, 0.005))
    assert (np.abs(summed - sold.value) <= bound + 1e-9 * sold.value).all()


def test_prices_are_whole_cents_and_never_zero(sold):
    cents = sold.filled.lines["unit_price"].to_numpy() * 100
    assert cents.min() >= 1 - 1e-9
    assert np.abs(cents - np.round(cents)).max() < 1e-6


def test_an_order_has_one_line_and_a_poisson_number_more(sold):
    lines = np.bincount(sold.order_of_line)
    assert lines.min() == 1
    # Poisson: mean and variance are equal, and a sample's variance has a variance of (m + 2 m^2) / n.
    mean, n = WORLD.extra_lines, len(lines)
    assert abs(lines.mean() - 1 - mean) < STANDARD_ERRORS * np.sqrt(mean / n)
    assert abs(lines.var() - mean) < STANDARD_ERRORS * np.sqrt((mean + 2 * mean**2) / n)


def test_lines_of_an_order_are_numbered_from_one(sold):
    lines = sold.filled.lines.group_by("order_id").aggregate(
        [("line", "min"), ("line", "max"), ("line", "count_distinct")]
    )
    assert (lines["line_min"].to_numpy() == 1).all()
    assert pc.all(pc.equal(lines["line_max"], lines["line_count_distinct"])).as_py()


def test_quantities_are_from_one_to_twelve(sold):
    assert pc.min_max(sold.filled.lines["quantity"]).as_py() == {"min": 1, "max": 12}


def test_categories_have_their_shares_over_customers(sold):
    first = sold.filled.lines.filter(pc.equal(sold.filled.lines["line"], 1))
    for name, share in zip(CATEGORIES, _CATEGORY_SHARES, strict=True):
        assert_share(pc.sum(pc.equal(first["category"], name)).as_py(), CUSTOMERS, share)


def test_a_customer_has_a_taste():
    """Two lines of one order are of one category more often than of two customers' orders."""
    lines = sell(1).filled.lines
    first, second = (lines.filter(pc.equal(lines["line"], n)) for n in (1, 2))
    pairs = second.select(["order_id", "category"]).join(
        first.select(["order_id", "category"]), "order_id", right_suffix="_1"
    )
    by_chance = np.sum(np.square(_CATEGORY_SHARES))
    # Dirichlet with concentration 10: chance plus an eleventh of what is left.
    expected = by_chance + (1 - by_chance) / 11
    same = pc.sum(pc.equal(pairs["category"], pairs["category_1"])).as_py()
    assert_share(same, pairs.num_rows, expected)
    assert same > pairs.num_rows * by_chance * 1.5


def test_products_are_of_their_category(sold):
    category = pc.list_element(pc.split_pattern(sold.filled.lines["product_id"], "-"), 0)
    assert pc.all(pc.equal(category, sold.filled.lines["category"])).as_py()


def test_countries_have_their_shares(sold):
    for name, share in zip(COUNTRIES, _COUNTRY_SHARES, strict=True):
        assert_share(pc.sum(pc.equal(sold.baskets.country, COUNTRIES.index(name))).as_py(), CUSTOMERS, share)


def test_tables_have_the_canonical_columns(sold):
    assert sold.filled.lines.schema == sold.filled.undone.schema == ORDER_LINES
    assert sold.filled.truth.schema == ORDER_TRUTH


def test_a_day_without_orders_gives_empty_tables():
    nobody = DayPurchases(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), 0)
    filled = Baskets(WORLD).fill(DAY, nobody, np.random.default_rng(0))
    assert [t.num_rows for t in (filled.lines, filled.truth, filled.undone)] == [0, 0, 0]


def test_customer_ids_keep_their_order_as_text():
    ids = customer_ids(np.array([0, 8, 9, 99_999]))
    assert ids.to_pylist() == ["c0000001", "c0000009", "c0000010", "c0100000"]


# What is undone ----------------------------------------------------------------------------------

HOUR = 3600
DELAYS = {
    "cancellation": (600, 6 * HOUR),
    "return": (2 * 24 * HOUR, 21 * 24 * HOUR),
    "dispute": (5 * 24 * HOUR, 40 * 24 * HOUR),
}


def test_as_many_orders_are_cancelled_as_the_world_says(sold):
    cancelled = pc.count_distinct(undone(sold, "cancellation")["ref_order_id"]).as_py()
    assert_share(cancelled, CUSTOMERS, WORLD.cancellation_probability)


def test_a_cancellation_takes_the_whole_order(sold):
    cancelled = undone(sold, "cancellation")
    sales = sold.filled.lines.filter(
        pc.is_in(sold.filled.lines["order_id"], cancelled["ref_order_id"].combine_chunks())
    )
    assert sales.num_rows == cancelled.num_rows > 0


def test_as_many_lines_of_orders_that_stand_are_returned_as_the_world_says(sold):
    cancelled = undone(sold, "cancellation")
    returned, standing = undone(sold, "return"), sold.filled.lines.num_rows - cancelled.num_rows
    assert_share(returned.num_rows, standing, WORLD.return_probability)
    assert not set(returned["ref_order_id"].to_pylist()) & set(cancelled["ref_order_id"].to_pylist())


@pytest.mark.parametrize("kind", DELAYS)
def test_what_is_undone_was_sold_before_and_comes_back_negative(sold, kind):
    rows = undone(sold, kind).to_pylist()
    sales = {(row["order_id"], row["line"]): row for row in sold.filled.lines.to_pylist()}
    least, most = DELAYS[kind]
    assert len(rows) > 10
    for row in rows:
        sale = sales[row["ref_order_id"], row["line"]]
        assert row["customer_id"] == sale["customer_id"]
        assert row["country"] == sale["country"]
        assert row["order_id"] == kind[0] + sale["order_id"][1:]
        assert least <= (row["ordered_at"] - sale["ordered_at"]).total_seconds() < most
        if kind != "dispute":
            assert row["quantity"] == -sale["quantity"]
            assert all(row[name] == sale[name] for name in ("product_id", "category", "unit_price"))


def test_a_dispute_claims_the_orders_value_back_at_once(sold):
    claims = undone(sold, "dispute")
    values = dict(zip(*(sold.filled.truth[name].to_pylist() for name in ("order_id", "value")), strict=True))
    assert set(claims["quantity"].to_pylist()) == {-1}
    assert set(claims["product_id"].to_pylist()) == set(claims["category"].to_pylist()) == {None}
    assert claims["unit_price"].to_pylist() == [round(values[order], 2) for order in claims["ref_order_id"].to_pylist()]


def test_disputes_are_the_disputed_orders_that_were_not_cancelled(sold):
    truth = sold.filled.truth
    disputed = set(truth.filter(truth["is_disputed"])["order_id"].to_pylist())
    cancelled = set(undone(sold, "cancellation")["ref_order_id"].to_pylist())
    assert set(undone(sold, "dispute")["ref_order_id"].to_pylist()) == disputed - cancelled


# Disputes: a logistic model ----------------------------------------------------------------------


def test_an_average_order_at_noon_of_a_known_customer_has_the_intercepts_odds():
    probability = dispute_probability(
        WORLD,
        np.array([WORLD.mean_order_value]),
        is_first=np.array([False]),
        second=np.array([12 * HOUR]),
    )
    assert probability[0] == pytest.approx(1 / (1 + np.exp(5)), rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "log_odds"),
    [
        ({"value": np.e * WORLD.mean_order_value}, 2.5),
        ({"is_first": True}, 2.5),
        ({"second": 6 * HOUR - 1}, 2.0),
        ({"second": 6 * HOUR}, 0.0),
        ({"second": 22 * HOUR - 1}, 0.0),
        ({"second": 22 * HOUR}, 2.0),
    ],
    ids=["e times the value", "first", "before six", "at six", "before ten", "at ten"],
)
def test_each_circumstance_adds_its_log_odds(changed, log_odds):
    plain = {"value": WORLD.mean_order_value, "is_first": False, "second": 12 * HOUR}
    given = {name: np.array([value]) for name, value in {**plain, **changed}.items()}
    probability = dispute_probability(WORLD, given.pop("value"), **given)[0]
    assert np.log(probability / (1 - probability)) == pytest.approx(-5 + log_odds, abs=1e-12)


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed {seed}")
def disputes(request: pytest.FixtureRequest) -> Sold:
    return sell(request.param, customers=150_000)


def test_disputes_are_as_frequent_as_their_probabilities_in_every_decile(disputes):
    probability, happened = (disputes.filled.truth[name].to_numpy() for name in ("dispute_probability", "is_disputed"))
    for part in [np.arange(len(happened)), *np.array_split(np.argsort(probability), 10)]:
        # Independent draws of unequal probabilities: the variance of their sum is the sum of p (1 - p).
        error = np.sqrt(np.sum(probability[part] * (1 - probability[part])))
        assert abs(np.sum(happened[part] - probability[part])) < STANDARD_ERRORS * error


def test_logistic_regression_finds_the_worlds_coefficients(disputes):
    second = disputes.purchases.second
    circumstances = np.column_stack(
        [
            np.log(disputes.value / WORLD.mean_order_value),
            disputes.purchases.is_first,
            (second < 6 * HOUR) | (second >= 22 * HOUR),
        ]
    ).astype(float)
    happened, probability = (disputes.filled.truth[n].to_numpy() for n in ("is_disputed", "dispute_probability"))
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(circumstances, happened)
    design = np.column_stack([np.ones(len(happened)), circumstances])
    # The inverse of Fisher's information at the true probabilities.
    errors = np.sqrt(np.diag(np.linalg.inv((design * (probability * (1 - probability))[:, None]).T @ design)))
    off = np.abs(np.concatenate([fitted.intercept_, fitted.coef_[0]]) - [-5.0, 2.5, 2.5, 2.0])
    assert (errors < 0.2).all()
    assert (off < STANDARD_ERRORS * errors).all()


# Prices ------------------------------------------------------------------------------------------


def test_dearer_prices_make_dearer_orders_of_the_same_lines():
    plain, dear = sell(1), sell(1, prices=2.0)
    np.testing.assert_allclose(dear.value, 2 * plain.value, rtol=1e-12)
    others = [name for name in ORDER_LINES.names if name != "unit_price"]
    assert dear.filled.lines.select(others) == plain.filled.lines.select(others)
