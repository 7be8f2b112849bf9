from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa

from include.quality.merge import SAYS_RECEIVED, MergeCounts, merge_counts_sql, merged_sql, met_sql

SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("line", pa.int64()),
        ("customer_id", pa.string()),
        ("ordered_at", pa.timestamp("us", "UTC")),
        ("quantity", pa.int64()),
        ("received_at", pa.timestamp("us", "UTC")),
        ("dt", pa.date32()),
    ]
)


def _rows(*rows: tuple[str, int, int]) -> pa.Table:
    """Return lines of (order, quantity, day received)."""
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    values = [
        (order, 1, "17850", at, quantity, datetime(2026, 3, day, tzinfo=UTC), date(2026, 3, 1))
        for order, quantity, day in rows
    ]
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in values], schema=SCHEMA)


KEY = ("order_id", "line")


def _merged(present: pa.Table, incoming: pa.Table, *, says: bool = True) -> tuple[list[tuple[str, int]], MergeCounts]:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("present", present)
    con.register("incoming", incoming.append_column(SAYS_RECEIVED, pa.array([says] * incoming.num_rows, pa.bool_())))
    con.execute(f"CREATE TABLE met AS {met_sql(SCHEMA.names, KEY)}")
    rows = con.sql(merged_sql(SCHEMA.names, KEY, KEY)).to_arrow_table().to_pylist()
    [counts] = con.execute(merge_counts_sql()).fetchall()
    return [(row["order_id"], row["quantity"]) for row in rows], MergeCounts(*counts)


def test_newest_received_wins_in_whichever_order_they_come():
    old, new = _rows(("A", 1, 2)), _rows(("A", 9, 5))
    assert _merged(old, new) == ([("A", 9)], MergeCounts(added=0, replaced=1, unchanged=0, superseded=0, conflicting=0))
    assert _merged(new, old) == ([("A", 9)], MergeCounts(added=0, replaced=0, unchanged=0, superseded=1, conflicting=0))


def test_other_row_received_at_the_same_time_is_counted_and_does_not_replace():
    rows, counts = _merged(_rows(("A", 1, 2)), _rows(("A", 9, 2)))
    assert (rows, counts.conflicting, counts.replaced) == ([("A", 1)], 1, 0)


def test_a_row_without_a_time_of_its_own_replaces_one_that_was_not_received_later():
    assert _merged(_rows(("A", 1, 2)), _rows(("A", 9, 2)), says=False)[0] == [("A", 9)]
    rows, counts = _merged(_rows(("A", 1, 3)), _rows(("A", 9, 2)), says=False)
    assert (rows, counts.superseded) == ([("A", 1)], 1)
    rows, counts = _merged(_rows(("A", 1, 3)), _rows(("A", 1, 2), ("B", 1, 2)), says=False)
    assert (rows, counts.unchanged, counts.added) == ([("A", 1), ("B", 1)], 1, 1)


def test_the_same_rows_again_change_nothing():
    rows = _rows(("A", 1, 2), ("B", 2, 2))
    assert _merged(rows, rows) == ([("A", 1), ("B", 2)], MergeCounts(0, 0, unchanged=2, superseded=0, conflicting=0))


def test_other_lines_stay_and_every_incoming_row_is_counted_once():
    present = _rows(("A", 1, 5), ("B", 1, 2), ("C", 1, 2), ("D", 1, 2))
    incoming = _rows(("A", 2, 2), ("B", 2, 5), ("C", 1, 2), ("E", 1, 2))
    rows, counts = _merged(present, incoming)
    assert rows == [("A", 1), ("B", 2), ("C", 1), ("D", 1), ("E", 1)]
    assert counts == MergeCounts(added=1, replaced=1, unchanged=1, superseded=1, conflicting=0)


def test_an_empty_delivery_keeps_what_is_there():
    assert _merged(_rows(("A", 1, 2)), SCHEMA.empty_table())[0] == [("A", 1)]
