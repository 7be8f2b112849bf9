"""The rules of a source as a suite of native expectations over a partition.

What belongs here: turning rules into expectations. What does not: the rules,
and what happens when the counts differ from those of SQL.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time
from functools import reduce
from typing import TYPE_CHECKING

from include.adapters.expectations.expectations import run_expectations
from include.specs.source_rules import (
    AboveRule,
    FiniteRule,
    InSetRule,
    MaxRule,
    MinRule,
    NotAfterAsOfRule,
    NotNullRule,
    Rule,
    UniqueRule,
    WithinRule,
)
from include.specs.sources import SourceSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from great_expectations.expectations import Expectation


def count_failing_rows(spec: SourceSpec, rows: pa.Table, *, as_of: datetime) -> dict[str, int]:
    """Count the failing rows of every rule with Great Expectations, on its pandas engine.

    Parameters
    ----------
    spec : SourceSpec
        The rules.
    rows : pyarrow.Table
        Delivered rows in the source's columns, before any is set aside. May be empty.
    as_of : datetime
        Aware; no time may lie after it.

    Returns
    -------
    dict of str to int
        Rows by rule, in the spec's order.

    Raises
    ------
    MlopsError
        If an expectation can't be evaluated.

    Notes
    -----
    Every rule is native: not_null, between (min, max, times, and with a row condition), in_set and compound
    uniqueness, which like the spec counts all members of a group of equal rows.
    ``finite`` alone takes two, one for null and one for infinite numbers; no row fails both. ``within``
    is between, of a column that pandas has multiplied.
    """
    expectations = [found for rule in spec.rules for found in _expectations(rule, as_of, spec.typed_names)]
    frame = rows.to_pandas(integer_object_nulls=True)
    for rule in spec.rules:
        if isinstance(rule, WithinRule):
            frame[_product(rule)] = reduce(operator.mul, (frame[name] for name in rule.columns))
    counts = dict.fromkeys((rule.name for rule in spec.rules), 0)
    for result in run_expectations(spec.source, frame, expectations):
        counts[result.expectation_config.meta["rule"]] += int(result.result["unexpected_count"])
    return counts


def _expectations(rule: Rule, as_of: datetime, identity: Sequence[str]) -> list[Expectation]:
    import great_expectations.expectations as gxe
    from great_expectations.expectations.row_conditions import Column

    meta = {"rule": rule.name}
    if isinstance(rule, UniqueRule):
        return [gxe.ExpectCompoundColumnsToBeUnique(column_list=list(identity), ignore_row_if="never", meta=meta)]
    if isinstance(rule, WithinRule):
        return [
            gxe.ExpectColumnValuesToBeBetween(column=_product(rule), min_value=-rule.max, max_value=rule.max, meta=meta)
        ]
    name = rule.column
    if isinstance(rule, NotNullRule):
        return [gxe.ExpectColumnValuesToNotBeNull(column=name, meta=meta)]
    if isinstance(rule, InSetRule):
        return [gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(rule.values), meta=meta)]
    if isinstance(rule, FiniteRule):
        largest = sys.float_info.max
        return [
            gxe.ExpectColumnValuesToNotBeNull(column=name, meta=meta),
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=-largest, max_value=largest, meta=meta),
        ]
    if isinstance(rule, MinRule):
        return [gxe.ExpectColumnValuesToBeBetween(column=name, min_value=rule.min, meta=meta)]
    if isinstance(rule, MaxRule):
        return [gxe.ExpectColumnValuesToBeBetween(column=name, max_value=rule.max, meta=meta)]
    if isinstance(rule, AboveRule):
        of_these = Column(rule.where.column) == rule.where.is_
        return [
            gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=rule.above, strict_min=True, row_condition=of_these, meta=meta
            )
        ]
    if isinstance(rule, NotAfterAsOfRule):
        return [gxe.ExpectColumnValuesToBeBetween(column=name, max_value=as_of, meta=meta)]
    earliest = datetime.combine(rule.day, time(), tzinfo=UTC)
    return [gxe.ExpectColumnValuesToBeBetween(column=name, min_value=earliest, meta=meta)]


def _product(rule: WithinRule) -> str:
    return " * ".join(rule.columns)
