"""The formats of a source: how files of another make become its rows, as a spec writes it.

What belongs here: the schema of a format. What does not: the SELECT that it becomes (``quality.formats``), and how its
values are written (``dialect``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from include.errors import nearest
from include.specs.conditions import check_expression
from include.specs.dialect import NULL_WORDS, Dialect
from include.specs.source_rules import ColumnType
from include.specs.yaml_files import Frozen

CANONICAL = "canonical"

# Columns beside those of a file while it is read: its rows' places from 1 on, in file order, and whether a whole number
# of a row is infinite.
ROW_NUMBER, INFINITE = "_row", "_infinite"


class FileColumnSpec(Frozen):
    """A column of a file of some format."""

    name: Annotated[str, Field(min_length=1, description="as the file has it")]
    type: Annotated[ColumnType, Field(description="how its values are read")]
    required: Annotated[bool, Field(description="whether a file must have the column")] = True


class Identity(Frozen):
    """A number that what the columns of a row say makes, wherever the row stands: at most 2^52."""

    identity: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class FormatSpec(Frozen):
    """How files of another make become rows of the source.

    ``file_columns`` are those of a file; without them they are the source's own. ``columns`` gives for a column of the
    source an SQL expression over a file's row, DuckDB dialect; one that is not there is null.
    """

    delimiter: Annotated[
        str | None, Field(description="between two values of a text file; null: a tab in .tsv, else a comma")
    ] = None
    decimal: Annotated[str, Field(description="before the digits of a fraction: a point or a comma")] = "."
    thousands: Annotated[str | None, Field(description="between groups of three digits; null: nothing")] = None
    encoding: Annotated[str, Field(description="of a text file, as Python names it")] = "utf-8"
    null_words: Annotated[
        tuple[str, ...], Field(strict=False, description="texts that mean that there is no value")
    ] = NULL_WORDS
    trim: Annotated[bool, Field(description="whether blanks at a value's ends are no part of it")] = True
    time_patterns: Annotated[
        tuple[str, ...], Field(strict=False, description="how times are written beside ISO 8601, e.g. %d.%m.%Y")
    ] = ()
    file_columns: Annotated[tuple[FileColumnSpec, ...], Field(strict=False)] = ()
    columns: Annotated[
        Mapping[str, str | Identity],
        Field(description="for a column of the source: SQL over those of the file, or {identity: [COLUMN, …]}"),
    ] = Field(default_factory=dict)

    @property
    def dialect(self) -> Dialect:
        """How its files write values."""
        return Dialect(
            self.delimiter,
            self.decimal,
            self.thousands,
            self.encoding,
            self.null_words,
            self.trim,
            self.time_patterns,
        )

    @model_validator(mode="after")
    def _values_can_be_told_apart(self) -> FormatSpec:
        _ = self.dialect
        return self

    @model_validator(mode="after")
    def _columns_are_expressions(self) -> FormatSpec:
        if bool(self.file_columns) != bool(self.columns):
            raise ValueError("file_columns and columns go together: what a file has, and what becomes of it")
        check_once("file_columns", [ROW_NUMBER, INFINITE, *(column.name.lower() for column in self.file_columns)])
        names = [column.name for column in self.file_columns]
        for target, expression in self.columns.items():
            read = expression.identity if isinstance(expression, Identity) else check_expression(expression)
            for name in read:
                if name not in names:
                    raise ValueError(
                        f"columns.{target} names {name!r}; file_columns has {', '.join(names)}{nearest(name, names)}"
                    )
        return self


def check_once(label: str, names: Sequence[str]) -> None:
    """Check that each name is there once.

    Raises
    ------
    ValueError
        If one is there twice.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{label} {twice[0]!r} is there twice, or is one that every source has; allowed: once")
