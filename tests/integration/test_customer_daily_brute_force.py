"""customer_daily of the real log, against a plain recomputation and against published values."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.specs.groups import load_feature_group
from tests.everyday import members
from tests.raw_orders import SCHEMA
from tests.real_data import real_data

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)
SPEC = load_feature_group("customer_daily")


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """The real log without anonymous, non-positive and duplicate lines."""
    raw = pd.read_parquet(real_data("online_retail/online_retail.parquet")).drop_duplicates()
    cancelled = raw["InvoiceNo"].str.startswith("C")
    kept = raw["CustomerID"].notna() & (raw["UnitPrice"] >= 0) & (cancelled | (raw["Quantity"] > 0))
    return raw[kept].reset_index(drop=True)


@pytest.fixture(scope="module")
def features(log: pd.DataFrame) -> pd.DataFrame:
    """Every partition of the log, computed in one pass."""
    return compute(log, FIRST, LAST)


def compute(log: pd.DataFrame, start: date, end: date) -> pd.DataFrame:
    """Return the project's features of a log, indexed by customer and day."""
    at = log["InvoiceDate"].dt.tz_localize("UTC")
    empty = [None] * len(log)
    raw = pa.table(
        {
            "order_id": log["InvoiceNo"],
            "line": np.arange(len(log)),
            "customer_id": log["CustomerID"],
            "ordered_at": at,
            "product_id": log["StockCode"],
            "category": empty,
            "quantity": log["Quantity"],
            "unit_price": log["UnitPrice"],
            "country": log["Country"],
            "received_at": at.dt.floor("D") + timedelta(days=1),
            "kind": np.where(log["InvoiceNo"].str.startswith("C"), "cancellation", "sale"),
            "ref_order_id": empty,
            "dt": at.dt.date,
        },
        schema=SCHEMA,
    )
    days = {"start_day": start.isoformat(), "end_day": end.isoformat()}
    rows = DuckDbCompute().run_select(
        SPEC.sql_path.read_text(encoding="utf-8"), {"orders": raw}, purpose="test", parameters=days
    )
    return rows.to_pandas().set_index(["customer_id", "dt"])


def recompute(lines: pd.DataFrame, day: date) -> dict[str, float] | None:
    """Return one customer's features of one day from their lines, without any of the project's code."""
    end = pd.Timestamp(day) + pd.Timedelta(days=1)
    past = lines[lines["InvoiceDate"] < end]
    cancelled = past["InvoiceNo"].str.startswith("C")
    sales = past[~cancelled]
    if sales.empty:
        return None
    placed = sales.groupby("InvoiceNo")["InvoiceDate"].min()
    if placed.max() < end - pd.Timedelta(days=365):
        return None
    value = sales["Quantity"] * sales["UnitPrice"]

    def since(days: int) -> pd.Timestamp:
        return end - pd.Timedelta(days=days)

    one_day = pd.Timedelta(days=1)
    found: dict[str, float] = {}
    for days in (30, 90, 180):
        found[f"total_orders_{days}d"] = int((placed >= since(days)).sum())
        found[f"total_spend_{days}d"] = math.fsum(value[sales["InvoiceDate"] >= since(days)])
    return {
        **found,
        "avg_order_value": math.fsum(value) / len(placed),
        "days_since_last_order": (end - placed.max()) // one_day,
        "tenure_days": (end - placed.min()) // one_day,
        "avg_order_gap_days": (placed.max() - placed.min()) / one_day / (len(placed) - 1)
        if len(placed) > 1
        else math.nan,
        "distinct_products_90d": sales.loc[sales["InvoiceDate"] >= since(90), "StockCode"].nunique(),
        "cancelled_lines_90d": int((past.loc[cancelled, "InvoiceDate"] >= since(90)).sum()),
    }


