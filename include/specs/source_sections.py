"""The sections of a source's spec: its columns, whose data they are, and what is watched.

What belongs here: the schema of each. What does not: the whole spec and its file (``sources``), rules and formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from include.specs.source_rules import ColumnType, Where
from include.specs.yaml_files import Frozen, Identifier


class SourceColumn(Frozen):
    """A column of the source's table.

    An ``id`` is an opaque text: 17850 where a file wrote 17850.0. `required` says whether a file must have the
    column; `default` is what a row has where the file says nothing.
    """

    name: Annotated[Identifier, Field(description="of the table's column")]
    type: Annotated[ColumnType, Field(description="an id is an opaque text, a timestamp an instant")]
    meaning: Annotated[str, Field(min_length=1, description="what a value says, with its unit")]
    required: Annotated[bool, Field(description="whether a file must have the column")] = True
    default: Annotated[str | None, Field(description="of a text, where the file says nothing")] = None

    @model_validator(mode="after")
    def _default_is_of_a_text(self) -> SourceColumn:
        if self.default is not None and self.type not in ("id", "string"):
            raise ValueError(f"default={self.default!r} is of a column of type {self.type}; only a text has a default")
        return self


class WatchedSpec(Frozen):
    """What a night's rows are watched for: a jump of the median of a number, over the rows of `where`.

    A day whose median is ``ratio_max`` times that of the days before it, or a fraction as small, was delivered in
    another unit.
    """

    name: Annotated[str, Field(min_length=1, description="what is watched, in words")]
    column: Annotated[str, Field(description="a number; a jump of its daily median is an incident")]
    where: Where | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that are looked at."""
        return (self.column,) if self.where is None else (self.column, self.where.column)


class PeopleSpec(Frozen):
    """Whose data rows are.

    ``person`` is the column that names somebody, ``belongs`` those whose values belong to that person wherever they
    are named, ``refers`` other columns that name one of those, ``nameless`` those that tell of many people together.
    """

    person: Annotated[str | None, Field(description="the column that names whose data a row is; null: nobody's")]
    belongs: Annotated[
        tuple[str, ...], Field(strict=False, description="columns whose values are that person's, wherever named")
    ] = ()
    refers: Annotated[
        Mapping[str, str], Field(description="other columns that name one of those: COLUMN to the one it names")
    ] = Field(default_factory=dict)
    nameless: Annotated[
        tuple[str, ...], Field(strict=False, description="columns that tell of many people together")
    ] = ()

    @model_validator(mode="after")
    def _refers_to_what_belongs(self) -> PeopleSpec:
        for column, target in self.refers.items():
            if target not in self.belongs:
                raise ValueError(f"refers.{column}={target!r} is not among belongs: {', '.join(self.belongs)}")
        return self
