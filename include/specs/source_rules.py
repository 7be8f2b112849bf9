"""The rules of a source: which rows are taken, as a spec writes it.

What belongs here: the schema of a rule, and its one meaning. What does not: the SQL and the Great Expectations suite
that rules become, and a source's other values (``sources``).

Every rule has one definition of a *failing row*, which SQL and Great Expectations count independently of one another
and of all other rules. The *verdict* is narrower: a row falls under the first rule, in the order of the list, that it
breaks; and of rows that are equal one is kept although all of them are failing rows. Beside the rules of a list there
are those of every source, `RULES_OF_ALL`: of rows that lose against another version of the same key, most of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from include.specs.yaml_files import Frozen, Identifier

# The columns that every raw table has, whatever its source: when we knew of the row, and its UTC day.
RECEIVED_AT, DAY = "received_at", "dt"

# Rules of every source, after its own: the last two are of rows that lose against another version of their key.
NOT_FINITE, SUPERSEDED, CONFLICTING = "not_finite", "superseded", "conflicting"
RULES_OF_ALL = {
    NOT_FINITE: "a whole number is infinite, or the time of the event or of its receipt is not in the years 2 to 9998",
    SUPERSEDED: "a version of the row that was received later is there",
    CONFLICTING: "another row of the same key, received at the same time, is there; deliver a correction with a later "
    f"{RECEIVED_AT}",
}

ColumnType = Literal["id", "string", "int64", "float64", "timestamp"]


# Whole ones as far as a float tells one from the next.
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]


class Where(Frozen):
    """Some rows of a source: those whose `column` is this text or number; null is none."""

    column: Annotated[str, Field(description="a column of the source")]
    is_: Annotated[str | _Whole | _Number, Field(description="its value in these rows")] = Field(alias="is")


class _Rule(Frozen):
    name: Identifier
    reason: Annotated[str, Field(min_length=1)]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return (self.column,) if hasattr(self, "column") else ()


class NotNullRule(_Rule):
    """A row fails whose column is null."""

    kind: Literal["not_null"]
    column: str


class FiniteRule(_Rule):
    """A row fails whose number is null, not a number, or infinite."""

    kind: Literal["finite"]
    column: str


class MinRule(_Rule):
    """A row fails whose number is below `min`; null passes."""

    kind: Literal["min"]
    column: str
    min: _Number


class MaxRule(_Rule):
    """A row fails whose number is above `max`; null and not a number pass."""

    kind: Literal["max"]
    column: str
    max: _Number


class AboveRule(_Rule):
    """A row fails that is one of `where` and whose number is `above` or lower; null passes."""

    kind: Literal["above"]
    column: str
    above: _Number
    where: Where

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return (self.column, self.where.column)


class NotAfterAsOfRule(_Rule):
    """A row fails whose time is later than the import's as-of; null passes."""

    kind: Literal["not_after_as_of"]
    column: str


class NotBeforeRule(_Rule):
    """A row fails whose time is before 00:00Z of `day`; null passes."""

    kind: Literal["not_before"]
    column: str
    day: date


class InSetRule(_Rule):
    """A row fails whose word is none of `values`; null passes."""

    kind: Literal["in_set"]
    column: str
    values: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class WithinRule(_Rule):
    """A row fails whose numbers, multiplied, are further from zero than `max`; null and not a number pass."""

    kind: Literal["within"]
    columns: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    max: Annotated[_Number, Field(gt=0)]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that the rule names."""
        return self.columns


class UniqueRule(_Rule):
    """A row fails that equals another of its delivery in every column; the first is kept.

    Nulls are equal to one another.
    """

    kind: Literal["unique"]


ColumnRule = NotNullRule | FiniteRule | MinRule | MaxRule | AboveRule | NotAfterAsOfRule | NotBeforeRule | InSetRule
Rule = ColumnRule | WithinRule | UniqueRule

_NUMERIC_RULES = ("finite", "min", "max", "above", "within")
_TIME_RULES = ("not_after_as_of", "not_before")


def check_types(rule: Rule, types: Mapping[str, ColumnType]) -> None:
    """Check that a rule is of columns of a type that it can judge.

    Raises
    ------
    ValueError
        If it isn't.
    """
    wanted: tuple[str, ...] = ()
    if rule.kind in _NUMERIC_RULES:
        wanted = ("int64", "float64")
    elif rule.kind in _TIME_RULES:
        wanted = ("timestamp",)
    elif rule.kind == "in_set":
        wanted = ("id", "string")
    for name in rule.columns if isinstance(rule, WithinRule) else rule.reads[:1]:
        if wanted and types[name] not in wanted:
            raise ValueError(
                f"rule {rule.name!r} of kind {rule.kind!r} is of {name!r}, of type {types[name]}; allowed: "
                f"{', '.join(wanted)}"
            )
    if isinstance(rule, AboveRule):
        check_where(f"rule {rule.name!r}", rule.where, types)


def check_where(said: str, where: Where, types: Mapping[str, ColumnType]) -> None:
    """Check that some rows of a source can be told by a column of its type.

    Raises
    ------
    ValueError
        If they can't.
    """
    found = types[where.column]
    wanted = ("id", "string") if isinstance(where.is_, str) else ("int64", "float64")
    if found not in wanted:
        raise ValueError(
            f"{said} looks for {where.column}={where.is_!r}, and {where.column} is of type {found}; a text is looked "
            "for in a column of id or string, a number in one of int64 or float64"
        )
