"""Conditions that Python answers, against DuckDB: random ones, over random rows with nulls."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.question.row_condition import row_condition

DTYPES = {"days": "int64", "amount": "float64", "share": "float32", "country": "string"}
VALUES = {
    "days": st.none() | st.integers(-3, 40) | st.sampled_from([2**53 + 1, -(2**62)]),
    "amount": st.none() | st.floats(-50, 50, allow_nan=False),
    "share": st.none() | st.floats(-2, 2, width=32, allow_nan=False),
    "country": st.none() | st.sampled_from(["", "DE", "de", "FR", "Ö'x"]),
}
NUMBERS = st.integers(0, 40).map(str) | st.integers(1, 3).map(lambda n: f"-{n}") | st.just(str(2**53 + 1))
TEXTS = st.sampled_from(["'DE'", "'FR'", "''", "'Ö''x'"])
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "=", "<>"])


def _comparisons() -> st.SearchStrategy[str]:
    numeric = st.tuples(st.sampled_from(["days", "amount", "share"]), OPERATORS, NUMBERS)
    textual = st.tuples(st.just("country"), OPERATORS, TEXTS)
    both = numeric | textual
    nulls = st.tuples(st.sampled_from(list(DTYPES)), st.sampled_from(["IS NULL", "IS NOT NULL"]))
    return both.map(" ".join) | both.map(lambda each: " ".join(reversed(each))) | nulls.map(" ".join)


CONDITIONS = st.recursive(
    _comparisons(),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda each: f"({' '.join(each)})")
        | inner.map(lambda each: f"NOT ({each})")
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


@settings(max_examples=150)
@given(condition=CONDITIONS, rows=st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=6))
def test_what_python_answers_is_what_duckdb_answers(
    connection: duckdb.DuckDBPyConnection, condition: str, rows: list[dict]
) -> None:
    holds = row_condition(condition, DTYPES)
    if holds is None:
        return
    columns = {name: pa.array([row[name] for row in rows], pa.type_for_alias(DTYPES[name])) for name in DTYPES}
    connection.register("inputs", pa.table(columns))
    expected = [found for (found,) in connection.execute(f"SELECT ({condition}) FROM inputs").fetchall()]

    # A float32 is read back as the number that it is.
    assert [holds(row) for row in pa.table(columns).to_pylist()] == expected


@pytest.mark.parametrize(
    "condition",
    [
        "round(days) < 3",
        "days + 1 < 3",
        "share < 0.1",
        "days < amount",
        "share < 16777217",
        "country LIKE 'D%'",
        "days = '3'",
        "days IN (1, 2)",
        "true",
        "days IS TRUE",
    ],
)
def test_what_an_engine_may_see_otherwise_is_left_to_it(condition: str) -> None:
    assert row_condition(condition, DTYPES) is None


@pytest.mark.parametrize(
    "condition", ["days_since_last_order <= 30", "order_value >= 0", "shop_rank_30d <= 20 OR country_rank_30d <= 20"]
)
def test_the_forms_that_ship_are_answered_here(condition: str) -> None:
    names = {word for word in condition.split() if word[0].isalpha() and word != "OR"}
    assert row_condition(condition, dict.fromkeys(names, "float64")) is not None
