"""The orders contract: which columns an order line has, and which rows are taken.

What belongs here: the schema of ``include/config/contracts/orders.yaml`` and the meaning of its
rules. What does not: the SQL and the Great Expectations suite that the rules become, and the
layout of a source's format.

Every rule has one definition of a *failing row*, which SQL and Great Expectations count
independently of one another and of all other rules. The *verdict* is narrower: a row falls under
the first rule, in the order of the list, that it breaks; and of rows that are equal, or are
versions of one order line, one is kept although all of them are failing rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import SpecError, nearest

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SourceColumn(_Frozen):
    """A canonical column; `required` says whether a canonical file must have it."""

    name: Identifier
    type: Literal["string", "int64", "float64", "timestamp"]
    required: bool
    meaning: str


class _Rule(_Frozen):
    name: Identifier
    reason: Annotated[str, Field(min_length=1)]


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
    min: float


class PositiveForSaleRule(_Rule):
    """A row fails that is a sale and whose number is zero or below; null passes."""

    kind: Literal["positive_for_sale"]
    column: str


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
    max: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class UniqueRule(_Rule):
    """A row fails that equals another in every column as delivered; the first is kept.

    Nulls are equal to one another.
    """

    kind: Literal["unique"]


class NewestVersionRule(_Rule):
    """A row fails that shares its key with another; of those that break no other rule the newest is kept.

    Newest by the time it became known, then by its place in the file.
    """

    kind: Literal["newest_version"]
    key: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


ColumnRule = NotNullRule | FiniteRule | MinRule | PositiveForSaleRule | NotAfterAsOfRule | NotBeforeRule | InSetRule
Rule = ColumnRule | WithinRule | UniqueRule | NewestVersionRule

_RULES: dict[str, type[_Rule]] = {
    "not_null": NotNullRule,
    "finite": FiniteRule,
    "min": MinRule,
    "positive_for_sale": PositiveForSaleRule,
    "not_after_as_of": NotAfterAsOfRule,
    "not_before": NotBeforeRule,
    "in_set": InSetRule,
    "within": WithinRule,
    "unique": UniqueRule,
    "newest_version": NewestVersionRule,
}


class SourceSpec(_Frozen):
    """Columns and rules of an order line, both in order."""

    contract: Literal["orders"]
    columns: Annotated[tuple[SourceColumn, ...], Field(strict=False, min_length=1)]
    rules: Annotated[tuple[Annotated[Rule, Field(discriminator="kind")], ...], Field(strict=False, min_length=1)]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the canonical columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def reasons(self) -> dict[str, str]:
        """The human reason of every rule, by name."""
        return {rule.name: rule.reason for rule in self.rules}

    @model_validator(mode="after")
    def _rules_name_columns(self) -> SourceSpec:
        for rule in self.rules:
            for column in _columns_of(rule):
                if column not in self.column_names:
                    allowed = ", ".join(self.column_names)
                    hint = nearest(column, self.column_names)
                    raise ValueError(f"rule {rule.name!r} names column {column!r}; allowed: {allowed}{hint}")
        return self

    @model_validator(mode="after")
    def _names_are_there_once(self) -> SourceSpec:
        for label, names in (("column", self.column_names), ("rule", tuple(rule.name for rule in self.rules))):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{label} {twice[0]!r} is there twice; allowed: once")
        return self

    @model_validator(mode="after")
    def _rules_are_in_their_places(self) -> SourceSpec:
        for kind in ("unique", "newest_version"):
            if sum(rule.kind == kind for rule in self.rules) > 1:
                raise ValueError(f"there are two rules of kind {kind!r}; allowed: one")
        if any(isinstance(rule, NewestVersionRule) for rule in self.rules[:-1]):
            raise ValueError("a rule of kind 'newest_version' must be the last: it compares rows that pass the others")
        return self


def _columns_of(rule: Rule) -> tuple[str, ...]:
    if isinstance(rule, UniqueRule):
        return ()
    if isinstance(rule, NewestVersionRule):
        return rule.key
    return rule.columns if isinstance(rule, WithinRule) else (rule.column,)


def parse_source(text: str, *, file: str) -> SourceSpec:
    """Return the contract that a YAML text describes.

    Parameters
    ----------
    text : str
        The content of the file.
    file : str
        Its name, for messages.

    Raises
    ------
    SpecError
        If the text isn't YAML, or a key or value isn't allowed; the message names file, key,
        value, what is allowed and the nearest allowed word.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise SpecError(f"{file} is not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(values, dict):
        raise SpecError(f"{file} must be a mapping of keys to values, found {type(values).__name__}")
    try:
        return SourceSpec.model_validate(values)
    except ValidationError as err:
        raise SpecError("; ".join(_messages(err, file))) from err


def _messages(err: ValidationError, file: str) -> Iterator[str]:
    for problem in err.errors(include_url=False):
        location = problem["loc"]
        # A rule's kind is the third part of pydantic's location, but no key of the file.
        parts = (*location[:2], *location[3:]) if location[:1] == ("rules",) else location
        where = ".".join(map(str, parts)) or "contract"
        if problem["type"] == "extra_forbidden":
            allowed = _keys_at(problem["loc"])
            hint = nearest(str(problem["loc"][-1]), allowed)
            yield f"{file}: unknown key {where!r}; allowed: {', '.join(allowed)}{hint}"
        elif problem["type"] == "union_tag_invalid":
            kind = str(problem["ctx"]["tag"])
            allowed = list(_RULES)
            hint = nearest(kind, allowed)
            yield f"{file}: {where}.kind={kind!r} is no kind of rule; allowed: {', '.join(allowed)}{hint}"
        elif problem["type"] in ("missing", "union_tag_not_found"):
            key = f"{where}.kind" if problem["type"] == "union_tag_not_found" else where
            yield f"{file}: {key} is missing"
        elif problem["type"] == "value_error":
            yield f"{file}: {problem['msg'].removeprefix('Value error, ')}"
        else:
            yield f"{file}: {where}={problem['input']!r}: {problem['msg']}"


def _keys_at(location: tuple[int | str, ...]) -> list[str]:
    if len(location) == 1:
        return list(SourceSpec.model_fields)
    if location[0] == "columns":
        return list(SourceColumn.model_fields)
    return list(_RULES[str(location[2])].model_fields)