def pairs_to_check(log: pd.DataFrame) -> list[tuple[str, date]]:
    """Return 300 seeded pairs, with the days and the customer that are easiest to get wrong among them."""
    rng = np.random.default_rng(2010)
    sales = log[~log["InvoiceNo"].str.startswith("C")]
    customers = np.sort(log["CustomerID"].unique())
    gap = sales.sort_values("InvoiceDate").groupby("CustomerID")["InvoiceDate"].agg(lambda at: at.diff().max())
    returned = gap.idxmax()
    first_day = sales.loc[sales["InvoiceDate"].dt.date == FIRST, "CustomerID"].unique()
    closure = [date(2010, 12, 24) + timedelta(days=n) for n in range(11)]
    days = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
    saturdays = [day for day in days if day.weekday() == 5]
    early = log.loc[log["InvoiceDate"] < "2011-01-04", "CustomerID"].unique()

    pairs = {(str(c), FIRST) for c in rng.choice(first_day, 20, replace=False)}
    pairs |= {(str(c), closure[n % len(closure)]) for n, c in enumerate(rng.choice(early, 40, replace=False))}
    pairs |= {(str(c), saturdays[n % len(saturdays)]) for n, c in enumerate(rng.choice(customers, 40, replace=False))}
    pairs |= {(returned, day) for day in days[:: len(days) // 20]}
    while len(pairs) < 300:
        pairs.add((str(rng.choice(customers)), days[rng.integers(len(days))]))
    return sorted(pairs)


def test_customer_daily_equals_a_brute_force_recomputation(log: pd.DataFrame, features: pd.DataFrame) -> None:
    lines: dict[Any, pd.DataFrame] = dict(list(log.groupby("CustomerID")))
    pairs = pairs_to_check(log)
    assert len(pairs) == 300

    absent = 0
    for customer, day in pairs:
        expected = recompute(lines[customer], day)
        assert ((customer, day) in features.index) == (expected is not None), (customer, day)
        if expected is None:
            absent += 1
            continue
        found = features.loc[(customer, day)]
        assert set(expected) == set(SPEC.feature_names)
        for name, value in expected.items():
            # A float32 holds 24 bits: half a unit in the last place is 6e-8 of the value.
            np.testing.assert_allclose(found[name], value, rtol=1e-7, err_msg=f"{customer} {day} {name}")
    assert 0 < absent < 150


def test_every_pair_of_the_log_is_there_and_no_other(log: pd.DataFrame, features: pd.DataFrame) -> None:
    placed = log[~log["InvoiceNo"].str.startswith("C")]
    customers, days = pd.Index(placed["CustomerID"].unique()), (LAST - FIRST).days + 1
    at = (placed["InvoiceDate"].dt.normalize() - pd.Timestamp(FIRST)).dt.days
    ordered = np.zeros((len(customers), days), dtype=bool)
    ordered[customers.get_indexer(placed["CustomerID"]), at] = True
    # Ordered on one of the 365 days that end with this one.
    until = ordered.cumsum(axis=1)
    until[:, 365:] -= until[:, :-365].copy()
    of, on = np.nonzero(until)
    expected = pd.MultiIndex.from_arrays([customers[of], pd.Timestamp(FIRST) + pd.to_timedelta(on, "D")])

    found = features.index.set_levels(pd.to_datetime(features.index.levels[1]), level=1)

    assert found.is_unique
    assert found.sort_values().equals(expected.sort_values())


@pytest.mark.parametrize(
    "day",
    members([date(2010, 12, 31), date(2011, 2, 28), date(2011, 11, 30)], daily=[date(2011, 11, 30)]),
    ids=str,
)
def test_on_the_lines_that_a_published_feature_set_takes_the_values_are_its_values(day: date) -> None:
    """The peer keeps exact duplicates and drops gifts and cancellations; its times are fractions of days."""
    peer = pd.read_parquet(real_data("peer_runs/online_retail_features_monthly.parquet"))
    peer = peer[peer["event_timestamp"] == pd.Timestamp(day) + pd.Timedelta(days=1)]
    peer = peer.assign(customer_id=peer["customer_id"].str.removesuffix(".0")).set_index("customer_id")
    raw = pd.read_parquet(real_data("online_retail/online_retail.parquet"))
    taken = raw["CustomerID"].notna() & (raw["Quantity"] > 0) & (raw["UnitPrice"] > 0)
    log = raw[taken & ~raw["InvoiceNo"].str.startswith("C")].reset_index(drop=True)

    ours = compute(log, day, day).droplevel("dt").loc[peer.index]

    assert len(peer) > 800
    for name in ("total_orders_30d", "total_orders_90d"):
        np.testing.assert_array_equal(ours[name], peer[name], name)
    for name in ("days_since_last_order", "tenure_days"):
        np.testing.assert_array_equal(ours[name], np.floor(peer[name]), name)
    # The peer's values are rounded to four decimals, ours are float32.
    for name in ("total_spend_30d", "avg_order_value"):
        np.testing.assert_allclose(ours[name], peer[name], rtol=1e-7, atol=5.1e-5, err_msg=name)
