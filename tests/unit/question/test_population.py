"""The condition takes those it holds for: not those it doesn't, nor those for whom it is null."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.question.population import ASKED, ROWS, population_statement

PEOPLE = pa.table(
    {
        "customer_id": ["a", "b", "c", "d"],
        "days_since_last_order": pa.array([0, 30, 31, None], pa.int64()),
        "country": ["GB", "FR", None, "GB"],
    }
)


def who(condition: str) -> str:
    said = DuckDbCompute().run_select(population_statement(condition), {ROWS: PEOPLE}, purpose="a test")
    return "".join(PEOPLE.filter(said[ASKED])["customer_id"].to_pylist())


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


def test_the_answers_are_in_the_order_of_the_rows_however_many_there_are():
    numbers = np.random.default_rng(0).permutation(1_500_000)
    chunks = [pa.array(each) for each in np.array_split(numbers, 37)]
    rows = pa.table({"n": pa.chunked_array(chunks), "s": pa.chunked_array([each.cast(pa.string()) for each in chunks])})
    said = DuckDbCompute().run_select(population_statement("n % 7 < 3"), {ROWS: rows}, purpose="a test")
    assert np.array_equal(said[ASKED].to_numpy(), numbers % 7 < 3)
