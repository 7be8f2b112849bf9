"""One list of rules, read by DuckDB and by Great Expectations: both count the same failing rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.expectations import source_expectations
from include.adapters.expectations.source_expectations import count_failing_rows
from include.adapters.sources import source_files
from include.errors import MlopsError
from include.quality.formats import file_columns, typed_sql
from include.quality.verdict import failing_rows_sql
from include.specs.sources import load_source
from include.steps.judge_source import Judgement, judge_files
from tests.real_data import real_data
from tests.unit.quality.orders_builder import AS_OF, make_dirty_orders, make_orders

SPEC = load_source("orders")


def _both_counts(path: Path, file_format: str, as_of: datetime) -> tuple[dict[str, int], dict[str, int]]:
    rows = source_files.read_source(source_files.local_file(path), file_columns(SPEC, file_format), may_be_empty=True)
    names = rows.column_names
    naive = [field.name for field in rows.schema if field.type == pa.timestamp("us")]
    with DuckDbCompute().open_session(purpose="test") as con:
        con.register("delivered", rows.append_column("_row", pa.array(range(1, rows.num_rows + 1), pa.int64())))
        typed = typed_sql(SPEC, file_format, present=names, naive=naive, time_zone="UTC")
        con.execute(f"CREATE TABLE typed AS {typed}")
        [sql] = con.sql(failing_rows_sql(SPEC, as_of=as_of)).to_arrow_table().to_pylist()
        frame = con.sql("SELECT * EXCLUDE (_row, _infinite) FROM typed").to_arrow_table()
    return sql, count_failing_rows(SPEC, frame, as_of=as_of)


@pytest.mark.parametrize("seed", range(5))
def test_counts_agree_on_dirty_rows_where_every_rule_fails(tmp_path, seed):
    path = tmp_path / "orders.parquet"
    pq.write_table(make_dirty_orders(seed=seed), path)
    sql, gx = _both_counts(path, "canonical", AS_OF)
    assert min(sql.values()) > 0, "the builder must break every rule, or the comparison says nothing"
    assert gx == sql


@pytest.mark.parametrize("rows", [make_orders(40), make_orders(0)], ids=["sound", "empty"])
def test_counts_agree_on_zero(tmp_path, rows):
    path = tmp_path / "orders.parquet"
    pq.write_table(rows, path)
    sql, gx = _both_counts(path, "canonical", AS_OF)
    assert gx == sql == dict.fromkeys((rule.name for rule in SPEC.rules), 0)


@pytest.mark.thorough
def test_counts_agree_on_all_real_order_lines_and_on_one_day():
    whole = real_data("online_retail/online_retail.parquet")
    sql, gx = _both_counts(whole, "online-retail", datetime(2011, 6, 1, tzinfo=UTC))
    frame = pq.read_table(whole).to_pandas()
    assert gx == sql
    assert sql["customer_id_missing"] == frame.CustomerID.isna().sum() == 135_080
    assert sql["duplicate_row"] == frame.duplicated(keep=False).sum()
    assert sql["unit_price_negative"] == (frame.UnitPrice < 0).sum() > 0
    sales = ~frame.InvoiceNo.str.startswith("C")
    assert sql["sale_quantity_not_positive"] == (sales & (frame.Quantity <= 0)).sum() > 0
    assert sql["ordered_at_after_as_of"] == (frame.InvoiceDate > "2011-06-01").sum() > 0
    assert sql["quantity_too_large"] == sql["line_value_too_large"] == 0


def test_counts_agree_on_a_real_day(tmp_path):
    frame = pq.read_table(real_data("online_retail/online_retail.parquet")).to_pandas()
    day = frame[frame.InvoiceDate.dt.strftime("%Y-%m-%d") == "2011-11-14"]
    day.to_csv(tmp_path / "day.csv", index=False)
    sql, gx = _both_counts(tmp_path / "day.csv", "online-retail", datetime(2011, 11, 15, tzinfo=UTC))
    assert gx == sql
    assert sql["customer_id_missing"] == day.CustomerID.isna().sum() > 0
    assert sql["duplicate_row"] == day.duplicated(keep=False).sum() > 0


def test_disagreement_stops_the_import_and_names_rule_and_counts(tmp_path, monkeypatch):
    path = tmp_path / "orders.parquet"
    pq.write_table(make_orders(10), path)
    (tmp_path / "judged").mkdir()
    real = source_expectations.count_failing_rows
    monkeypatch.setattr(source_expectations, "count_failing_rows", lambda *a, **k: real(*a, **k) | {"kind_unknown": 3})
    judgement = Judgement(SPEC, "canonical", AS_OF, "UTC", cross_check=True, partition=None)
    with pytest.raises(MlopsError, match="kind_unknown: 0 and 3"):
        judge_files([source_files.local_file(path)], judgement, DuckDbCompute(), tmp_path / "judged")


def test_judging_without_the_check_does_not_load_great_expectations(tmp_path, monkeypatch):
    path = tmp_path / "orders.parquet"
    pq.write_table(make_orders(10), path)
    (tmp_path / "judged").mkdir()
    monkeypatch.setattr(source_expectations, "count_failing_rows", lambda *a, **k: pytest.fail("it was called"))
    judgement = Judgement(SPEC, "canonical", AS_OF, "UTC", cross_check=False, partition=None)
    judged = judge_files([source_files.local_file(path)], judgement, DuckDbCompute(), tmp_path / "judged")
    assert judged.rows_in == (10,)
