# Files hold local times without a zone.
# ruff: noqa: DTZ001
from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from include.errors import UsageError
from include.quality.formats import columns_named, event_column, file_columns, normal_key, typed_sql
from include.specs.source_formats import FormatSpec
from include.specs.sources import SourceSpec, load_source

SPEC = load_source("orders")


def _canonical(rows: pa.Table, file_format: str, time_zone: str = "UTC") -> list[dict]:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("delivered", rows.append_column("_row", pa.array(range(1, rows.num_rows + 1), pa.int64())))
    naive = [field.name for field in rows.schema if field.type == pa.timestamp("us")]
    sql = typed_sql(SPEC, file_format, present=rows.column_names, naive=naive, time_zone=time_zone)
    return con.sql(f"FROM ({sql}) ORDER BY _row").to_arrow_table().to_pylist()


def _retail(n: int = 1, **changes: list) -> pa.Table:
    columns = {
        "InvoiceNo": ["536365"] * n,
        "StockCode": ["85123A"] * n,
        "Quantity": [6] * n,
        "InvoiceDate": [datetime(2010, 12, 1, 8, 26)] * n,
        "UnitPrice": [2.55] * n,
        "CustomerID": ["17850"] * n,
        "Country": ["United Kingdom"] * n,
    }
    return pa.table(columns | changes)


def test_the_line_of_an_invoice_is_what_it_says_wherever_it_stands():
    columns = {"InvoiceNo": ["1", "2", "1", "1"], "StockCode": ["a", "a", "b", "a"]}
    rows = {(r["order_id"], r["product_id"]): r["line"] for r in _canonical(_retail(4, **columns), "online-retail")}
    other = {name: values[::-1] for name, values in columns.items()}
    again = {(r["order_id"], r["product_id"]): r["line"] for r in _canonical(_retail(4, **other), "online-retail")}
    assert rows == again
    assert len(set(rows.values())) == len(rows) == 3
    assert all(0 <= line < 2**52 for line in rows.values())


def test_invoice_that_starts_with_c_is_a_cancellation_and_no_other():
    rows = _canonical(_retail(3, InvoiceNo=["C536379", "536379", "A563185"]), "online-retail")
    assert [row["kind"] for row in rows] == ["cancellation", "sale", "sale"]


@pytest.mark.parametrize("time_zone", ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata"])
def test_local_times_agree_with_the_standard_librarys_zones(time_zone):
    times = [datetime(2011, month, 15, hour, 7) for month in range(1, 13) for hour in (0, 12, 23)]
    rows = _canonical(_retail(len(times), InvoiceDate=times), "online-retail", time_zone)
    assert [row["ordered_at"] for row in rows] == [t.replace(tzinfo=ZoneInfo(time_zone)).astimezone(UTC) for t in times]


def test_local_time_that_occurs_twice_is_the_second_and_one_that_does_not_exist_keeps_the_old_offset():
    times = [datetime(2011, 10, 30, 1, 30), datetime(2011, 3, 27, 1, 30)]
    twice, never = (
        row["ordered_at"] for row in _canonical(_retail(2, InvoiceDate=times), "online-retail", "Europe/London")
    )
    london = ZoneInfo("Europe/London")
    assert twice == times[0].replace(tzinfo=london, fold=1).astimezone(UTC) == datetime(2011, 10, 30, 1, 30, tzinfo=UTC)
    assert never.astimezone(london) == datetime(2011, 3, 27, 2, 30, tzinfo=london)


def test_aware_times_ignore_the_time_zone():
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    rows = pa.table({"order_id": ["1"], "ordered_at": pa.array([at], pa.timestamp("us", "UTC"))})
    columns = {c.name for c in SPEC.columns} - set(rows.column_names)
    for name in columns - {"received_at", "kind", "ref_order_id"}:
        rows = rows.append_column(name, pa.nulls(1, pa.string() if name not in ("line", "quantity") else pa.int64()))
    assert _canonical(rows, "canonical", "Asia/Kolkata")[0]["ordered_at"] == at


def test_keys_never_end_as_floats():
    rows = _canonical(_retail(3, CustomerID=["17850.0", "17850", "A.0"]), "online-retail")
    assert [row["customer_id"] for row in rows] == ["17850", "17850", "A.0"]


def test_a_key_is_normalised_alike_in_sql_and_in_python():
    keys = ["17850.0", "17850", "A.0", "17850.00", ".0", "1.0.0", "-1.0", "17850.0 ", "17850.0\n", "\u0661.0", "0.0"]
    rows = _canonical(_retail(len(keys), CustomerID=keys), "online-retail")
    assert [row["customer_id"] for row in rows] == [normal_key(key) for key in keys]


def test_unknown_format_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'online-retail'"):
        file_columns(SPEC, "online_retail")


def _with_format(columns: dict[str, str], **types: str) -> SourceSpec:
    layout = FormatSpec.model_validate(
        {"columns": columns, "file_columns": [{"name": name, "type": kind} for name, kind in types.items()]}
    )
    return SPEC.model_copy(update={"formats": {"till": layout}})


def test_a_column_is_found_behind_the_quotes_of_an_expression():
    spec = _with_format(
        {"ordered_at": '"Bestellt am"', "customer_id": '"Kunden ""Nr""" -- who', "ref_order_id": '"order"'},
        **{"Bestellt am": "timestamp", 'Kunden "Nr"': "id", "order": "id"},
    )
    assert event_column(spec, "till") == "Bestellt am"
    assert columns_named(spec, "customer_id") == {"customer_id", 'Kunden "Nr"'}
    assert columns_named(spec, "order_id") == {"order_id", "ref_order_id", "order"}


@pytest.mark.parametrize("made", ["day + INTERVAL 1 HOUR", "told"])
def test_an_event_time_that_is_no_column_of_times_is_refused(made):
    spec = _with_format({"ordered_at": made}, day="timestamp", told="id")
    with pytest.raises(UsageError, match="name one column of times"):
        event_column(spec, "till")
