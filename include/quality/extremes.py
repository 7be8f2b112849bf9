"""Rows at the edges of what a source's rules take, drawn from a seed.

What belongs here: which values are worth trying, by the rules that name them, and rows of those. What does not: whether
the rules take a row, which their SQL says, and what becomes of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from include.specs.source_rules import (
    AboveRule,
    InSetRule,
    MaxRule,
    MinRule,
    NotBeforeRule,
    Rule,
    WithinRule,
)
from include.specs.source_sections import SourceColumn
from include.specs.sources import SourceSpec

# What rows of one try have in common or not: each has identifiers of its own, two of each.
NAMES = ("a", "b")
ROWS_OF_A_TRY = 3

_TYPES = {
    "id": pa.string(),
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_MOST = 2**63 - 1
# Further back than any window of a feature looks.
_DAYS_BACK = (0, 1, 7, 29, 30, 89, 90, 179, 364, 3650)


def draw_rows(spec: SourceSpec, rng: np.random.Generator, *, tries: int, until: datetime) -> pa.Table:
    """Draw rows of a source, as a file would have them.

    Parameters
    ----------
    spec : SourceSpec
        Its columns, and the rules whose edges are tried.
    rng : numpy.random.Generator
    tries : int
        Each is of one row to `ROWS_OF_A_TRY`; identifiers and texts are its own, ``<try>:a`` or ``<try>:b``, but for
        those that a rule lists.
    until : datetime
        00:00Z of the day after the last one that rows are of.

    Returns
    -------
    pyarrow.Table
        The source's columns, ``_row`` (int64), from 1, and ``_try`` (string).
    """
    of_try = np.repeat(np.arange(tries), rng.integers(1, ROWS_OF_A_TRY + 1, size=tries))
    columns = {column.name: _draw(column, spec, rng, of_try, until) for column in spec.columns}
    own = {"_row": pa.array(range(1, len(of_try) + 1)), "_try": pa.array(map(str, of_try))}
    return pa.table({**columns, **own})


def try_of(value: object) -> str | None:
    """Return which try an identifier or a text is of; None where it is none of a try's own."""
    head, found, _ = str(value).partition(":")
    return head if found and head.isdigit() else None


def _draw(
    column: SourceColumn, spec: SourceSpec, rng: np.random.Generator, of_try: np.ndarray, until: datetime
) -> pa.Array:
    listed = _listed(column, spec)
    if column.type in ("id", "string") and not listed:
        return _texts(column, rng, of_try)
    values: list[object] = [*listed]
    if column.type == "timestamp":
        values = [*_times(column, spec, until)]
    elif not listed:
        values = [*_numbers(column, spec)]
    if not column.required and column.default is None:
        values.append(None)
    return pa.array([values[n] for n in rng.integers(len(values), size=len(of_try))], _TYPES[column.type])


def _texts(column: SourceColumn, rng: np.random.Generator, of_try: np.ndarray) -> pa.Array:
    words = [*NAMES] if column.required else [*NAMES, *NAMES, None]
    drawn = [words[n] for n in rng.integers(len(words), size=len(of_try))]
    texts = [None if word is None else f"{own}:{word}" for own, word in zip(of_try, drawn, strict=True)]
    return pa.array(texts, _TYPES[column.type])


def _listed(column: SourceColumn, spec: SourceSpec) -> list[str]:
    """Return the words that a rule allows a column, the default, which most rows say, as often as all others."""
    rules = [rule for rule in spec.rules if isinstance(rule, InSetRule) and rule.column == column.name]
    words = [word for rule in rules for word in rule.values]
    return words if column.default is None else [*words, *[column.default] * len(words)]


def _numbers(column: SourceColumn, spec: SourceSpec) -> list[float]:
    """Return numbers at the edges of the rules and of the type, and powers of ten between them."""
    limits = [found for rule in spec.rules if (found := _limits(rule, column.name))]
    edges = [0.0, 1.0, *(edge for _, _, edge in limits)]
    tried = [*edges, *(10.0**exponent for exponent in range(-9, 19, 3))]
    numbers = _whole(tried) if column.type == "int64" else _real(tried, edges)
    low = max((least for least, _, _ in limits), default=-math.inf)
    high = min((most for _, most, _ in limits), default=math.inf)
    return sorted(n for n in numbers if low <= n <= high)


def _whole(tried: Iterable[float]) -> set[float]:
    numbers = {_MOST, *(int(number) for number in tried if number.is_integer() and abs(number) <= _MOST)}
    return {n * sign for n in numbers for sign in (1, -1)}


def _real(tried: Iterable[float], edges: Iterable[float]) -> set[float]:
    beside = [math.nextafter(edge, side) for edge in edges for side in (-math.inf, math.inf)]
    numbers = {5e-324, 1.7e308, *tried, *beside} - {0.0}
    return {0.0, *numbers, *(-n for n in numbers)}


def _limits(rule: Rule, name: str) -> tuple[float, float, float] | None:
    """Return the least and the most that a rule of a number takes of it alone, and the number that the rule names."""
    if name not in rule.reads:
        return None
    if isinstance(rule, WithinRule):
        alone = rule.max if len(rule.columns) == 1 else math.inf
        return -alone, alone, rule.max
    if isinstance(rule, MinRule):
        return rule.min, math.inf, rule.min
    if isinstance(rule, MaxRule):
        return -math.inf, rule.max, rule.max
    return (-math.inf, math.inf, rule.above) if isinstance(rule, AboveRule) else None


def _times(column: SourceColumn, spec: SourceSpec, until: datetime) -> list[datetime]:
    """Return the first instant of the last day and of days before it, the last one's end, and the earliest allowed."""
    days = [rule.day for rule in spec.rules if isinstance(rule, NotBeforeRule) and rule.column == column.name]
    earliest = datetime.combine(max(days), time(), UTC) if days else datetime(1, 1, 2, tzinfo=UTC)
    last = until - timedelta(days=1)
    back = [last - timedelta(days=days) for days in _DAYS_BACK]
    in_last_day = [last + timedelta(hours=10), last + timedelta(hours=20), until - timedelta(microseconds=1)]
    return [*in_last_day * 3, *(at for at in back if at >= earliest), earliest]
