"""A source's rules as SQL: the verdict on every row, and the failing rows of every rule.

What belongs here: building DuckDB statements from the rules. What does not: running them, and what a rule means, which
the spec says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from include.quality.sql import column, columns, literal
from include.specs.source_formats import INFINITE
from include.specs.source_rules import (
    NOT_FINITE,
    RECEIVED_AT,
    SUPERSEDED,
    AboveRule,
    FiniteRule,
    InSetRule,
    MaxRule,
    MinRule,
    NotAfterAsOfRule,
    NotBeforeRule,
    NotNullRule,
    Rule,
    UniqueRule,
    Where,
    WithinRule,
)
from include.specs.sources import SourceSpec

# Whole years that every calendar on a row's way can count, with a day to spare for zones and the end of a day.
_CALENDAR = "BETWEEN TIMESTAMPTZ '0002-01-01 00:00:00+00' AND TIMESTAMPTZ '9998-12-31 23:59:59.999999+00'"

_UTC = "UTC"

# Where a row of a delivery stands: the number of its file, and its place in that.
PLACE = "_file, _row"


def known_at_sql(spec: SourceSpec, *, delivered_by: datetime | None) -> str:
    """Return the SQL of when a row became known.

    A row that does not say it was received when the deliverer's day of its event was over; in a night's delivery when
    the delivery's own day was, if that is later.

    Parameters
    ----------
    spec : SourceSpec
    delivered_by : datetime or None
        The end of the day that the delivery is of; None for a file that is of many.
    """
    offset = int(spec.day_offset.total_seconds())
    over = _instant_sql(f"{deliverers_day_sql(spec)} + INTERVAL 1 DAY + INTERVAL {offset} SECOND", spec.time_zone)
    if delivered_by is not None:
        over = f"greatest({over}, TIMESTAMPTZ {literal(delivered_by.isoformat())})"
    return f"coalesce({RECEIVED_AT}, {over})"


def event_day_sql(spec: SourceSpec) -> str:
    """Return the SQL of the UTC day of an event; null where no calendar has it."""
    at = column(spec.event_time)
    return f"CASE WHEN {at} {_CALENDAR} THEN CAST({_local_sql(at, _UTC)} AS DATE) END"


def deliverers_day_sql(spec: SourceSpec) -> str:
    """Return the SQL of the day of an event by the deliverer's clock: the night that delivers it."""
    offset = int(spec.day_offset.total_seconds())
    local = _local_sql(column(spec.event_time), spec.time_zone)
    return f"CAST({local} - INTERVAL {offset} SECOND AS DATE)"


def _local_sql(instant: str, zone: str) -> str:
    # A calendar's own arithmetic is slow, and UTC needs none.
    return f"make_timestamp(epoch_us({instant}))" if zone == _UTC else f"timezone({literal(zone)}, {instant})"


def _instant_sql(local: str, zone: str) -> str:
    return f"make_timestamptz(epoch_us({local}))" if zone == _UTC else f"timezone({literal(zone)}, {local})"


def verdict_sql(spec: SourceSpec, *, as_of: datetime, delivered_by: datetime | None) -> str:
    """Return the SELECT that gives every row of table ``typed`` its verdict.

    Parameters
    ----------
    spec : SourceSpec
        The rules.
    as_of : datetime
        Aware; no time may lie after it.
    delivered_by : datetime or None
        As for `known_at_sql`.

    Returns
    -------
    str
        DuckDB SQL. ``typed`` must have what `include.quality.formats.typed_sql` gives, and ``_file`` beside ``_row``;
        the result has its columns and ``_rule``: the first rule that the row breaks, or null. Of rows of one key that
        break none, those that another of the delivery takes the place of are `SUPERSEDED`: the one that was received
        last stays, of equal ones the one that stands last.
    """
    cases = " ".join(
        f"WHEN {'_copy > 1' if isinstance(rule, UniqueRule) else _fails(rule, as_of)} THEN {literal(rule.name)}"
        for rule in spec.rules
    )
    beyond = " OR ".join(f"coalesce({column(name)} NOT {_CALENDAR}, false)" for name in (spec.event_time, RECEIVED_AT))
    first = f"CASE {cases} WHEN {INFINITE} OR {beyond} THEN {literal(NOT_FINITE)} END"
    # Outside its year range a time that was rejected would overflow.
    known_at = f"CASE WHEN _first IS NULL THEN {known_at_sql(spec, delivered_by=delivered_by)} END"
    key = columns(spec.key)
    # Rows that are equal have one key, which hardly any rows share: only those are compared with one another.
    same = " AND ".join(f"typed.{column(name)} IS NOT DISTINCT FROM shared.{column(name)}" for name in spec.key)
    return f"""
WITH shared AS (
  SELECT {key} FROM typed GROUP BY ALL HAVING count(*) > 1
), counted AS (
  SELECT *, 1 AS _copy, false AS _is_shared FROM typed ANTI JOIN shared ON {same}
  UNION ALL
  SELECT *, row_number() OVER (PARTITION BY {columns(spec.typed_names)} ORDER BY {PLACE}), true
  FROM typed SEMI JOIN shared ON {same}
), judged AS (
  SELECT *, {first} AS _first FROM counted
), placed AS (
  SELECT *, 1 AS _place FROM judged WHERE NOT _is_shared
  UNION ALL
  SELECT * EXCLUDE (_known_at), row_number() OVER (
    PARTITION BY _first IS NULL, {key} ORDER BY _known_at DESC, _file DESC, _row DESC
  ) FROM (SELECT *, {known_at} AS _known_at FROM judged WHERE _is_shared)
)
SELECT * EXCLUDE (_copy, _is_shared, _first, _place),
  coalesce(_first, CASE WHEN _place > 1 THEN {literal(SUPERSEDED)} END) AS _rule
FROM placed
"""


