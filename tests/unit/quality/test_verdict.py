from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from include.quality.formats import typed_sql
from include.quality.verdict import failing_rows_sql, verdict_sql
from include.specs.sources import load_source
from tests.unit.quality.orders_builder import AS_OF, make_orders, order, table

SPEC = load_source("orders")


def _typed(rows):
    import pyarrow as pa

    names = rows.column_names
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("delivered", rows.append_column("_row", pa.array(range(1, rows.num_rows + 1), pa.int64())))
    typed = typed_sql(SPEC, "canonical", present=names, naive=[], time_zone="UTC")
    con.execute(f"CREATE TABLE typed AS SELECT 0 AS _file, * FROM ({typed})")
    return con


def _verdicts(*rows):
    con = _typed(table(*rows))
    sql = verdict_sql(SPEC, as_of=AS_OF, delivered_by=None)
    return [rule for (rule,) in con.execute(f"SELECT _rule FROM ({sql}) ORDER BY _row").fetchall()]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, None),
        ({"order_id": None}, "order_id_missing"),
        ({"line": None}, "line_missing"),
        ({"customer_id": None}, "customer_id_missing"),
        ({"ordered_at": None}, "ordered_at_missing"),
        ({"quantity": None}, "quantity_not_finite"),
        ({"quantity": float("nan")}, "quantity_not_finite"),
        ({"quantity": float("inf")}, "quantity_not_finite"),
        ({"unit_price": float("-inf")}, "unit_price_not_finite"),
        ({"unit_price": -0.01}, "unit_price_negative"),
        ({"unit_price": 0.0}, None),
        ({"unit_price": -0.0}, None),
        ({"quantity": 0}, "sale_quantity_not_positive"),
        ({"quantity": -1, "kind": None}, "sale_quantity_not_positive"),
        ({"quantity": -1, "kind": "cancellation"}, None),
        ({"quantity": 0, "kind": "return"}, None),
        ({"quantity": 10_000_000, "unit_price": 1.0}, None),
        ({"quantity": 10_000_001, "unit_price": 0.0}, "quantity_too_large"),
        ({"quantity": -10_000_001, "unit_price": 0.0, "kind": "cancellation"}, "quantity_too_large"),
        ({"quantity": float("-inf"), "kind": "return"}, "quantity_not_finite"),
        ({"quantity": 1, "unit_price": 10_000_000.0}, None),
        ({"quantity": 2_000_000, "unit_price": 1_000_000.0}, "line_value_too_large"),
        ({"quantity": -1, "unit_price": 10_000_000.01, "kind": "cancellation"}, "line_value_too_large"),
        ({"quantity": 100, "unit_price": 1e308}, "line_value_too_large"),
        ({"ordered_at": AS_OF}, None),
        ({"ordered_at": AS_OF + timedelta(microseconds=1)}, "ordered_at_after_as_of"),
        ({"received_at": AS_OF + timedelta(microseconds=1)}, "received_at_after_as_of"),
        ({"ordered_at": datetime(1, 1, 1, tzinfo=UTC)}, "ordered_at_too_early"),
        ({"ordered_at": datetime(1980, 1, 1, tzinfo=UTC)}, None),
        ({"kind": "Sale"}, "kind_unknown"),
        ({"kind": "dispute"}, None),
        ({"product_id": None, "category": None, "country": None}, None),
    ],
)
def test_row_falls_under_the_rule_it_breaks(changes, rule):
    assert _verdicts(order(**changes)) == [rule]


def test_row_that_breaks_several_rules_falls_under_the_first_of_the_list():
    assert _verdicts(order(customer_id=None, unit_price=-1.0, kind="gift")) == ["customer_id_missing"]
    assert _verdicts(order(unit_price=-1.0, kind="gift")) == ["unit_price_negative"]


def test_duplicate_is_the_later_row_and_null_equals_null():
    assert _verdicts(order(), order(line=2), order(), order()) == [None, None, "duplicate_row", "duplicate_row"]


def test_duplicate_of_a_rejected_row_keeps_that_rows_reason():
    assert _verdicts(order(customer_id=None), order(customer_id=None)) == ["customer_id_missing"] * 2


def test_newest_received_version_of_a_line_is_kept_wherever_it_stands():
    newer, older = datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    rows = [order(quantity=1, received_at=older), order(quantity=2, received_at=newer), order(quantity=3)]
    # Without received_at the row counts as known at 2026-03-02.
    assert _verdicts(*rows) == ["superseded", None, "superseded"]


def test_of_versions_received_at_one_time_the_later_row_is_kept():
    assert _verdicts(order(quantity=1), order(quantity=2)) == ["superseded", None]


def test_rejected_version_supersedes_nothing():
    newer = datetime(2026, 3, 9, tzinfo=UTC)
    assert _verdicts(order(), order(unit_price=-1.0, received_at=newer)) == [None, "unit_price_negative"]


def test_sound_rows_pass_and_no_rule_counts_one():
    rows = make_orders(60, seed=3)
    con = _typed(rows)
    assert con.execute(failing_rows_sql(SPEC, as_of=AS_OF)).fetchall() == [(0,) * len(SPEC.rules)]


def test_failing_rows_are_counted_by_every_rule_they_break_and_groups_with_all_members():
    broken = order(order_id="B", customer_id=None, unit_price=-1.0)
    con = _typed(table(order(), order(), order(quantity=5), broken))
    relation = con.sql(failing_rows_sql(SPEC, as_of=AS_OF))
    counts = dict(zip(relation.columns, relation.fetchall()[0], strict=True))
    assert {rule: n for rule, n in counts.items() if n} == {
        "customer_id_missing": 1,
        "unit_price_negative": 1,
        "duplicate_row": 2,
    }


def test_time_at_the_end_of_the_range_is_rejected_without_an_overflow():
    import pyarrow as pa

    rows = table(order(), order(line=2))
    extreme = pa.chunked_array([pa.array([2**63 - 2, -(2**63) + 2], pa.timestamp("us", "UTC"))])
    con = _typed(rows.set_column(rows.column_names.index("ordered_at"), "ordered_at", extreme))
    sql = verdict_sql(SPEC, as_of=AS_OF, delivered_by=None)
    assert con.execute(f"SELECT _rule FROM ({sql}) ORDER BY _row").fetchall() == [
        ("ordered_at_after_as_of",),
        ("ordered_at_too_early",),
    ]
