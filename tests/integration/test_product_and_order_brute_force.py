"""product_daily and order_risk of the real log, against the plain loops of their unit tests."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.specs.groups import load_feature_group
from tests.everyday import members
from tests.promises import broken_promises
from tests.raw_orders import SCHEMA
from tests.real_data import real_data
from tests.unit.features import test_order_risk, test_product_daily

FIRST, LAST = date(2010, 12, 1), date(2011, 12, 9)


@pytest.fixture(scope="module")
def raw() -> pa.Table:
    """The real log without anonymous, non-positive and duplicate lines, as orders."""
    log = pq.read_table(real_data("online_retail/online_retail.parquet")).to_pandas().drop_duplicates()
    cancelled = log["InvoiceNo"].str.startswith("C")
    kept = log["CustomerID"].notna() & (log["UnitPrice"] >= 0) & (cancelled | (log["Quantity"] > 0))
    log, cancelled = log[kept], cancelled[kept]
    at = log["InvoiceDate"].dt.tz_localize("UTC")
    empty = [None] * len(log)
    columns = {
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
        "kind": np.where(cancelled, "cancellation", "sale"),
        "ref_order_id": empty,
        "dt": at.dt.date,
    }
    return pa.table(columns, schema=SCHEMA)


def compute(group: str, raw: pa.Table) -> pa.Table:
    """Return every partition of the log, which keeps the group's promises."""
    spec = load_feature_group(group)
    days = {"start_day": FIRST.isoformat(), "end_day": LAST.isoformat()}
    rows = DuckDbCompute().run_select(
        spec.sql_path.read_text(encoding="utf-8"), {"orders": raw}, purpose="test", parameters=days
    )
    assert broken_promises(rows, spec) == []
    return rows


def assert_same(found: dict[str, Any], expected: dict[str, Any], where: object) -> None:
    for name, value in expected.items():
        if isinstance(value, float):
            # A float32 holds 24 bits: half a unit in the last place is 6e-8 of the value.
            np.testing.assert_allclose(found[name], value, rtol=1e-7, err_msg=f"{where} {name}")
        else:
            assert found[name] == value, (where, name)


# A product's rows are of its own lines alone: each day sees one product in eight.
@pytest.mark.parametrize(("every", "count"), [(8, 12), pytest.param(1, 60, marks=pytest.mark.thorough)])
def test_product_daily_equals_a_brute_force_recomputation(raw: pa.Table, every: int, count: int) -> None:
    sold = np.sort(raw["product_id"].unique().to_numpy(zero_copy_only=False))[::every]
    rows = compute("product_daily", raw.filter(pc.field("product_id").isin(sold)))
    rng = np.random.default_rng(2010)
    products = rng.choice(sold, count, replace=False)

    absent = 0
    for product in map(str, products):
        lines = raw.filter(pc.field("product_id") == product).to_pylist()
        found = {row["dt"]: row for row in rows.filter(pc.field("product_id") == product).to_pylist()}
        for n in rng.choice((LAST - FIRST).days + 1, 8, replace=False):
            day = FIRST + timedelta(days=int(n))
            expected = test_product_daily.recompute(lines, day)
            assert (day in found) == (expected is not None), (product, day)
            absent += expected is None
            if expected is not None:
                assert_same(found[day], expected, (product, day))
    assert 0 < absent < 400 * count // 60


@pytest.mark.parametrize("count", members([40, 200], daily=[40]))
def test_order_risk_has_every_order_of_the_log_and_equals_a_brute_force_recomputation(
    raw: pa.Table, count: int
) -> None:
    rows = compute("order_risk", raw)
    sales = raw.filter(pc.field("kind") == "sale")
    orders = np.sort(sales["order_id"].unique().to_numpy(zero_copy_only=False))

    assert rows["order_id"].to_pylist() == orders.tolist()
    for order in np.random.default_rng(2011).choice(orders, count, replace=False):
        (found,) = rows.filter(pc.field("order_id") == order).to_pylist()
        customers = sales.filter(pc.field("order_id") == order)["customer_id"].unique()
        lines = raw.filter(pc.field("customer_id").isin(customers)).to_pylist()
        assert_same(found, test_order_risk.recompute(lines, str(order)), order)
