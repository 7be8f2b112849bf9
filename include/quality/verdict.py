"""The orders contract as SQL: the verdict on every row, and the failing rows of every rule.

What belongs here: building DuckDB statements from the rules. What does not: running them, and
what a rule means, which the contract says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from include.quality.sql import column, columns, literal
from include.specs.sources import (
    FiniteRule,
    MinRule,
    NewestVersionRule,
    NotAfterAsOfRule,
    NotBeforeRule,
    NotNullRule,
    PositiveForSaleRule,
    Rule,
    SourceSpec,
    UniqueRule,
    WithinRule,
)

# When a row became known: a source that does not say counts as known when its UTC day is over.
KNOWN_AT = "coalesce(received_at, date_trunc('day', ordered_at) + INTERVAL 1 DAY)"


def verdict_sql(contract: SourceSpec, *, as_of: datetime, identity: Sequence[str]) -> str:
    """Return the SELECT that gives every row of table ``typed`` its verdict.

    Parameters
    ----------
    contract : SourceSpec
        The rules.
    as_of : datetime
        Aware; no time may lie after it.
    identity : sequence of str
        Columns of ``typed`` that hold the row as it was delivered: what makes two rows equal.

    Returns
    -------
    str
        DuckDB SQL. ``typed`` must have the canonical columns and ``_row``, the place in the file;
        the result has its columns and ``_rule``: the first rule that the row breaks, or null.
    """
    cases = " ".join(
        f"WHEN {'_copy > 1' if isinstance(rule, UniqueRule) else _fails(rule, as_of)} THEN {literal(rule.name)}"
        for rule in contract.rules
        if not isinstance(rule, NewestVersionRule)
    )
    first = f"CASE {cases} END" if cases else "CAST(NULL AS VARCHAR)"
    newest = contract.rules[-1]
    superseded = "NULL"
    if isinstance(newest, NewestVersionRule):
        # Outside its year range a time that was rejected would overflow in KNOWN_AT.
        superseded = (
            f"CASE WHEN row_number() OVER (PARTITION BY _first IS NULL, {columns(newest.key)} "
            f"ORDER BY CASE WHEN _first IS NULL THEN {KNOWN_AT} END DESC, _row DESC) > 1 "
            f"THEN {literal(newest.name)} END"
        )
    return f"""
WITH counted AS (
  SELECT *, row_number() OVER (PARTITION BY {columns(identity)} ORDER BY _row) AS _copy FROM typed
), judged AS (
  SELECT *, {first} AS _first FROM counted
)
SELECT * EXCLUDE (_copy, _first), coalesce(_first, {superseded}) AS _rule FROM judged
"""


def bucket_sql(contract: SourceSpec, typed: str) -> str:
    """Return the SELECT of ``_row`` and an unsigned ``bucket`` of each row of a file.

    Rows are judged by one another where they are equal or versions of one order line, and lines are numbered by order:
    such rows have one order, and so one bucket. Rows without an order are rejected, and may be equal.

    Parameters
    ----------
    contract : SourceSpec
        The rules.
    typed : str
        As `include.quality.formats.typed_sql`.
    """
    newest = contract.rules[-1]
    if isinstance(newest, NewestVersionRule) and "order_id" not in newest.key:
        return "SELECT _row, 0 AS bucket FROM delivered"
    nobodys = "CASE WHEN order_id IS NULL THEN hash(customer_id, product_id, ordered_at) END"
    return f"SELECT _row, hash(order_id, {nobodys}) AS bucket FROM ({typed})"


def failing_rows_sql(contract: SourceSpec, *, as_of: datetime, identity: Sequence[str]) -> str:
    """Return the SELECT that counts the failing rows of every rule, each for itself.

    Parameters
    ----------
    contract, as_of, identity
        As for `verdict_sql`.

    Returns
    -------
    str
        DuckDB SQL over ``typed``: one row, one column for each rule, named as the rule.
    """
    groups = {
        rule.name: identity if isinstance(rule, UniqueRule) else rule.key
        for rule in contract.rules
        if isinstance(rule, UniqueRule | NewestVersionRule)
    }
    members = "".join(
        f", count(*) OVER (PARTITION BY {columns(group)}) AS {column(f'_members_{name}')}"
        for name, group in groups.items()
    )
    counts = ", ".join(
        f"count(*) FILTER (WHERE {_fails(rule, as_of)}) AS {column(rule.name)}" for rule in contract.rules
    )
    return f"WITH counted AS (SELECT *{members} FROM typed) SELECT {counts} FROM counted"


def _fails(rule: Rule, as_of: datetime) -> str:
    return f"coalesce({_failure(rule, as_of)}, false)"


def _failure(rule: Rule, as_of: datetime) -> str:
    if isinstance(rule, UniqueRule | NewestVersionRule):
        return f"{column(f'_members_{rule.name}')} > 1"
    if isinstance(rule, WithinRule):
        product = " * ".join(map(column, rule.columns))
        # To DuckDB what is not a number is above every number.
        return f"abs({product}) > {rule.max!r} AND NOT isnan({product})"
    value = column(rule.column)
    if isinstance(rule, NotNullRule):
        return f"{value} IS NULL"
    if isinstance(rule, FiniteRule):
        return f"{value} IS NULL OR NOT isfinite({value})"
    if isinstance(rule, MinRule):
        return f"{value} < {rule.min!r}"
    if isinstance(rule, PositiveForSaleRule):
        return f"kind = 'sale' AND {value} <= 0"
    if isinstance(rule, NotAfterAsOfRule):
        return f"{value} > TIMESTAMPTZ {literal(as_of.isoformat())}"
    if isinstance(rule, NotBeforeRule):
        return f"{value} < TIMESTAMPTZ {literal(f'{rule.day.isoformat()} 00:00:00+00')}"
    return f"{value} NOT IN ({', '.join(map(literal, rule.values))})"
