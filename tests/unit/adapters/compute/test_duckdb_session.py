"""Every session of DuckDB: one budget, one time zone, and nothing left behind."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.compute import duckdb_compute, duckdb_session
from include.adapters.compute.duckdb_session import open_closed_session, open_own_session, open_session
from include.adapters.compute.spark_compute import _configuration
from include.adapters.deployment import Deployment
from include.errors import MlopsError
from include.settings import Settings
from include.steps.import_source import import_file
from tests.shop import make_orders

ROWS = pa.table({"n": [1]})


class WhateverError(Exception):
    pass


@pytest.mark.parametrize("opened", [open_session, open_own_session])
@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (lambda con: con.execute("SELEC 1"), MlopsError),
        (lambda con: con.execute("SELECT CAST('x' AS INT)").fetchall(), MlopsError),
        (lambda con: (_ for _ in ()).throw(WhateverError), WhateverError),
        (lambda con: (_ for _ in ()).throw(KeyboardInterrupt), KeyboardInterrupt),
        (lambda con: con.close(), None),
        (lambda con: None, None),
    ],
    ids=["no statement", "a wrong value", "another error", "an interrupt", "closed already", "nothing"],
)
def test_a_session_is_closed_and_what_it_made_is_gone_whatever_happens(tmp_path, monkeypatch, opened, fails, told):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(duckdb_session, "_shared", {})
    kept = []

    def use() -> None:
        with opened(purpose="the purpose", memory_limit="60MB") as con:
            kept.append(con)
            con.execute("CREATE TABLE t AS SELECT range AS n, random() AS x FROM range(1000000)")
            con.execute("SELECT * FROM t ORDER BY x").fetchone()
            assert spilled() != []
            fails(con)

    def spilled() -> list[Path]:
        # DuckDB's mark of whose the folder is stays as long as the folder.
        return [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith("_owner")]

    if told is None:
        use()
    else:
        with pytest.raises(told, match="the purpose" if told is MlopsError else None):
            use()

    assert spilled() == []
    assert opened is open_session or list(tmp_path.iterdir()) == []
    with pytest.raises(duckdb.ConnectionException):
        kept[0].execute("SELECT 1")
    with opened(purpose="the next", memory_limit="60MB") as con:
        assert con.execute("SELECT table_name FROM duckdb_tables()").fetchall() == []
        assert con.execute("SELECT count(*) FROM duckdb_databases() WHERE NOT internal").fetchone()[0] <= 2


def test_sessions_side_by_side_have_tables_of_their_own():
    with (
        open_session(purpose="one", memory_limit="90MB") as one,
        open_session(purpose="the other", memory_limit="90MB") as other,
    ):
        for n, con in enumerate((one, other)):
            con.execute(f"CREATE TABLE t AS SELECT {n} AS n")
            con.execute("CREATE VIEW v AS SELECT n FROM t")
        assert [con.execute("SELECT n FROM v").fetchone() for con in (one, other)] == [(0,), (1,)]


def test_a_duckdb_that_has_failed_for_good_is_given_up_for_another(monkeypatch):
    monkeypatch.setattr(duckdb_session, "_shared", {})
    for opened in (open_session, open_closed_session):
        with pytest.raises(MlopsError, match="the purpose"), opened(purpose="the purpose", memory_limit="90MB"):
            raise duckdb.FatalException("database has been invalidated")
    assert duckdb_session._shared == {}


@pytest.mark.parametrize("opened", [open_session, open_closed_session, open_own_session])
def test_a_session_that_can_not_be_opened_names_its_purpose_and_leaves_no_folder(tmp_path, monkeypatch, opened):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        pytest.raises(MlopsError, match="the purpose can't be computed by DuckDB"),
        opened(purpose="the purpose", memory_limit="much"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_times_are_utc_and_a_name_is_a_table_that_was_registered(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    with open_session(purpose="test", memory_limit="1GB") as con:
        [(at,)] = con.execute("SELECT CAST(DATE '2024-07-01' AS TIMESTAMPTZ)").fetchall()
        assert at.astimezone(UTC) == datetime(2024, 7, 1, tzinfo=UTC)
        with pytest.raises(duckdb.CatalogException, match="ROWS"):
            con.sql("SELECT * FROM ROWS")
        assert con.execute("SELECT current_setting('autoinstall_known_extensions')").fetchall() == [(False,)]


def test_what_does_not_fit_is_told_with_the_setting_that_gives_more():
    with (
        pytest.raises(MlopsError, match=r"^the list can't be .*give it more than MLOPS_MEMORY_LIMIT=64MB.*$"),
        open_session(purpose="the list", memory_limit="64MB") as con,
    ):
        con.execute("SELECT list(range) FROM range(50000000)").fetchall()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM mine",
        f"SELECT * FROM read_text('{__file__}')",
        f"COPY (SELECT 1) TO '{__file__}.copy'",
        "ATTACH 'x.db'",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET GLOBAL memory_limit = '100GB'",
        "LOAD httpfs",
        "PRAGMA database_list; SELECT nothing",
    ],
)
def test_a_closed_session_reads_no_file_sets_nothing_and_sees_no_other(statement):
    with open_closed_session(purpose="one", memory_limit="200MB") as one:
        one.register("mine", ROWS)
        with (
            pytest.raises(MlopsError, match="the other can't be computed"),
            open_closed_session(purpose="the other", memory_limit="200MB") as other,
        ):
            other.execute(statement).fetchall()
        assert one.execute("SELECT n, current_setting('TimeZone') FROM mine").fetchall() == [(1, "UTC")]


def test_closed_sessions_share_a_budget_and_a_process_that_was_forked_opens_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    limit = "123MB"

    def asked() -> list[tuple[str]]:
        with open_closed_session(purpose="test", memory_limit=limit) as con:
            return con.execute("SELECT current_setting('memory_limit')").fetchall()

    assert [asked() for _ in range(3)] == [[("117.3 MiB",)]] * 3
    [folder] = tmp_path.iterdir()
    if (child := os.fork()) == 0:
        os._exit(0 if asked() == [("117.3 MiB",)] and len(list(tmp_path.iterdir())) == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0


def test_whoever_computes_for_a_deployment_keeps_to_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path), "MLOPS_MEMORY_LIMIT": "300MB"}))
    pq.write_table(make_orders(days=3), tmp_path / "orders.parquet")
    budgets = []

    def open_noted(**options: str):
        budgets.append((options["purpose"], options["memory_limit"]))
        return open_session(**options)

    monkeypatch.setattr(duckdb_compute, "open_session", open_noted)
    monkeypatch.setattr(duckdb_compute, "open_closed_session", open_noted)
    monkeypatch.setattr(duckdb_compute, "open_own_session", open_noted)
    for _ in range(2):
        as_of = datetime(2030, 1, 1, tzinfo=UTC)
        import_file(deployment, tmp_path / "orders.parquet", source="orders", as_of=as_of)
    deployment.compute.run_select("SELECT n FROM a", {"a": ROWS}, purpose="features")

    assert {limit for _, limit in budgets} == {"300MB"}
    assert {purpose for purpose, _ in budgets} == {
        "the verdict on orders.parquet",
        "what is set aside in quarantine/orders",
        "the merge into raw/orders",
        "the days of raw/orders that hold these rows",
        "features",
    }


@pytest.mark.parametrize(
    ("limit", "heap_mb"),
    [("50%", psutil.virtual_memory().total // 2**21), ("2GiB", 2048), ("2GB", 1907), ("64MB", 700)],
)
def test_sparks_heap_is_the_same_budget_and_no_less_than_it_needs(limit, heap_mb):
    assert _configuration(limit)["spark.driver.memory"] == f"{heap_mb}m"
