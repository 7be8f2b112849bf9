"""Feature SQL in Spark's words: DuckDB's dialect in, the same statement for Spark out, or a refusal.

What belongs here: which part of SQL both engines compute alike, and the few places where one word means
two things. What does not: running a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pyarrow as pa
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from include.adapters.compute.duckdb_compute import Parameter
from include.column_types import is_instant, is_text
from include.errors import MlopsError

# A closed list: a word that is not here may be computed, rounded or counted otherwise by the other engine, and
# nobody would see it. AVG is not here because DuckDB averages decimals as DOUBLE and Spark as DECIMAL; quantiles are
# not because Spark's are approximations. The contract suite of the engines holds what is here to the same rows.
_CLAUSES = (
    exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.With, exp.CTE, exp.Subquery,
    exp.Join, exp.Union, exp.Distinct, exp.Table, exp.TableAlias, exp.Alias, exp.Identifier, exp.Column, exp.Star,
    exp.Values, exp.Tuple, exp.Paren, exp.Window, exp.WindowSpec, exp.Filter, exp.Interval, exp.Var, exp.DataType,
    exp.DataTypeParam, exp.Literal, exp.Boolean, exp.Null, exp.Placeholder,
)  # fmt: skip
_OPERATORS = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In, exp.Between,
    exp.NullSafeEQ, exp.NullSafeNEQ, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Neg,
)  # fmt: skip
_FUNCTIONS = (
    exp.Sum, exp.Count, exp.Min, exp.Max, exp.RowNumber, exp.Lead, exp.Lag, exp.Case, exp.If, exp.Coalesce,
    exp.Nullif, exp.Greatest, exp.Least, exp.Abs, exp.Cast, exp.Extract, exp.DateDiff, exp.GenerateSeries, exp.Unnest,
    exp.Explode,
)  # fmt: skip
_ALLOWED = frozenset((*_CLAUSES, *_OPERATORS, *_FUNCTIONS))
_WHOLE = exp.DataType.INTEGER_TYPES
# Types that only a value of their own kind is cast to, and why.
_OF_THEIR_KIND = (
    (exp.DataType.TEXT_TYPES, "the engines write numbers and times differently; cast no value to text"),
    (_WHOLE, "DuckDB rounds to whole numbers, Spark cuts off; cast whole numbers only"),
)
# Other parts are counted from other numbers (days of the week) or hold fractions (seconds) in Spark.
_PARTS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE")


def spark_sql(
    sql: str, schemas: Mapping[str, pa.Schema], *, purpose: str, parameters: Mapping[str, Parameter] | None = None
) -> tuple[str, frozenset[str]]:
    """Return a statement in Spark's dialect, its parameters written in, and the names of the columns it mentions.

    Parameters
    ----------
    sql : str
        One SELECT in DuckDB's dialect, with ``$name`` parameters.
    schemas : mapping of str to pyarrow.Schema
        The columns of every table that it may name.
    purpose : str
        What is computed, for messages.
    parameters : mapping, optional
        Values of the statement's parameters.

    Raises
    ------
    MlopsError
        If the statement can't be parsed, or uses what the two engines don't compute alike.
    """
    try:
        statement = parse_one(sql, read="duckdb")
        for node in statement.walk():
            _require_known(node, purpose)
        typed = _bound(statement, parameters or {}, purpose)
        schema = {name: {f.name: _sql_type(f.type) for f in table} for name, table in schemas.items()}
        qualified = qualify(typed.copy(), schema=schema, dialect="duckdb")
        _require_alike(annotate_types(qualified, schema=schema, dialect="duckdb"), purpose)
        every = any(not isinstance(star.parent, exp.Count) for star in typed.find_all(exp.Star))
        names = {"*"} if every else set()
        mentioned = frozenset(names | {column.name for column in typed.find_all(exp.Column)} | _joined_by(typed))
        return typed.transform(_reworded).sql(dialect="spark", comments=False), mentioned
    except SqlglotError as err:
        raise MlopsError(f"{purpose} can't be translated for Spark: {str(err).strip()}") from err


def _require_known(node: exp.Expression, purpose: str) -> None:
    if type(node) not in _ALLOWED:
        _refuse(node, "it is not one of those that both engines are known to compute alike", purpose)
    if isinstance(node, exp.Extract) and node.name.upper() not in _PARTS:
        _refuse(node, f"the parts that mean the same on both are {', '.join(_PARTS)}", purpose)
    if isinstance(node, exp.DateDiff) and _unit(node) not in ("DAY", "MICROSECOND"):
        _refuse(node, "DuckDB counts boundaries, Spark whole units; count in 'day' or 'microsecond'", purpose)


def _require_alike(statement: exp.Expression, purpose: str) -> None:
    for node in statement.find_all(exp.Cast, exp.IntDiv):
        if isinstance(node, exp.IntDiv):
            if not (_is(node.left, _WHOLE) and _is(node.right, _WHOLE)):
                _refuse(node, "// divides whole numbers only", purpose)
            continue
        for types, reason in _OF_THEIR_KIND:
            if node.to.is_type(*types) and not _is(node.this, types):
                _refuse(node, reason, purpose)


def _is(node: exp.Expression, types: set[exp.DataType.Type]) -> bool:
    return node.type is not None and bool(node.type.is_type(*types))


def _refuse(node: exp.Expression, reason: str, purpose: str) -> None:
    functions = ", ".join(sorted(function.sql_name() for function in _FUNCTIONS))
    raise MlopsError(
        f"{purpose} can't be computed by Spark with the same values: {node.sql(dialect='duckdb')[:200]!r}: {reason}; "
        f"allowed: {functions}; write it with these, or run it on DuckDB (MLOPS_COMPUTE=duckdb)"
    )


def _bound(statement: exp.Expression, parameters: Mapping[str, Parameter], purpose: str) -> exp.Expression:
    def literal(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Placeholder):
            return node
        if node.name not in parameters:
            given = ", ".join(parameters) or "none"
            raise MlopsError(f"{purpose}: parameter ${node.name} has no value; given: {given}")
        return _literal(parameters[node.name])

    return statement.transform(literal)


def _literal(value: Parameter) -> exp.Expression:
    """Return a value as SQL of the type that DuckDB gives the parameter."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            return exp.cast(exp.Literal.string(value.isoformat(" ")), "TIMESTAMP")
        return exp.cast(exp.Literal.string(value.astimezone(UTC).isoformat(" ")), "TIMESTAMPTZ")
    if isinstance(value, date):
        return exp.cast(exp.Literal.string(value.isoformat()), "DATE")
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
    return exp.convert(value)


