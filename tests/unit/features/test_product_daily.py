"""product_daily.sql against values worked out by hand, and against a plain loop over seeded orders."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.features.checks import expected_schema
from include.partitions import span
from include.specs.groups import load_feature_group
from tests.promises import broken_promises
from tests.raw_orders import line, orders, random_orders

SPEC = load_feature_group("product_daily")
SQL = SPEC.sql_path.read_text(encoding="utf-8")
DAY = timedelta(days=1)


def compute(raw: pa.Table, start: str, end: str | None = None) -> pa.Table:
    return DuckDbCompute().run_select(
        SQL, {"orders": raw}, purpose="test", parameters={"start_day": start, "end_day": end or start}
    )


def by_day(raw: pa.Table, start: str, end: str) -> dict[date, dict[str, Any]]:
    return {found["dt"]: found for found in compute(raw, start, end).to_pylist()}


def recompute(lines: list[dict[str, Any]], day: date) -> dict[str, Any] | None:
    """Return one product's row of one day from its lines, without any of the project's code."""
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY
    past = [x for x in lines if x["ordered_at"] < end]
    sales = [x for x in past if x["kind"] == "sale"]
    if not sales or max(x["ordered_at"] for x in sales) < end - 90 * DAY:
        return None
    week = [x for x in sales if x["ordered_at"] >= end - 7 * DAY]
    month = [x for x in sales if x["ordered_at"] >= end - 30 * DAY]
    cancelled = [x for x in past if x["kind"] == "cancellation" and x["ordered_at"] >= end - 30 * DAY]
    first_line: dict[str, datetime] = {}
    for x in sales:
        first_line[x["order_id"]] = min(x["ordered_at"], first_line.get(x["order_id"], x["ordered_at"]))
    units = sum(x["quantity"] for x in month)
    revenue = math.fsum(x["quantity"] * x["unit_price"] for x in month)
    return {
        "event_timestamp": end,
        "created_timestamp": max([end, *(x["received_at"] for x in sales), *(x["received_at"] for x in cancelled)]),
        "units_sold_7d": sum(x["quantity"] for x in week),
        "units_sold_30d": units,
        "orders_30d": sum(at >= end - 30 * DAY for at in first_line.values()),
        "revenue_30d": revenue,
        "customers_30d": len({x["customer_id"] for x in month}),
        "avg_unit_price_30d": revenue / units if units else None,
        "cancelled_lines_30d": len(cancelled),
        "days_since_last_sale": (end - max(x["ordered_at"] for x in sales)) // DAY,
        "days_since_first_sale": (end - min(x["ordered_at"] for x in sales)) // DAY,
    }


def test_columns_are_those_of_the_spec_in_its_order() -> None:
    assert compute(orders(line("2024-01-01")), "2024-01-01").schema == expected_schema(SPEC)
    assert compute(orders(), "2024-01-01", "2024-01-31").schema == expected_schema(SPEC)


def test_three_sales_give_the_values_worked_out_by_hand() -> None:
    raw = orders(
        line("2024-01-01T12:00", customer="c1", order="a", quantity=3, unit_price=2.0),
        line("2024-01-20T12:00", customer="c1", order="b", quantity=1, unit_price=4.0),
        line("2024-01-28T00:00", customer="c2", order="c", quantity=2, unit_price=5.0),
        line("2024-01-29T09:00", customer="c2", order="d", kind="cancellation", quantity=-2),
        line("2024-01-29T09:00", customer="c2", order="e", kind="return", quantity=-2),
    )

    (found,) = compute(raw, "2024-01-30").to_pylist()

    assert found == {
        "product_id": "p1",
        "event_timestamp": datetime(2024, 1, 31, tzinfo=UTC),
        "created_timestamp": datetime(2024, 1, 31, tzinfo=UTC),
        "units_sold_7d": 2,
        "units_sold_30d": 6,
        "orders_30d": 3,
        "revenue_30d": 20.0,
        "customers_30d": 2,
        "avg_unit_price_30d": pytest.approx(20 / 6, rel=1e-7),
        "cancelled_lines_30d": 1,
        "days_since_last_sale": 3,
        "days_since_first_sale": 29,
        "dt": date(2024, 1, 30),
    }


@pytest.mark.parametrize("window", [7, 30])
def test_a_window_of_n_days_holds_a_sale_for_n_partitions(window: int) -> None:
    rows = compute(orders(line("2024-01-01T00:00")), "2024-01-01", "2024-12-30").to_pylist()

    assert sum(bool(found[f"units_sold_{window}d"]) for found in rows) == window


def test_a_product_is_there_for_90_partitions_after_a_sale_and_has_no_price_after_30() -> None:
    rows = by_day(orders(line("2024-01-01T23:00")), "2023-12-30", "2024-12-30")

    assert [min(rows), max(rows), len(rows)] == [date(2024, 1, 1), date(2024, 3, 30), 90]
    assert rows[date(2024, 1, 30)]["avg_unit_price_30d"] == 10.0
    assert rows[date(2024, 1, 31)]["avg_unit_price_30d"] is None
    assert rows[date(2024, 1, 31)]["revenue_30d"] == 0.0


def test_a_gift_sells_units_without_revenue() -> None:
    (found,) = compute(orders(line("2024-01-01", unit_price=0.0, quantity=4)), "2024-01-01").to_pylist()

    assert (found["units_sold_7d"], found["revenue_30d"], found["avg_unit_price_30d"]) == (4, 0.0, 0.0)


def test_a_customer_who_buys_again_counts_once_and_leaves_30_days_after_the_last_time() -> None:
    raw = orders(
        line("2024-01-01", customer="c1"),
        line("2024-01-20", customer="c1"),
        line("2024-01-20", customer="c2"),
        line("2024-04-01", customer="c3"),
    )

    counts = {day: found["customers_30d"] for day, found in by_day(raw, "2024-01-01", "2024-03-31").items()}

    assert counts[date(2024, 1, 19)] == 1
    assert counts[date(2024, 1, 20)] == counts[date(2024, 2, 18)] == 2
    assert counts[date(2024, 2, 19)] == 0


def test_lines_without_a_product_make_no_row() -> None:
    assert compute(orders(line("2024-01-01", product_id=None)), "2024-01-01").num_rows == 0


def test_a_product_that_was_only_cancelled_has_no_row() -> None:
    assert compute(orders(line("2024-01-01", kind="cancellation")), "2024-01-01").num_rows == 0


def test_sales_of_the_next_day_change_nothing() -> None:
    before = line("2024-01-01T10:00")
    later = [line("2024-01-02T00:00:00", order="n"), line("2024-01-02T09:00", kind="cancellation")]

    assert compute(orders(before, *later), "2024-01-01").equals(compute(orders(before), "2024-01-01"))


def test_a_late_cancellation_counts_as_known_only_while_it_is_in_its_window() -> None:
    received = datetime(2024, 12, 1, tzinfo=UTC)
    raw = orders(line("2024-01-01"), line("2024-01-02", kind="cancellation", received_at=received))

    created = {day: found["created_timestamp"] for day, found in by_day(raw, "2024-01-01", "2024-03-30").items()}

    assert created[date(2024, 1, 1)] == datetime(2024, 1, 2, tzinfo=UTC)
    assert created[date(2024, 1, 31)] == received
    assert created[date(2024, 2, 1)] == datetime(2024, 2, 2, tzinfo=UTC)


def test_every_row_of_a_year_equals_a_plain_loop_over_the_lines() -> None:
    raw = random_orders(rows=700, customers=40, first_day="2023-01-01", days=420, seed=11)
    # A product that sells out, and two orders over midnight.
    raw = pa.concat_tables(
        [
            raw,
            orders(
                line("2023-02-01T08:00", product_id="gone", quantity=5),
                line("2023-06-01T23:59:59.999999", order="m", product_id="p1", quantity=2),
                line("2023-06-02T00:00:00", order="m", line=2, product_id="p1", quantity=3),
            ),
        ]
    )
    lines: dict[str, list[dict[str, Any]]] = {}
    for x in raw.to_pylist():
        if x["product_id"] is not None:
            lines.setdefault(x["product_id"], []).append(x)

    start, end = "2023-03-01", "2024-02-28"
    found = {(row.pop("product_id"), row.pop("dt")): row for row in compute(raw, start, end).to_pylist()}

    days = [date.fromisoformat(key) for key in span(start, end)]
    expected = {(p, day): row for p in lines for day in days if (row := recompute(lines[p], day))}
    assert found.keys() == expected.keys()
    assert len(expected) > 3_000
    assert ("gone", date(2023, 5, 1)) in expected
    assert ("gone", date(2023, 5, 2)) not in expected
    for key, row in expected.items():
        for name, value in row.items():
            if isinstance(value, float):
                # A float32 holds 24 bits: half a unit in the last place is 6e-8 of the value.
                np.testing.assert_allclose(found[key][name], value, rtol=1e-7, err_msg=f"{key} {name}")
            else:
                assert found[key][name] == value, (key, name)


def test_a_range_gives_the_same_rows_as_its_days_one_by_one() -> None:
    raw = random_orders(rows=600, customers=15, first_day="2023-01-01", days=500, seed=3)
    start, end = "2023-11-01", "2024-04-15"

    whole = compute(raw, start, end)

    assert whole.num_rows > 1_000
    assert broken_promises(whole, SPEC) == []
    for day in span(start, end)[::14]:
        assert whole.filter(pc.field("dt") == date.fromisoformat(day)).equals(compute(raw, day)), day
