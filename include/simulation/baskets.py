"""What is in a basket, and what becomes of it: lines, prices, returns, cancellations, disputes.

What belongs here: from orders to order lines, with customers' tastes and means. What does not: who orders when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.simulation.purchases import DayPurchases
from include.simulation.world import World

# The most bought first.
CATEGORIES = (
    *("produce", "dairy", "bakery", "drinks", "meat", "snacks", "frozen", "cheese", "eggs", "pasta", "coffee", "fruit"),
    *("household", "fish", "canned", "sauces", "sweets", "rice", "tea", "spices", "wine", "baby", "pets", "flowers"),
)
COUNTRIES = ("GB", "IE", "FR", "DE", "NL")
PRODUCTS_PER_CATEGORY = 20

INSTANT = pa.timestamp("us", "UTC")
# The canonical columns of an order line, in order.
ORDER_LINES = pa.schema(
    [
        ("order_id", pa.string()),
        ("line", pa.int64()),
        ("customer_id", pa.string()),
        ("ordered_at", INSTANT),
        ("product_id", pa.string()),
        ("category", pa.string()),
        ("quantity", pa.int64()),
        ("unit_price", pa.float64()),
        ("country", pa.string()),
        ("received_at", INSTANT),
        ("kind", pa.string()),
        ("ref_order_id", pa.string()),
    ]
)
ORDER_TRUTH = pa.schema(
    [
        ("order_id", pa.string()),
        ("customer_id", pa.string()),
        ("ordered_at", INSTANT),
        ("value", pa.float64()),
        ("dispute_probability", pa.float64()),
        ("is_disputed", pa.bool_()),
    ]
)

_COUNTRY_SHARES = (0.82, 0.06, 0.05, 0.04, 0.03)
# Zipf's law: the n-th category sells as n to the minus 0.6.
_CATEGORY_SHARES = np.arange(1, len(CATEGORIES) + 1) ** -0.6
_CATEGORY_SHARES /= _CATEGORY_SHARES.sum()
_PRODUCTS = pa.array([f"{name}-{n:03d}" for name in CATEGORIES for n in range(1, PRODUCTS_PER_CATEGORY + 1)])
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_MAX_QUANTITY = 12


@dataclass(frozen=True)
class DayBaskets:
    """A day's sale lines, the truth of its orders, and the rows that undo some of them on later days.

    Attributes
    ----------
    lines, undone : pyarrow.Table
        As `ORDER_LINES`, the first sorted by time.
    truth : pyarrow.Table
        As `ORDER_TRUTH`, one row per order.
    """

    lines: pa.Table
    truth: pa.Table
    undone: pa.Table


class Baskets:
    """Tastes and means of all customers, and the running number of orders.

    Parameters
    ----------
    world : World
        Spend, lines, returns and disputes.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.value_rate = np.empty(0)
        self.country = np.empty(0, dtype=np.int8)
        self._taste = np.empty((0, len(CATEGORIES)), dtype=np.float32)
        self._orders = 0

    def add_customers(self, n: int, rng: np.random.Generator) -> None:
        """Draw what `n` new customers are like."""
        world = self.world
        rates = rng.gamma(world.spend_q, 1 / world.spend_gamma, n)
        countries = rng.choice(len(COUNTRIES), n, p=_COUNTRY_SHARES).astype(np.int8)
        tastes = rng.dirichlet(world.taste_concentration * _CATEGORY_SHARES, n)
        self.value_rate = np.concatenate([self.value_rate, rates])
        self.country = np.concatenate([self.country, countries])
        self._taste = np.concatenate([self._taste, np.cumsum(tastes, axis=1).astype(np.float32)])

    def tastes(self) -> NDArray[np.float32]:
        """Return the share of each category, in the order of `CATEGORIES`, in what each customer buys."""
        return np.diff(self._taste, axis=1, prepend=0)

    def fill(
        self, day_start_us: int, purchases: DayPurchases, rng: np.random.Generator, *, prices: float = 1.0
    ) -> DayBaskets:
        """Return what is ordered on a day.

        Parameters
        ----------
        day_start_us : int
            Microseconds since 1970 at the day's start.
        purchases : DayPurchases
            Who orders, and when.
        rng : numpy.random.Generator
            The day's own.
        prices : float
            What an incident multiplies prices with.
        """
        n = len(purchases.customer)
        value = rng.gamma(self.world.spend_shape, 1.0, n) / self.value_rate[purchases.customer] * prices
        number = self._orders + 1 + np.arange(n)
        self._orders += n
        order, line, category, product, quantity, price = self._lines(purchases.customer, value, rng)
        at = day_start_us + purchases.second * _SECOND_US
        lines = _table(
            {
                "order_id": _ids("o", number, 9).take(order),
                "line": line,
                "customer_id": customer_ids(purchases.customer).take(order),
                "ordered_at": pa.array(at[order]).cast(INSTANT),
                "product_id": _PRODUCTS.take(pa.array(product)),
                "category": pa.array(CATEGORIES).take(pa.array(category)),
                "quantity": quantity,
                "unit_price": price,
                "country": pa.array(COUNTRIES).take(pa.array(self.country[purchases.customer][order])),
                "kind": pa.array(["sale"]).take(pa.array(np.zeros(len(order), dtype=np.int8))),
            }
        )
        probability = dispute_probability(
            self.world,
            value,
            is_first=purchases.is_first,
            second=purchases.second,
        )
        disputed = rng.random(n) < probability
        truth = pa.table(
            [
                _ids("o", number, 9),
                customer_ids(purchases.customer),
                pa.array(at).cast(INSTANT),
                pa.array(value),
                pa.array(probability),
                pa.array(disputed),
            ],
            schema=ORDER_TRUTH,
        )
        return DayBaskets(lines, truth, self._undo(lines, order, truth, rng))

    def _lines(
        self, customer: NDArray[np.int64], value: NDArray[np.float64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], ...]:
        n_lines = 1 + rng.poisson(self.world.extra_lines, len(customer))
        order = np.repeat(np.arange(len(customer)), n_lines)
        line = np.arange(len(order)) - np.repeat(np.cumsum(n_lines) - n_lines, n_lines) + 1
        share = rng.gamma(2.0, 1.0, len(order))
        share /= np.maximum(np.bincount(order, share, minlength=len(customer)), 1e-300)[order]
        taste = self._taste[customer][order]
        drawn = rng.random(len(order), dtype=np.float32)
        category = np.minimum((drawn[:, None] >= taste).sum(axis=1), len(CATEGORIES) - 1)
        # Squared: the first products of a category sell most.
        product = category * PRODUCTS_PER_CATEGORY + (PRODUCTS_PER_CATEGORY * rng.random(len(order)) ** 2).astype(int)
        quantity = np.minimum(rng.geometric(0.55, len(order)), _MAX_QUANTITY)
        price = np.maximum(np.round(value[order] * share / quantity, 2), 0.01)
        return order, line, category, product, quantity, price

    def _undo(self, lines: pa.Table, order: NDArray[np.int64], truth: pa.Table, rng: np.random.Generator) -> pa.Table:
        cancelled = rng.random(truth.num_rows) < self.world.cancellation_probability
        returned = (rng.random(len(order)) < self.world.return_probability) & ~cancelled[order]
        disputed = truth["is_disputed"].to_numpy() & ~cancelled
        hours = rng.integers(600, 6 * 3600, truth.num_rows)[order]
        weeks = rng.integers(2 * 86_400, 21 * 86_400, len(order))
        months = rng.integers(5 * 86_400, 40 * 86_400, truth.num_rows)
        first_line = pc.equal(lines["line"], 1)
        claims = lines.filter(first_line).filter(pa.array(disputed))
        claims = claims.set_column(
            claims.column_names.index("unit_price"),
            "unit_price",
            pc.round(truth["value"].filter(pa.array(disputed)), 2),
        )
        claims = claims.set_column(
            claims.column_names.index("quantity"), "quantity", pa.array([1] * len(claims), pa.int64())
        )
        for name in ("product_id", "category"):
            claims = claims.set_column(claims.column_names.index(name), name, pa.nulls(len(claims), pa.string()))
        return pa.concat_tables(
            [
                _undoing(lines.filter(pa.array(cancelled[order])), "cancellation", hours[cancelled[order]]),
                _undoing(lines.filter(pa.array(returned)), "return", weeks[returned]),
                _undoing(claims, "dispute", months[disputed]),
            ]
        )