def _reworded(node: exp.Expression) -> exp.Expression:
    # DuckDB divides as DOUBLE whatever the operands; Spark divides decimals as DECIMAL, with fewer digits.
    if isinstance(node, exp.Div):
        return exp.Div(this=exp.cast(node.left, "DOUBLE"), expression=exp.cast(node.right, "DOUBLE"), typed=False)
    # DuckDB counts the midnights between two times, Spark the 24 hours.
    if isinstance(node, exp.DateDiff) and _unit(node) == "DAY":
        days = exp.DateDiff(this=exp.cast(node.this, "DATE"), expression=exp.cast(node.expression, "DATE"))
        return exp.cast(days, "BIGINT")
    return node


def _unit(node: exp.DateDiff) -> str:
    return str(node.args["unit"].name).upper() if node.args.get("unit") else "DAY"


def _joined_by(statement: exp.Expression) -> set[str]:
    return {column.name for join in statement.find_all(exp.Join) for column in join.args.get("using") or ()}


def _sql_type(type_: pa.DataType) -> str:
    if pa.types.is_integer(type_):
        return "BIGINT"
    if pa.types.is_floating(type_):
        return "DOUBLE"
    if pa.types.is_timestamp(type_):
        return "TIMESTAMPTZ" if is_instant(type_) else "TIMESTAMP"
    if is_text(type_):
        return "VARCHAR"
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision}, {type_.scale})"
    names = {pa.date32(): "DATE", pa.bool_(): "BOOLEAN"}
    return names.get(type_, "UNKNOWN")
