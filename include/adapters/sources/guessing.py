"""What a file that nobody has described seems to hold: how it is written, and what its columns are.

What belongs here: a guess from the head of a file, to be read and corrected by a person. What does not: taking it for
true; a file is read by its source's dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.files.parts import open_parts
from include.adapters.files.sniffing import explained, sniff_dialect
from include.adapters.files.tabular import TableFile
from include.adapters.sources.cleaning import clean_texts
from include.adapters.sources.numbers import MARKS, NoNumberError, numbers_of, whole_numbers_of
from include.adapters.sources.times import NoTimeError, patterns_of, times_of, zone_of
from include.column_types import is_binary, is_text, value_type
from include.errors import UnreadableInputError
from include.quality.formats import Family
from include.specs.dialect import BLANKS, DEFAULT_DIALECT, Dialect
from include.specs.source_formats import INFINITE, ROW_NUMBER

_ROWS = 10_000
# What is written so is a name: zeros before a number, or more digits than a count or a price has.
_NAME = r"^[-+]?0[0-9]|^[0-9]{13,}$"


@dataclass(frozen=True)
class ColumnGuess:
    """A column, as the head of its file shows it.

    Attributes
    ----------
    name : str
    family : Family or None
        What its values seem to be; None where there is none.
    null_share : float
        Of the rows that were looked at, those that have no value, by the guessed dialect.
    has_zone : bool
        Whether its times name their zone.
    time_patterns : tuple of str
        Each of them reads all of its values; more than one where nothing tells day from month; empty: ISO 8601 does.
    sample : tuple of str
        Its first values.
    """

    name: str
    family: Family | None
    null_share: float
    has_zone: bool
    time_patterns: tuple[str, ...]
    sample: tuple[str, ...]


@dataclass(frozen=True)
class FileGuess:
    """A file, as its head shows it.

    Attributes
    ----------
    dialect : Dialect
        How it seems to be written; the default for parquet. Of several patterns that read a column it has the first.
    columns : tuple of ColumnGuess
        In its order.
    rows : int
        How many were looked at.
    left_out : tuple of str
        Columns that a format can't name: one without a name, such as an index that was written too, in words, and
        those whose name another has, as SQL compares names.
    """

    dialect: Dialect
    columns: tuple[ColumnGuess, ...]
    rows: int
    left_out: tuple[str, ...] = ()


def guess_file(file: TableFile, *, rows: int = _ROWS) -> FileGuess:
    """Look at the head of a file.

    Parameters
    ----------
    rows : int
        About so many.

    Raises
    ------
    UnreadableInputError
        If it can't be taken as a table, whatever its delimiter and encoding are.
    MlopsError
        If the storage fails.
    """
    dialect = sniff_dialect(file) if file.is_text else DEFAULT_DIALECT
    head = _read_head(file, dialect, rows)
    columns = [_values(column) for column in head.columns]
    decimal, thousands = _guess_marks(columns if file.is_text else [])
    dialect = replace(dialect, decimal=decimal, thousands=thousands)
    named, left_out = _named([name.strip(BLANKS) for name in head.column_names])
    guessed = tuple(
        _guess_column(name, columns[place], dialect, knows_types=not file.is_text) for name, place in named.items()
    )
    patterns = dict.fromkeys(column.time_patterns[0] for column in guessed if column.time_patterns)
    return FileGuess(replace(dialect, time_patterns=tuple(patterns)), guessed, head.num_rows, left_out)


def _named(names: Sequence[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the names that one column has, to SQL too, with its place from 0 on; and those of the others, in words."""
    taken = [ROW_NUMBER, INFINITE, *(name.lower() for name in names)]
    named = {name: place for place, name in enumerate(names) if name and taken.count(name.lower()) == 1}
    return named, tuple(name or f"number {place}" for place, name in enumerate(names, start=1) if name not in named)


def _read_head(file: TableFile, dialect: Dialect, rows: int) -> pa.Table:
    try:
        with open_parts(file, dialect) as parts:
            head = next(parts.read(rows=rows), parts.schema.empty_table())
    except UnreadableInputError as err:
        raise (explained(err, file, dialect, has_options=False) if file.is_text else err) from err
    return head.slice(0, rows)


def _values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    column = column.cast(value_type(column.type))
    return clean_texts(column.cast(pa.string()), DEFAULT_DIALECT).values if is_text(column.type) else column


def _guess_marks(columns: list[pa.ChunkedArray]) -> tuple[str, str | None]:
    """Return the marks for decimals and thousands by which most columns are numbers; of several the plainest."""
    counts = [sum(_is_number(column, *marks) for column in columns) for marks in MARKS]
    return MARKS[counts.index(max(counts))]


def _is_number(column: pa.ChunkedArray, decimal: str, thousands: str | None) -> bool:
    dialect = Dialect(decimal=decimal, thousands=thousands)
    return column.null_count < len(column) and _can(lambda: numbers_of(column, dialect))


def _guess_column(name: str, values: pa.ChunkedArray, dialect: Dialect, *, knows_types: bool) -> ColumnGuess:
    present = values.drop_null()
    sample = tuple(str(value) for value in present.slice(0, 3).to_pylist())
    guess = ColumnGuess(name, None, values.null_count / max(len(values), 1), False, (), sample)
    if not len(present):
        return guess
    if is_text(values.type):
        return _guess_text(guess, present, dialect, knows_types=knows_types)
    families = (family for family, is_kind in _TYPED if is_kind(values.type))
    has_zone = pa.types.is_timestamp(values.type) and values.type.tz is not None
    return replace(guess, family=next(families, None), has_zone=has_zone)


def _guess_text(guess: ColumnGuess, texts: pa.ChunkedArray, dialect: Dialect, *, knows_types: bool) -> ColumnGuess:
    if not knows_types and not pc.any(pc.match_substring_regex(texts, _NAME)).as_py():
        for family, read in ((Family.WHOLE, whole_numbers_of), (Family.NUMBER, numbers_of)):
            if _can(lambda read=read: read(texts, dialect)):  # type: ignore[misc]
                return replace(guess, family=family)
    zone = zone_of(texts[0].as_py(), DEFAULT_DIALECT)
    if _can(lambda: times_of(texts, DEFAULT_DIALECT, zone)):
        return replace(guess, family=Family.TIME, has_zone=zone is not None)
    if patterns := tuple(patterns_of(texts)):
        return replace(guess, family=Family.TIME, has_zone="%z" in patterns[0], time_patterns=patterns)
    return replace(guess, family=Family.TEXT)


def _can(read: Callable[[], object]) -> bool:
    with suppress(NoNumberError, NoTimeError):
        read()
        return True
    return False


def _is_time(found: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(found) or pa.types.is_date(found))


def _is_real(found: pa.DataType) -> bool:
    return bool(pa.types.is_floating(found) or pa.types.is_decimal(found))


_TYPED = (
    (Family.TIME, _is_time),
    (Family.WHOLE, pa.types.is_integer),
    (Family.NUMBER, _is_real),
    (Family.TEXT, is_binary),
)
