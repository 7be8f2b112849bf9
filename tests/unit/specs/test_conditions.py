"""What a spec may write as a condition."""

from __future__ import annotations

import pytest

from include.specs.conditions import columns_of, quoted

MOMENTS = ("now()", "today()", "current_date", "CURRENT_TIMESTAMP", "random()", "uuid()", "nextval('x')", "localtime")


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
    ],
)
def test_what_is_no_condition_over_a_row_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        columns_of(text)


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
