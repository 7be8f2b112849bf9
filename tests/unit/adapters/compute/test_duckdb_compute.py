from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from include.adapters.compute.duckdb_compute import DuckDbCompute, local_parquet
from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError, UsageError
from tests.raw_orders import line, orders

ROWS = pa.table({"n": [1, 2, 3]})


def test_a_statement_reads_tables_and_datasets_with_parameters() -> None:
    found = DuckDbCompute().run_select(
        "SELECT SUM(a.n + b.n) AS total FROM a JOIN b USING (n) WHERE n >= $least",
        {"a": ROWS, "b": ds.dataset(ROWS)},
        purpose="test",
        parameters={"least": 2},
    )

    assert found["total"].to_pylist() == [10]


def test_instants_are_read_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")

    found = DuckDbCompute().run_select("SELECT CAST(DATE '2024-07-01' AS TIMESTAMPTZ) AS at", {}, purpose="test")

    assert found["at"].to_pylist() == [datetime(2024, 7, 1, tzinfo=UTC)]


@pytest.mark.parametrize("sql", ["SELECT absent FROM a", "SELEC 1", "SELECT absent(n) FROM a", "SELECT 1; SELECT 2"])
def test_a_statement_that_is_wrong_is_its_authors_to_correct(sql: str) -> None:
    with pytest.raises(UsageError, match=r"^label l .*: its statement is to be corrected: "):
        DuckDbCompute().run_select(sql, {"a": ROWS}, purpose="label l")


@pytest.mark.parametrize("sql", ["SELECT CAST('x' AS INT)", "SELECT * FROM ROWS"])
def test_an_engine_error_names_what_was_computed(sql: str) -> None:
    with pytest.raises(MlopsError, match="feature group g can't be computed by DuckDB: "):
        DuckDbCompute().run_select(sql, {"a": ROWS}, purpose="feature group g")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{folder}/other.csv')",
        "SELECT * FROM read_text('{folder}/other.csv')",
        "SELECT * FROM '{folder}/other.csv'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM t, read_parquet('{replaced}')",
        "SELECT (SELECT COUNT(*) FROM '{folder}/other.csv') AS n FROM t",
        "COPY t TO '{folder}/out.csv'",
        "SELECT 1; COPY t TO '{folder}/out.csv'",
        "ATTACH '{folder}/out.db'; SELECT 1",
        "SET enable_external_access = true; SELECT * FROM '{folder}/other.csv'",
        "SELECT 1; SELECT 2",
        "CREATE TABLE u AS SELECT 1",
        "",
        "-- nothing",
    ],
)
def test_a_statement_sees_what_it_is_given_and_changes_nothing(tmp_path: Path, sql: str) -> None:
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    lake.replace("t", orders(line("2024-01-01")), keys=["2024-01-01"])
    (replaced,) = (tmp_path / "lake").rglob("*.parquet")
    lake.replace("t", orders(line("2024-01-01", quantity=2)), keys=["2024-01-01"])
    (tmp_path / "other.csv").write_text("n\n1\n")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(MlopsError, match=r"^label l can't be computed by DuckDB: "):
        DuckDbCompute().run_select(
            sql.format(folder=tmp_path, replaced=replaced), {"t": lake.dataset("t")}, purpose="label l"
        )

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("end", ["", ";", " ; -- the end", "\n;;\n/* the end */"])
def test_what_ends_a_statement_makes_no_other_of_it(end: str) -> None:
    assert DuckDbCompute().run_select(f"SELECT n FROM a{end}", {"a": ROWS}, purpose="test").equals(ROWS)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Hear SIGINT, which a shell has what it starts in the background not hear."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t",
        "SELECT COUNT(*) FROM range(1000000000000) WHERE range % 7 = 3",
    ],
)
def test_what_a_signal_raises_ends_a_statement_that_never_ends(sql: str, interruptible: None) -> None:
    Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        DuckDbCompute("60MB").run_select(sql, {}, purpose="test")

    assert time.monotonic() - started < 20


def test_nothing_is_left_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    DuckDbCompute("60MB").run_select("SELECT * FROM range(3000000) ORDER BY random()", {}, purpose="test")

    assert list(tmp_path.iterdir()) == []


def test_the_files_of_a_lake_table_are_those_of_its_log_and_not_those_that_were_replaced(tmp_path: Path) -> None:
    lake = LakeAdapter(tmp_path.as_uri())
    lake.replace("t", orders(line("2024-01-01"), line("2024-01-02")), keys=["2024-01-01", "2024-01-02"])
    lake.replace("t", orders(line("2024-01-01", quantity=2)), keys=["2024-01-01"])

    files = local_parquet(lake.dataset("t"))

    assert files is not None
    assert len(list(tmp_path.rglob("*.parquet"))) == 3
    assert sorted(Path(path).as_uri() for path in files.paths) == sorted(
        uri if uri.startswith("file://") else Path(uri).as_uri() for uri in DeltaTable(lake.table_uri("t")).file_uris()
    )


def test_a_dataset_that_has_no_local_files_has_none_to_read(tmp_path: Path) -> None:
    lake = LakeAdapter(tmp_path.as_uri())
    lake.replace("t", orders(), keys=["2024-01-01"])
    lake.replace("by_order", orders(line("2024-01-01", order="a")), keys=["a"], partition_by="order_id")

    assert local_parquet(lake.dataset("t")) is None
    assert local_parquet(lake.dataset("by_order")) is None
    assert local_parquet(ds.dataset(ROWS)) is None


@pytest.mark.parametrize("folder", ["lake", "it's a lake", "a*lake", "a {lake}"])
def test_a_lake_table_is_read_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    lake = LakeAdapter((tmp_path / folder).as_uri())
    raw = orders(line("2024-01-01", category="x"), line("2024-01-02"))
    lake.replace("t", raw, keys=["2024-01-01", "2024-01-02"])

    found = DuckDbCompute().run_select("SELECT * FROM t ORDER BY dt", {"t": lake.dataset("t")}, purpose="test")

    assert found.equals(raw.select(found.column_names))
    assert sorted(found.column_names) == sorted(raw.column_names)


def test_a_column_that_was_added_later_is_null_in_the_files_before_it(tmp_path: Path) -> None:
    lake = LakeAdapter(tmp_path.as_uri())
    lake.replace("t", orders(line("2024-01-01")), keys=["2024-01-01"])
    DeltaTable(lake.table_uri("t")).alter.add_columns([Field("channel", PrimitiveType("string"), nullable=True)])
    sql = "SELECT dt, channel FROM t ORDER BY dt"

    assert DuckDbCompute().run_select(sql, {"t": lake.dataset("t")}, purpose="test")["channel"].to_pylist() == [None]

    later = orders(line("2024-01-02")).append_column("channel", pa.array(["web"]))
    write_deltalake(lake.table_uri("t"), later, mode="append")
    assert DuckDbCompute().run_select(sql, {"t": lake.dataset("t")}, purpose="test")["channel"].to_pylist() == [
        None,
        "web",
    ]


def test_a_long_statement_draws_no_bar_on_the_terminal() -> None:
    found = DuckDbCompute().run_select("SELECT current_setting('enable_progress_bar') AS bar", {}, purpose="test")

    assert found["bar"].to_pylist() == [False]
