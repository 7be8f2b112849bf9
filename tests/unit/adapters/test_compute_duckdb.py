from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from include.adapters.compute_duckdb import run_select
from include.errors import MlopsError

ROWS = pa.table({"n": [1, 2, 3]})


def test_a_statement_reads_tables_and_datasets_with_parameters() -> None:
    found = run_select(
        "SELECT SUM(a.n + b.n) AS total FROM a JOIN b USING (n) WHERE n >= $least",
        {"a": ROWS, "b": ds.dataset(ROWS)},
        purpose="test",
        parameters={"least": 2},
    )

    assert found["total"].to_pylist() == [10]


def test_instants_are_read_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")

    found = run_select("SELECT CAST(DATE '2024-07-01' AS TIMESTAMPTZ) AS at", {}, purpose="test")

    assert found["at"].to_pylist() == [datetime(2024, 7, 1, tzinfo=UTC)]


@pytest.mark.parametrize("sql", ["SELECT absent FROM a", "SELEC 1", "SELECT CAST('x' AS INT)", "SELECT * FROM ROWS"])
def test_an_engine_error_names_what_was_computed(sql: str) -> None:
    with pytest.raises(MlopsError, match="feature group g can't be computed by DuckDB: "):
        run_select(sql, {"a": ROWS}, purpose="feature group g")


def test_nothing_is_left_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    run_select("SELECT * FROM range(3000000) ORDER BY random()", {}, purpose="test", memory_limit="60MB")

    assert list(tmp_path.iterdir()) == []