def dispute_probability(
    world: World,
    value: NDArray[np.float64],
    *,
    is_first: NDArray[np.bool_],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the probability that an order is disputed later.

    Parameters
    ----------
    world : World
        The coefficients.
    value : ndarray of shape (n_orders,), float64
        In currency.
    is_first : ndarray of shape (n_orders,), bool
        Whether it is the customer's first.
    second : ndarray of shape (n_orders,), int64
        Of the UTC day; from 22:00 to 06:00 is night.

    Notes
    -----
    Logistic in the log of the value against the mean of all orders.
    """
    at_night = (second < 6 * 3600) | (second >= 22 * 3600)
    log_odds = (
        world.dispute_intercept
        + world.dispute_log_value * np.log(value / world.mean_order_value)
        + world.dispute_first_order * is_first
        + world.dispute_at_night * at_night
    )
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def customer_ids(index: NDArray[np.int64]) -> pa.Array:
    """Return the opaque keys of customers, by index."""
    return _ids("c", index + 1, 7)


def _ids(prefix: str, number: NDArray[np.int64], width: int) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(number).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(prefix, padded, "")


def _table(columns: dict[str, object]) -> pa.Table:
    rows = len(columns["order_id"])  # type: ignore[arg-type]
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in ORDER_LINES]
    return pa.table(arrays, schema=ORDER_LINES)


def _undoing(lines: pa.Table, kind: str, delay_s: NDArray[np.int64]) -> pa.Table:
    """Return rows that undo `lines`, `delay_s` seconds after each: orders of their own that refer to the first."""
    at = lines["ordered_at"].cast(pa.int64()).to_numpy() + delay_s * _SECOND_US
    number = pc.utf8_slice_codeunits(lines["order_id"], start=1)
    return _table(
        {
            **{
                name: lines[name] for name in ("line", "customer_id", "product_id", "category", "unit_price", "country")
            },
            "order_id": pc.binary_join_element_wise(kind[0], number, ""),
            "ordered_at": pa.array(at).cast(INSTANT),
            "quantity": pc.negate(lines["quantity"]),
            "kind": pa.array([kind] * len(lines), pa.string()),
            "ref_order_id": lines["order_id"],
        }
    )
