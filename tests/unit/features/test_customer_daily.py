"""customer_daily.sql against values worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.features.checks import expected_schema
from include.partitions import span
from include.specs.groups import load_feature_group
from tests.promises import broken_promises
from tests.raw_orders import line, orders, random_orders

SPEC = load_feature_group("customer_daily")
SQL = SPEC.sql_path.read_text(encoding="utf-8")


def compute(raw: pa.Table, start: str, end: str | None = None) -> pa.Table:
    days = {"start_day": start, "end_day": end or start}
    return DuckDbCompute().run_select(SQL, {"orders": raw}, purpose="test", parameters=days)


def compute_on(threads: int, raw: pa.Table) -> pa.Table:
    with DuckDbCompute().open_session(purpose="test") as con:
        con.execute(f"SET threads = {threads}")
        con.register("orders", raw)
        return con.sql(SQL, params={"start_day": "2024-01-01", "end_day": "2024-02-15"}).to_arrow_table()


def row(raw: pa.Table, day: str) -> dict[str, Any]:
    (found,) = compute(raw, day).to_pylist()
    return found


def test_columns_are_those_of_the_spec_in_its_order() -> None:
    assert compute(orders(line("2024-01-01")), "2024-01-01").schema == expected_schema(SPEC)


def test_two_orders_give_the_values_worked_out_by_hand() -> None:
    raw = orders(
        line("2024-01-01T12:00", order="a", quantity=3, unit_price=2.5),
        line("2024-01-01T12:01", order="a", product_id="p2", quantity=1, unit_price=4.5),
        line("2024-01-05T00:00", order="b", product_id="p2", quantity=2, unit_price=4.0),
    )

    found = row(raw, "2024-01-10")

    assert found == {
        "customer_id": "c1",
        "event_timestamp": datetime(2024, 1, 11, tzinfo=UTC),
        "created_timestamp": datetime(2024, 1, 11, tzinfo=UTC),
        "total_orders_30d": 2,
        "total_orders_90d": 2,
        "total_orders_180d": 2,
        "total_spend_30d": 20.0,
        "total_spend_90d": 20.0,
        "total_spend_180d": 20.0,
        "avg_order_value": 10.0,
        "days_since_last_order": 6,
        "tenure_days": 9,
        "avg_order_gap_days": 3.5,
        "distinct_products_90d": 2,
        "cancelled_lines_90d": 0,
        "dt": date(2024, 1, 10),
    }


@pytest.mark.parametrize("window", [30, 90, 180])
def test_a_window_of_n_days_holds_the_order_for_n_partitions(window: int) -> None:
    rows = compute(orders(line("2024-01-01T00:00")), "2024-01-01", "2024-12-30").to_pylist()

    counted = [found["dt"] for found in rows if found[f"total_orders_{window}d"]]
    spent = [found["dt"] for found in rows if found[f"total_spend_{window}d"]]

    assert len(counted) == len(spent) == window
    assert counted[0] == date(2024, 1, 1)


def test_a_customer_is_there_for_365_partitions_after_an_order() -> None:
    rows = compute(orders(line("2023-01-01T00:00")), "2022-12-30", "2024-01-10").to_pylist()

    assert [rows[0]["dt"], rows[-1]["dt"], len(rows)] == [date(2023, 1, 1), date(2023, 12, 31), 365]


def test_a_returning_customer_comes_back_with_all_of_the_history() -> None:
    raw = orders(line("2022-01-01", unit_price=4.0), line("2024-01-01", unit_price=8.0))

    assert compute(raw, "2023-12-31").num_rows == 0
    found = row(raw, "2024-01-01")
    assert (found["tenure_days"], found["avg_order_value"], found["avg_order_gap_days"]) == (731, 6.0, 730.0)
    assert found["total_orders_180d"] == 1


def test_an_order_on_the_last_instant_of_a_day_is_zero_days_old_and_at_its_first_instant_one() -> None:
    assert row(orders(line("2024-01-01T23:59:59.999999")), "2024-01-01")["days_since_last_order"] == 0
    assert row(orders(line("2024-01-01T00:00:00")), "2024-01-01")["days_since_last_order"] == 1


def test_orders_of_the_next_day_change_nothing() -> None:
    before = line("2024-01-01T10:00")
    later = [line("2024-01-02T00:00:00", order="n"), line("2024-01-02T09:00", kind="cancellation")]

    assert compute(orders(before, *later), "2024-01-01").equals(compute(orders(before), "2024-01-01"))


def test_an_order_over_midnight_is_one_order_on_its_first_day_and_spends_on_both() -> None:
    raw = orders(line("2024-01-01T23:59", order="a"), line("2024-01-02T00:01", order="a", line=2))

    first, second = compute(raw, "2024-01-01", "2024-01-02").to_pylist()

    assert (first["total_orders_30d"], first["total_spend_30d"]) == (1, 10.0)
    assert (second["total_orders_30d"], second["total_spend_30d"]) == (1, 20.0)
    assert second["avg_order_gap_days"] is None


def test_only_sales_make_orders_and_spend() -> None:
    sale = line("2024-01-01", unit_price=7.0)
    undone = [
        line("2024-01-02", order=f"x-{kind}", kind=kind, quantity=-1, product_id="other")
        for kind in ("return", "dispute", "cancellation")
    ]

    found = row(orders(sale, *undone), "2024-01-03")

    assert found["cancelled_lines_90d"] == 1
    del found["cancelled_lines_90d"]
    alone = row(orders(sale), "2024-01-03")
    assert found == {name: value for name, value in alone.items() if name != "cancelled_lines_90d"}


def test_a_customer_with_cancellations_only_has_no_row() -> None:
    assert compute(orders(line("2024-01-01", kind="cancellation")), "2024-01-01").num_rows == 0


def test_a_gift_is_an_order_without_spend() -> None:
    found = row(orders(line("2024-01-01", unit_price=0.0)), "2024-01-01")

    assert (found["total_orders_30d"], found["total_spend_30d"], found["avg_order_value"]) == (1, 0.0, 0.0)


def test_a_product_bought_again_counts_once_and_leaves_90_days_after_the_last_time() -> None:
    raw = orders(
        line("2024-01-01", product_id="p1"),
        line("2024-02-01", product_id="p1"),
        line("2024-02-01", product_id="p2"),
        line("2024-02-02", product_id=None),
    )

    counts = {
        found["dt"]: found["distinct_products_90d"] for found in compute(raw, "2024-01-01", "2024-06-30").to_pylist()
    }

    assert counts[date(2024, 1, 31)] == 1
    assert counts[date(2024, 2, 1)] == counts[date(2024, 4, 30)] == 2
    assert counts[date(2024, 5, 1)] == 0


def test_a_late_order_makes_its_rows_known_when_it_was_received() -> None:
    received = datetime(2024, 1, 9, 7, 30, tzinfo=UTC)
    raw = orders(line("2024-01-01"), line("2024-01-03", received_at=received))

    created = [found["created_timestamp"] for found in compute(raw, "2024-01-02", "2024-01-09").to_pylist()]

    assert created[0] == datetime(2024, 1, 3, tzinfo=UTC)
    assert created[1] == created[-2] == received
    assert created[-1] == datetime(2024, 1, 10, tzinfo=UTC)


def test_a_late_cancellation_counts_as_known_only_while_it_is_in_its_window() -> None:
    received = datetime(2024, 12, 1, tzinfo=UTC)
    raw = orders(line("2024-01-01"), line("2024-01-02", kind="cancellation", received_at=received))

    created = {
        found["dt"]: found["created_timestamp"] for found in compute(raw, "2024-01-01", "2024-06-30").to_pylist()
    }

    assert created[date(2024, 1, 1)] == datetime(2024, 1, 2, tzinfo=UTC)
    assert created[date(2024, 3, 31)] == received
    assert created[date(2024, 4, 1)] == datetime(2024, 4, 2, tzinfo=UTC)


def test_money_is_summed_exactly() -> None:
    raw = orders(*(line("2024-01-01", order=f"o{n}", unit_price=0.1) for n in range(10)))

    assert row(raw, "2024-01-01")["total_spend_30d"] == 1.0


def test_a_range_gives_the_same_rows_as_its_days_one_by_one() -> None:
    raw = random_orders(rows=600, customers=15, first_day="2023-01-01", days=500, seed=3)
    start, end = "2023-11-01", "2024-04-15"

    whole = compute(raw, start, end)

    assert whole.num_rows > 1_000
    assert broken_promises(whole, SPEC) == []
    for day in span(start, end)[::14]:
        assert whole.filter(pc.field("dt") == date.fromisoformat(day)).equals(compute(raw, day)), day


def test_the_order_of_rows_and_the_number_of_threads_change_nothing() -> None:
    raw = random_orders(rows=600, customers=15, first_day="2023-01-01", days=500, seed=4)

    assert compute_on(1, raw).equals(compute_on(4, raw.take(list(range(raw.num_rows))[::-1])))


def test_no_orders_give_an_empty_table_of_the_right_schema() -> None:
    found = compute(orders(), "2024-01-01", "2024-01-31")

    assert found.num_rows == 0
    assert found.schema == expected_schema(SPEC)
