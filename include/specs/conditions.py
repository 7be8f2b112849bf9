"""A condition over the columns of a row, as a spec writes it: one SQL expression.

What belongs here: whether a text is such a condition, which columns it names, and other names for them. What does not:
evaluating it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

# In brackets of its own, so that nothing can follow the condition.
_BEFORE = "SELECT ("

# Functions of DuckDB whose value is of the moment, of chance or of the session, and not of the row.
_OF_THE_MOMENT = frozenset(
    {
        *("ago", "currval", "gen_random_uuid", "get_current_time", "get_current_timestamp", "getvariable"),
        *("in_search_path", "localtime", "localtimestamp", "nextval", "now", "pg_conf_load_time"),
        *("pg_postmaster_start_time", "pg_sleep", "rand", "random", "session_user", "setseed", "setval", "sleep_ms"),
        *("stats", "today", "transaction_timestamp", "txid_current", "user", "uuid", "uuidv4", "uuidv7"),
        *("vector_type", "version", "write_log"),
    }
)
# Of one argument alone: how long ago it was.
_SINCE = "age"
_MAYBE = re.compile(rf"\b(?:{'|'.join(_OF_THE_MOMENT)}|{_SINCE}|current_\w+)\b", re.IGNORECASE)


@lru_cache(maxsize=1024)
def columns_of(condition: str) -> tuple[str, ...]:
    """Return the columns that a condition names, each once and in order.

    Parameters
    ----------
    condition : str
        DuckDB dialect; true or false for a row by that row alone: no subquery, aggregate, window or parameter.

    Raises
    ------
    ValueError
        If it is something else, or has not one value for a row whenever it is asked.

    Examples
    --------
    >>> columns_of("days_since_last_order <= 30 AND total_orders_30d > 0")
    ('days_since_last_order', 'total_orders_30d')
    >>> columns_of("count(*) > 3")
    Traceback (most recent call last):
    ...
    ValueError: 'count(*) > 3' looks at more than one row (Count); write a condition over a row's own columns
    """
    from sqlglot import exp

    expression = _parsed(condition)
    if not isinstance(
        expression, (exp.Predicate, exp.Connector, exp.Not, exp.Boolean, exp.Paren, exp.Column, exp.Func)
    ):
        raise ValueError(f"{condition!r} is neither true nor false; compare something, e.g. age_in_days <= 30")
    return _own_columns(condition, expression)


@lru_cache(maxsize=1024)
def check_expression(text: str) -> tuple[str, ...]:
    """Return the columns that an expression over a row's own columns names, as `columns_of`; its value may be any.

    Raises
    ------
    ValueError
        If it is no such expression.
    """
    return _own_columns(text, _parsed(text))


def parse_condition(condition: str) -> exp.Expression:
    """Return a condition as sqlglot parses it.

    Raises
    ------
    ValueError
        If it is none, as `columns_of` says.
    """
    columns_of(condition)
    return _parsed(condition)


def _own_columns(text: str, expression: exp.Expression) -> tuple[str, ...]:
    from sqlglot import exp

    for kind in (exp.Query, exp.Subquery, exp.AggFunc, exp.Window, exp.Placeholder, exp.Parameter, exp.Star):
        if (found := expression.find(kind)) is not None:
            raise ValueError(
                f"{text!r} looks at more than one row ({type(found).__name__}); write a condition over a row's "
                "own columns"
            )
    if (pattern := expression.find(exp.Columns)) is not None:
        raise ValueError(f"{text!r} names columns by a pattern ({pattern.sql()}); write each by its name")
    if moments := moments_of(expression):
        raise ValueError(
            f"{text!r} says something else each time it is asked ({moments[0]}); write it over a row's own columns"
        )
    columns = list(expression.find_all(exp.Column, bfs=False))
    if qualified := next((column for column in columns if column.table), None):
        raise ValueError(f"{text!r} names a table ({qualified.sql()}); write the column alone")
    return tuple(dict.fromkeys(column.name for column in columns))


def moments_of(expression: exp.Expression) -> list[str]:
    """Return the functions of an expression or a statement whose value is of the moment, of chance or of the session.

    Examples
    --------
    >>> from sqlglot import parse_one
    >>> moments_of(parse_one("SELECT age(placed_at), age(placed_at, paid_at), Random() FROM orders", read="duckdb"))
    ['age', 'rand']
    """
    from sqlglot import exp

    found = [(_name_of(each), each) for each in expression.find_all(exp.Func, bfs=False)]
    return [
        name
        for name, call in found
        if name in _OF_THE_MOMENT or name.startswith("current_") or (name == _SINCE and len(call.expressions) == 1)
    ]


def moments_in(sql: str) -> list[str]:
    """Return those functions of a statement in DuckDB's dialect; none of one that can't be parsed, which fails anyway.

    A statement without such a word is not parsed.
    """
    if not _MAYBE.search(sql):
        return []
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    try:
        statements = [each for each in parse(sql, read="duckdb") if each is not None]
    except (SqlglotError, RecursionError):
        return []
    return [name for statement in statements for name in moments_of(statement)]


def _name_of(call: exp.Func) -> str:
    from sqlglot import exp

    return str(call.name if isinstance(call, exp.Anonymous) else call.sql_name()).lower()


def _parsed(condition: str) -> exp.Expression:
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        (statement,) = parse(f"{_BEFORE}{condition}\n) AS holds", read="duckdb")
    except (SqlglotError, ValueError, RecursionError) as err:
        raise ValueError(f"{condition!r} is no condition in SQL, e.g. age_in_days <= 30") from err
    said = {name for name, value in statement.args.items() if value} if statement is not None else set()
    whole = statement.expressions[0].this if statement is not None and len(statement.expressions) == 1 else None
    if said != {"expressions"} or not isinstance(whole, exp.Paren):
        raise ValueError(f"{condition!r} is no condition in SQL, e.g. age_in_days <= 30")
    expression: exp.Expression = whole.this
    return expression


def written(name: str) -> str:
    """Return a column as an expression writes it: in quotes where its name alone means something else, or nothing.

    Examples
    --------
    >>> written("InvoiceNo"), written("Stück"), written("order")
    ('InvoiceNo', '"Stück"', '"order"')
    """
    from sqlglot.dialects.duckdb import DuckDB

    words = {word for phrase in DuckDB.Tokenizer.KEYWORDS for word in phrase.split()}
    is_plain = name.isascii() and name.isidentifier() and name.upper() not in words
    return name if is_plain else _in_quotes(name)


@lru_cache(maxsize=1024)
def column_of(expression: str) -> str | None:
    """Return the column that an expression is, in quotes or not; None where it makes something of columns.

    Examples
    --------
    >>> column_of("day"), column_of('"Bestellt am" -- by the till'), column_of("day + 1")
    ('day', 'Bestellt am', None)
    """
    from sqlglot import exp

    parsed = _parsed(expression)
    return parsed.name if isinstance(parsed, exp.Column) else None


@lru_cache(maxsize=1024)
def quoted(expression: str) -> str:
    """Return an expression with each column in quotes, so that none is taken for a word of an engine's grammar.

    Examples
    --------
    >>> print(quoted("value / nullif(at, 0)"))
    "value" / nullif("at", 0)
    """
    from sqlglot import exp

    before = len(_BEFORE)
    for found in sorted((each.this for each in _parsed(expression).find_all(exp.Column)), key=_place, reverse=True):
        start, end = found.meta["start"] - before, found.meta["end"] + 1 - before
        expression = expression[:start] + _in_quotes(found.name) + expression[end:]
    return expression


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _place(identifier: exp.Identifier) -> int:
    start: int = identifier.meta["start"]
    return start


def renamed(expression: str, names: Mapping[str, str]) -> str:
    """Return an expression over columns of other names.

    Examples
    --------
    >>> renamed("value / nullif(pieces, 0)", {"value": "Wert", "pieces": "Stück"})
    'Wert / NULLIF("Stück", 0)'
    """
    from sqlglot import exp

    def with_names(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Column):
            return node
        name = names.get(node.name, node.name)
        return exp.column(exp.to_identifier(name, quoted=written(name) != name))

    return str(_parsed(expression).transform(with_names).sql(dialect="duckdb"))
