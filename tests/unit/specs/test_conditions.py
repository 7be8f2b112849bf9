"""What a spec may write as a condition."""

from __future__ import annotations

import re
from contextlib import suppress

import duckdb
import pytest

from include.specs.conditions import columns_of, moments_in, quoted

MOMENTS = (
    "age(b)",
    "ago(INTERVAL 1 DAY)",
    "now()",
    "today()",
    "current_date",
    "CURRENT_TIMESTAMP",
    "random()",
    "uuid()",
    "nextval('x')",
    "localtime",
)


@pytest.mark.parametrize(
    ("condition", "columns"),
    [
        ("days_since_last_order <= 30", ("days_since_last_order",)),
        ("a > 1 AND (b IS NULL OR a < 9)", ("a", "b")),
        ("a BETWEEN 1 AND 2 -- why", ("a",)),
        ("country IN ('GB', 'FR')", ("country",)),
        ("coalesce(a, 0) < b", ("a", "b")),
        ("starts_with(country, 'G')", ("country",)),
        ("NOT is_new_customer", ("is_new_customer",)),
        ("true", ()),
        ("age(a, b) > INTERVAL 30 DAYS", ("a", "b")),
    ],
)
def test_a_condition_names_its_columns_once_and_in_order(condition, columns):
    assert columns_of(condition) == columns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a <=", "is no condition in SQL"),
        ("", "is no condition in SQL"),
        ("a <= 3; DROP TABLE x", "is no condition in SQL"),
        ("a) AS x, (b", "is no condition in SQL"),
        ("a = 1) FROM (SELECT 1", "is no condition in SQL"),
        ("a = 1 LIMIT 1", "is no condition in SQL"),
        ("(" * 2000 + "a > 1" + ")" * 2000, "is no condition in SQL"),
        ("a + 1", "is neither true nor false"),
        ("'yes'", "is neither true nor false"),
        *((f"a < {moment}", "says something else each time it is asked") for moment in MOMENTS),
        ("count(*) > 3", "looks at more than one row"),
        ("a > avg(a)", "looks at more than one row"),
        ("row_number() OVER () = 1", "looks at more than one row"),
        ("a IN (SELECT 1)", "looks at more than one row"),
        ("EXISTS (SELECT 1)", "looks at more than one row"),
        ("a = $b", "looks at more than one row"),
        ("orders.a = 1", "names a table"),
        ("COLUMNS('a.*') > 0", "names columns by a pattern"),
    ],
)
def test_what_is_no_condition_over_a_row_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        columns_of(text)


def test_no_function_of_the_engine_that_has_not_one_value_is_let_through():
    """Of those that DuckDB has: what it calls volatile or of the query, and what is made of such."""
    functions = duckdb.connect().sql("SELECT function_name, stability, macro_definition FROM duckdb_functions()")
    found = functions.fetchall()
    unsteady = {name for name, stability, _ in found if stability in ("VOLATILE", "CONSISTENT_WITHIN_QUERY")}
    # It fails whenever it is asked.
    unsteady -= {"error"}
    words = re.compile(rf"\b({'|'.join(unsteady)}|current_timestamp|current_user)\b")
    made_of_them = {name for name, _, definition in found if definition and words.search(definition)}
    asked = unsteady | made_of_them
    assert len(asked) > 30
    let_through = []
    for name in sorted(asked):
        with suppress(ValueError):
            columns_of(f"a < {name}()")
            let_through.append(name)
    assert let_through == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT a FROM orders WHERE received_at <= $known_until -- now", []),
        ("SELECT age(a, b), version FROM orders", []),
        ("SELECT random() < 0.5 AS label FROM examples", ["rand"]),
        ("WITH x AS (SELECT CURRENT_DATE AS at) SELECT * FROM x", ["current_date"]),
        ("SELECT 1; SELECT NOW()", ["now"]),
        ("SELECT now(", []),
    ],
)
def test_the_moments_of_a_statement_are_its_functions(statement, found):
    assert moments_in(statement) == found


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("at", '"at"'),
        ("day + INTERVAL 1 HOUR -- by the till", '"day" + INTERVAL 1 HOUR -- by the till'),
        ('nullif("a ""b""", at)', 'nullif("a ""b""", "at")'),
        ("CASE WHEN at > 1 THEN 'at' ELSE At END", """CASE WHEN "at" > 1 THEN 'at' ELSE "At" END"""),
        ("'no column'", "'no column'"),
    ],
)
def test_columns_and_nothing_else_are_put_in_quotes(expression, wanted):
    assert quoted(expression) == wanted
