"""Which rows break what a group's YAML promises of each: schema, keys, bounds, nulls where none are allowed.

What belongs here: finding such rows, so that they can be named. What does not: the gate's verdict, which Great
Expectations counts, and what is promised of a partition as a whole.
"""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.compute as pc

from include.features.checks import Violation, find_violations, violation_of
from include.specs.groups import ColumnSpec, FeatureGroupSpec

_LARGEST = sys.float_info.max


def bounds_of(column: ColumnSpec) -> tuple[float, float]:
    """Return the least and the most that a number may be; without a bound, the finite ones."""
    return -_LARGEST if column.min is None else column.min, _LARGEST if column.max is None else column.max


def interval_of(low: float | None, high: float | None) -> str:
    """Return bounds as a message writes them.

    Examples
    --------
    >>> interval_of(0, None)
    '[0, inf]'
    """
    return f"[{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}]"


def out_of_bounds(values: pa.ChunkedArray, column: ColumnSpec) -> pa.ChunkedArray:
    """Return which values of a numeric column break its bounds; null does not, NaN and infinities do."""
    low, high = bounds_of(column)
    exact = values.cast(pa.float64(), safe=False)
    inside = pc.and_(pc.greater_equal(exact, low), pc.less_equal(exact, high))
    return pc.fill_null(pc.invert(inside), False)


def find_broken(rows: pa.Table, spec: FeatureGroupSpec) -> tuple[Violation, ...]:
    """Return every promise of a row that is broken, each with some of the rows that do.

    Parameters
    ----------
    rows : pyarrow.Table
        What the group's statement returned; may be empty.
    spec : FeatureGroupSpec

    Returns
    -------
    tuple of Violation
        Bounds and nulls are not looked at where the schema or the keys are wrong.
    """
    if wrong := find_violations(rows, spec):
        return wrong
    found = [violation for column in spec.columns for violation in _of_column(rows, column, spec.entity.keys)]
    return tuple(found)


def _of_column(rows: pa.Table, column: ColumnSpec, keys: tuple[str, ...]) -> list[Violation]:
    name, found = column.name, []
    nulls = rows.filter(pc.is_null(rows[name]))
    if nulls.num_rows and not column.nulls_max:
        found.append(violation_of(nulls, name, "null", "no nulls", keys))
    if column.dtype != "string":
        wrong = rows.filter(out_of_bounds(rows[name], column))
        if wrong.num_rows:
            value = f"{wrong[name][0].as_py():.6g}"
            found.append(violation_of(wrong, name, value, interval_of(column.min, column.max), keys))
    return found