def bucket_sql(spec: SourceSpec, typed: str) -> str:
    """Return the SELECT of ``_row`` and an unsigned ``bucket`` of each row of a file.

    Rows are judged by one another where they are equal or of one key: such rows have one bucket.

    Parameters
    ----------
    spec : SourceSpec
    typed : str
        As `include.quality.formats.typed_sql`.
    """
    # Rows without a key are set aside, and may be equal; there may be many.
    nobodys = " OR ".join(f"{column(name)} IS NULL" for name in spec.key)
    return (
        f"SELECT _row, hash({columns(spec.key)}) AS bucket FROM ({typed}) WHERE NOT ({nobodys}) UNION ALL "
        f"SELECT _row, hash({columns(spec.typed_names)}) FROM ({typed}) WHERE {nobodys}"
    )


def failing_rows_sql(spec: SourceSpec, *, as_of: datetime) -> str:
    """Return the SELECT that counts the failing rows of every rule, each for itself.

    Returns
    -------
    str
        DuckDB SQL over ``typed``: one row, one column for each rule, named as the rule.
    """
    names = columns(spec.typed_names)
    counts = ", ".join(f"count(*) FILTER (WHERE {_fails(rule, as_of)}) AS {column(rule.name)}" for rule in spec.rules)
    counted = f"SELECT *, count(*) OVER (PARTITION BY {names}) AS _members FROM typed"
    if not any(isinstance(rule, UniqueRule) for rule in spec.rules):
        counted = "SELECT * FROM typed"
    return f"WITH counted AS ({counted}) SELECT {counts or 'NULL'} FROM counted"


def where_sql(where: Where) -> str:
    """Return the condition that a row is one of `where`; null where it can't be told."""
    value = literal(where.is_) if isinstance(where.is_, str) else repr(float(where.is_))
    return f"{column(where.column)} = {value}"


def counted_sql(counted: Mapping[str, Where]) -> str:
    """Return what a GROUP BY counts of taken rows, beside others: a column for each, named ``counted__<name>``."""
    return "".join(
        f", count(*) FILTER (WHERE _rule IS NULL AND {where_sql(where)}) AS {column(f'counted__{name}')}"
        for name, where in counted.items()
    )


def _fails(rule: Rule, as_of: datetime) -> str:
    return f"coalesce({_failure(rule, as_of)}, false)"


def _failure(rule: Rule, as_of: datetime) -> str:
    if isinstance(rule, UniqueRule):
        return "_members > 1"
    if isinstance(rule, WithinRule):
        product = " * ".join(f"CAST({column(name)} AS DOUBLE)" for name in rule.columns)
        # To DuckDB what is not a number is above every number.
        return f"abs({product}) > {rule.max!r} AND NOT isnan({product})"
    value = column(rule.column)
    if isinstance(rule, NotNullRule):
        return f"{value} IS NULL"
    if isinstance(rule, InSetRule):
        return f"{value} NOT IN ({', '.join(map(literal, rule.values))})"
    if isinstance(rule, NotAfterAsOfRule):
        return f"{value} > TIMESTAMPTZ {literal(as_of.isoformat())}"
    if isinstance(rule, NotBeforeRule):
        return f"{value} < TIMESTAMPTZ {literal(f'{rule.day.isoformat()} 00:00:00+00')}"
    return _failing_number(rule, value)


def _failing_number(rule: FiniteRule | MinRule | MaxRule | AboveRule, value: str) -> str:
    if isinstance(rule, FiniteRule):
        return f"{value} IS NULL OR NOT isfinite(CAST({value} AS DOUBLE))"
    if isinstance(rule, MinRule):
        return f"{value} < {rule.min!r}"
    if isinstance(rule, MaxRule):
        return f"{value} > {rule.max!r} AND NOT isnan(CAST({value} AS DOUBLE))"
    return f"{where_sql(rule.where)} AND {value} <= {rule.above!r}"
