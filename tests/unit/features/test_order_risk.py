"""order_risk.sql against values worked out by hand, and against a plain loop over seeded orders."""

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

SPEC = load_feature_group("order_risk")
SQL = SPEC.sql_path.read_text(encoding="utf-8")


def compute(raw: pa.Table, start: str, end: str | None = None) -> pa.Table:
    return DuckDbCompute().run_select(
        SQL, {"orders": raw}, purpose="test", parameters={"start_day": start, "end_day": end or start}
    )


def row(raw: pa.Table, day: str, order: str) -> dict[str, Any]:
    (found,) = (x for x in compute(raw, day).to_pylist() if x["order_id"] == order)
    return found


def recompute(lines: list[dict[str, Any]], order: str) -> dict[str, Any]:
    """Return one order's row from all lines, without any of the project's code."""
    sales = [x for x in lines if x["kind"] == "sale"]
    first: dict[str, dict[str, Any]] = {}
    for x in sorted(sales, key=lambda x: (x["ordered_at"], x["customer_id"])):
        first.setdefault(x["order_id"], x)
    customer, placed_at, day = (first[order][name] for name in ("customer_id", "ordered_at", "dt"))
    own = [x for x in sales if x["order_id"] == order and x["dt"] == day]
    earlier = [x for x in lines if x["customer_id"] == customer and x["ordered_at"] < placed_at]
    spent = [x for x in earlier if x["kind"] == "sale"]
    disputes = [x for x in earlier if x["kind"] == "dispute"]
    orders_before = [x for x in first.values() if x["customer_id"] == customer and x["ordered_at"] < placed_at]
    value = math.fsum(x["quantity"] * x["unit_price"] for x in own)
    spend = math.fsum(x["quantity"] * x["unit_price"] for x in spent)
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    previous = max((x["ordered_at"] for x in orders_before), default=None)
    return {
        "order_id": order,
        "event_timestamp": end,
        "created_timestamp": max([end, *(x["received_at"] for x in [*own, *spent, *disputes])]),
        "order_value": value,
        "lines": len(own),
        "units": sum(x["quantity"] for x in own),
        "max_unit_price": max(x["unit_price"] for x in own),
        "distinct_products": len({x["product_id"] for x in own} - {None}),
        "country": min(x["country"] for x in own),
        "hour_of_day": placed_at.hour,
        "customer_orders_before": len(orders_before),
        "customer_spend_before": spend,
        "customer_disputes_before": len(disputes),
        "is_new_customer": int(not orders_before),
        "hours_since_previous_order": (placed_at - previous) / timedelta(hours=1) if previous else None,
        "value_to_customer_mean": value / (spend / len(orders_before)) if orders_before and spend else None,
        "dt": day,
    }


def test_columns_are_those_of_the_spec_in_its_order() -> None:
    assert compute(orders(line("2024-01-01")), "2024-01-01").schema == expected_schema(SPEC)
    assert compute(orders(), "2024-01-01", "2024-01-31").schema == expected_schema(SPEC)


def test_a_second_order_gives_the_values_worked_out_by_hand() -> None:
    raw = orders(
        line("2024-01-01T12:00", order="a", quantity=3, unit_price=4.0),
        line("2024-01-04T08:00", order="x-a", kind="dispute", quantity=-1, ref_order_id="a"),
        line("2024-01-05T15:30", order="b", quantity=2, unit_price=9.0, country="FR"),
        line("2024-01-05T15:30", order="b", line=2, product_id="p2", quantity=1, unit_price=6.0, country="FR"),
    )

    assert row(raw, "2024-01-05", "b") == {
        "order_id": "b",
        "event_timestamp": datetime(2024, 1, 6, tzinfo=UTC),
        "created_timestamp": datetime(2024, 1, 6, tzinfo=UTC),
        "order_value": 24.0,
        "lines": 2,
        "units": 3,
        "max_unit_price": 9.0,
        "distinct_products": 2,
        "country": "FR",
        "hour_of_day": 15,
        "customer_orders_before": 1,
        "customer_spend_before": 12.0,
        "customer_disputes_before": 1,
        "is_new_customer": 0,
        "hours_since_previous_order": 99.5,
        "value_to_customer_mean": 2.0,
        "dt": date(2024, 1, 5),
    }


