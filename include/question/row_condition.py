"""A population's condition for a few rows at hand, without starting an engine.

What belongs here: which conditions Python answers as DuckDB does, to the row, and that answer. What does not: parsing
(``specs.conditions``), and conditions beyond these, which stay the engine's.

DuckDB takes a millisecond for any statement, longer than a whole online answer. One rule in two languages is a risk, so
few forms are taken: comparisons of a column with a literal that no engine rounds, and what joins them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from include.specs.conditions import parse_condition

# Of one row by the names of its columns: true, false, or None where it is not known.
RowCondition: TypeAlias = Callable[[Mapping[str, Any]], bool | None]

# Beyond it a whole number and its float32 differ.
_FLOAT32_EXACT = 2**24
_INT64_MAX = 2**63 - 1
_FLIPPED = {"LT": "GT", "LTE": "GTE", "GT": "LT", "GTE": "LTE", "EQ": "EQ", "NEQ": "NEQ"}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
    "EQ": operator.eq,
    "NEQ": operator.ne,
}


def row_condition(condition: str, dtypes: Mapping[str, str]) -> RowCondition | None:
    """Return a condition as a function of a row; None where only the engine can answer it.

    Parameters
    ----------
    condition : str
        DuckDB dialect, as ``population:`` of a model.
    dtypes : mapping of str to str
        Of each column: int64, float32, float64 or string. A value is of it, or None; never NaN.

    Examples
    --------
    >>> holds = row_condition("age <= 30 AND NOT place = 'x'", {"age": "int64", "place": "string"})
    >>> [holds({"age": 3, "place": "y"}), holds({"age": 3, "place": None}), holds({"age": 31, "place": None})]
    [True, None, False]
    >>> row_condition("round(age) <= 30", {"age": "int64"}) is None
    True
    """
    return _compiled(parse_condition(condition), dtypes)


def _compiled(node: Any, dtypes: Mapping[str, str]) -> RowCondition | None:
    from sqlglot import exp

    match node:
        case exp.Paren():
            return _compiled(node.this, dtypes)
        case exp.Not():
            inner = _compiled(node.this, dtypes)
            return None if inner is None else lambda row: _negated(inner(row))
        case exp.And() | exp.Or():
            left, right = _compiled(node.left, dtypes), _compiled(node.right, dtypes)
            if left is None or right is None:
                return None
            join = _both if isinstance(node, exp.And) else _either
            return lambda row: join(left(row), right(row))
        case exp.Is():
            return _is_null(node, dtypes)
        case exp.LT() | exp.LTE() | exp.GT() | exp.GTE() | exp.EQ() | exp.NEQ():
            return _comparison(node, dtypes)
    return None


def _comparison(node: Any, dtypes: Mapping[str, str]) -> RowCondition | None:
    from sqlglot import exp

    name, column, literal = type(node).__name__, node.left, node.right
    if isinstance(literal, exp.Column):
        name, column, literal = _FLIPPED[name], literal, column
    if not isinstance(column, exp.Column) or column.name not in dtypes:
        return None
    value = _literal(literal, dtypes[column.name])
    if value is None:
        return None
    of, compare = column.name, _COMPARE[name]

    def holds(row: Mapping[str, Any]) -> bool | None:
        found = row[of]
        return None if found is None else compare(found, value)

    return holds


def _is_null(node: Any, dtypes: Mapping[str, str]) -> RowCondition | None:
    from sqlglot import exp

    if (
        not isinstance(node.this, exp.Column)
        or node.this.name not in dtypes
        or not isinstance(node.expression, exp.Null)
    ):
        return None
    of = node.this.name
    return lambda row: row[of] is None


def _literal(node: Any, dtype: str) -> int | float | str | None:
    """Return a literal's value; None where it is none, or one that an engine may round before it compares."""
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        value = _literal(node.this, dtype)
        return None if value is None or isinstance(value, str) else -value
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return str(node.this) if dtype == "string" else None
    if dtype == "string" or not node.this.isdigit():
        return None
    number = int(node.this)
    return number if number <= {"float32": _FLOAT32_EXACT, "float64": 2**53}.get(dtype, _INT64_MAX) else None


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _either(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False
