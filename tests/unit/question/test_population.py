"""The condition takes those it holds for: not those it doesn't, nor those for whom it is null."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.question.population import ROWS, population_statement

PEOPLE = pa.table(
    {
        "customer_id": ["a", "b", "c", "d"],
        "days_since_last_order": pa.array([0, 30, 31, None], pa.int64()),
        "country": ["GB", "FR", None, "GB"],
    }
)


def who(condition: str) -> str:
    rows = DuckDbCompute().run_select(population_statement(condition), {ROWS: PEOPLE}, purpose="a test")
    assert rows.column_names == PEOPLE.column_names
    return "".join(rows["customer_id"].to_pylist())


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("days_since_last_order <= 30", "ab"),
        ("days_since_last_order <= 30 -- whole days", "ab"),
        ("days_since_last_order <= 30 OR country = 'GB'", "abd"),
        ("country <> 'GB'", "b"),
        ("country IS NULL", "c"),
        ("true", "abcd"),
        ("NULL", ""),
    ],
)
def test_a_condition_takes_those_it_holds_for(condition, expected):
    assert who(condition) == expected