def test_a_first_order_knows_of_no_earlier_one() -> None:
    found = row(orders(line("2024-01-01", order="a")), "2024-01-01", "a")

    assert (found["is_new_customer"], found["customer_orders_before"], found["customer_spend_before"]) == (1, 0, 0.0)
    assert found["hours_since_previous_order"] is None
    assert found["value_to_customer_mean"] is None


def test_after_gifts_alone_there_is_no_mean_to_compare_with() -> None:
    raw = orders(line("2024-01-01", order="a", unit_price=0.0), line("2024-01-02", order="b"))

    found = row(raw, "2024-01-02", "b")

    assert (found["customer_orders_before"], found["value_to_customer_mean"]) == (1, None)


@pytest.mark.parametrize("kind", ["dispute", "cancellation", "return", "sale"])
@pytest.mark.parametrize("at", ["2024-01-01T10:00:00", "2024-01-01T10:00:01", "2024-01-03T08:00:00"])
def test_nothing_of_the_orders_instant_or_later_changes_its_row(kind: str, at: str) -> None:
    order = line("2024-01-01T10:00:00", order="a")
    later = line(at, order="later", kind=kind, ref_order_id="a", quantity=1 if kind == "sale" else -1)

    assert row(orders(order, later), "2024-01-01", "a") == row(orders(order), "2024-01-01", "a")


def test_an_order_over_midnight_has_one_row_of_its_lines_before_midnight() -> None:
    raw = orders(line("2024-01-01T23:59", order="a"), line("2024-01-02T00:01", order="a", line=2))

    (found,) = compute(raw, "2024-01-01", "2024-01-02").to_pylist()

    assert (found["dt"], found["lines"]) == (date(2024, 1, 1), 1)


def test_a_day_without_orders_has_no_rows() -> None:
    assert compute(orders(line("2024-01-01")), "2024-01-02").num_rows == 0


def test_a_late_line_of_the_order_or_of_its_customers_past_makes_the_row_known_later() -> None:
    received = datetime(2024, 1, 9, 7, 30, tzinfo=UTC)
    past, order = line("2024-01-01", order="a"), line("2024-01-03", order="b")

    for late, other in ((past, order), (order, past)):
        found = row(orders({**late, "received_at": received}, other), "2024-01-03", "b")
        assert found["created_timestamp"] == received
    unrelated = line("2024-01-01", customer="c2", received_at=received)
    assert row(orders(past, order, unrelated), "2024-01-03", "b")["created_timestamp"] == datetime(
        2024, 1, 4, tzinfo=UTC
    )


def test_an_order_with_lines_of_two_customers_is_the_first_ones() -> None:
    raw = orders(
        line("2024-01-01T09:00", customer="c2", order="a"), line("2024-01-01T10:00", customer="c1", order="a", line=2)
    )

    (found,) = compute(raw, "2024-01-01").to_pylist()

    assert (found["lines"], found["is_new_customer"]) == (2, 1)


def test_every_row_of_a_year_equals_a_plain_loop_over_the_lines() -> None:
    raw = random_orders(rows=1_500, customers=40, first_day="2023-01-01", days=420, seed=12)
    lines = raw.to_pylist()
    start, end = date(2023, 3, 1), date(2024, 2, 28)

    found = compute(raw, start.isoformat(), end.isoformat()).to_pylist()

    expected = [recompute(lines, order) for order in sorted({x["order_id"] for x in lines if x["kind"] == "sale"})]
    expected = [x for x in expected if start <= x["dt"] <= end]
    assert len(expected) > 400
    assert [x["order_id"] for x in found] == [x["order_id"] for x in expected]
    for have, want in zip(found, expected, strict=True):
        for name, value in want.items():
            if isinstance(value, float):
                # A float32 holds 24 bits: half a unit in the last place is 6e-8 of the value.
                np.testing.assert_allclose(have[name], value, rtol=1e-7, err_msg=f"{want['order_id']} {name}")
            else:
                assert have[name] == value, (want["order_id"], name)


def test_a_range_gives_the_same_rows_as_its_days_one_by_one() -> None:
    raw = random_orders(rows=600, customers=15, first_day="2023-01-01", days=500, seed=3)
    start, end = "2023-11-01", "2024-04-15"

    whole = compute(raw, start, end)

    assert whole.num_rows > 80
    assert broken_promises(whole, SPEC) == []
    for day in span(start, end)[::14]:
        assert whole.filter(pc.field("dt") == date.fromisoformat(day)).equals(compute(raw, day)), day
