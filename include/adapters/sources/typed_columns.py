"""One column of a source's file, given the type that its family wants: each value exactly, or the file is refused.

What belongs here: which Arrow types a family of values admits, and naming the value that does not fit. What does not:
reading the file, and how text is read (``cleaning``, ``numbers``, ``times``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.sources.cleaning import clean_texts
from include.adapters.sources.numbers import (
    EXACT_MAX,
    NoNumberError,
    is_rounded,
    joined,
    marks_of,
    numbers_of,
    whole_numbers_of,
)
from include.adapters.sources.times import NoTimeError, patterns_of, times_of, zone_of
from include.column_types import is_binary, is_number, is_text, value_type
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect

_Convert: TypeAlias = Callable[[pa.ChunkedArray], pa.ChunkedArray]
_MISFITS = (pa.ArrowInvalid, NoNumberError, NoTimeError)

_WANTED = {
    Family.TEXT: "text or whole numbers",
    Family.WHOLE: "whole numbers that 64 bits hold",
    Family.NUMBER: "numbers that a float holds, whole ones exactly",
    Family.TIME: "times such as 2011-12-09 12:50:00 or 2011-12-09T12:50:00Z, with a zone in every row or in none",
}
# Above it a float of so many bits no longer tells one whole number from the next.
_EXACT_MAX = {16: 2**11, 32: 2**24, 64: EXACT_MAX}
_SHOWN = 60


class _WrongTypeError(Exception):
    """A column is of a type that its family does not admit."""


class TypedColumn:
    """A column of a file as its parts are read, in order.

    Attributes
    ----------
    trimmed, null_words : int
        Values so far that lost blanks at their ends, and that were a word or blanks that mean nothing.
    """

    def __init__(self, file: str, column: FileColumn, dialect: Dialect, *, knows_types: bool) -> None:
        self._file, self._column, self._dialect, self._knows_types = file, column, dialect, knows_types
        self._zone: str | None = None
        self._has_value = self._has_infinite = False
        # The whole number furthest from zero, and its row.
        self._largest: tuple[int, int] = (0, 0)
        self.trimmed = self.null_words = 0

    @property
    def type(self) -> pa.DataType:
        """What all parts so far can be given as."""
        if self._column.family is Family.TIME:
            return pa.timestamp("us", self._zone)
        if self._column.family is Family.WHOLE:
            return pa.float64() if self._has_infinite else pa.int64()
        return pa.string() if self._column.family is Family.TEXT else pa.float64()

    def read(self, values: pa.ChunkedArray, *, row: int) -> pa.ChunkedArray:
        """Return the next part of the column in a type of its family.

        Text is string; a number float64; a time timestamp[us], with zone UTC where the file names zones; a whole
        number int64, or float64 where one of the part is infinite.

        Parameters
        ----------
        values : pyarrow.ChunkedArray
            As they were read.
        row : int
            The place of the first in the file, from 1 on.

        Raises
        ------
        UnreadableInputError
            If the column is of a type that its family does not admit, or has a value that does not fit.
        """
        values = self._cleaned(_bare(values))
        if not self._has_value and (present := values.drop_null()):
            self._has_value, self._zone = True, self._zone_of(present[0])
        if values.null_count == len(values):
            return pa.chunked_array([pa.nulls(len(values), self.type)])
        try:
            convert = self._converter(values.type)
        except _WrongTypeError:
            raise self._refusal(f"is {values.type}") from None
        try:
            found = convert(values)
        except _MISFITS:
            raise self._misfit(values, convert, row) from None
        if pa.types.is_integer(found.type):
            self._keep_largest(found, row)
        self._has_infinite |= self._column.family is Family.WHOLE and pa.types.is_floating(found.type)
        return found

    def finish(self) -> None:
        """Check that the parts go together, once all were read.

        Raises
        ------
        UnreadableInputError
            If one whole number is infinite, so that all become floats, and another would be rounded.
        """
        value, row = self._largest
        if self._has_infinite and abs(value) > EXACT_MAX:
            raise self._refusal(f"has the value {value} in data row {row} and an infinite one elsewhere")

    def _cleaned(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if not is_text(values.type):
            return values
        found = clean_texts(values.cast(pa.string()), self._dialect)
        self.trimmed += found.trimmed
        self.null_words += found.null_words
        return found.values

    def _zone_of(self, value: pa.Scalar) -> str | None:
        if pa.types.is_timestamp(value.type):
            return "UTC" if value.type.tz else None
        return zone_of(value.as_py(), self._dialect) if is_text(value.type) else None

    def _converter(self, found: pa.DataType) -> _Convert:
        converters = {
            Family.TEXT: self._text,
            Family.WHOLE: self._whole,
            Family.NUMBER: self._number,
            Family.TIME: self._time,
        }
        return converters[self._column.family](found)

    def _text(self, found: pa.DataType) -> _Convert:
        if is_text(found) or is_binary(found) or pa.types.is_integer(found):
            return lambda values: values.cast(pa.string())
        if pa.types.is_decimal(found):
            return lambda values: values.cast(pa.decimal128(38, 0)).cast(pa.string())
        if pa.types.is_floating(found):
            return lambda values: _finite(values).cast(pa.string())
        raise _WrongTypeError

    def _whole(self, found: pa.DataType) -> _Convert:
        if is_text(found) and not self._knows_types:
            return lambda values: _together(*whole_numbers_of(values, self._dialect))
        if pa.types.is_integer(found) or pa.types.is_decimal(found):
            return lambda values: values.cast(pa.int64())
        if pa.types.is_floating(found):
            return lambda values: _together(*_joined(values))
        raise _WrongTypeError

    def _number(self, found: pa.DataType) -> _Convert:
        if is_text(found) and not self._knows_types:
            return lambda values: numbers_of(values, self._dialect)
        if pa.types.is_decimal(found):
            return _floats_of_decimals
        if is_number(found):
            return lambda values: values.cast(pa.float64())
        raise _WrongTypeError

    def _time(self, found: pa.DataType) -> _Convert:
        if is_text(found):
            return lambda values: times_of(values, self._dialect, self._zone)
        if pa.types.is_timestamp(found):
            # Nanoseconds below a microsecond are dropped; a time that leaves the range does not fit.
            target = pa.timestamp("us", "UTC" if found.tz else None)
            return lambda values: values.cast(target, safe=found.unit != "ns")
        if pa.types.is_date(found):
            return lambda values: values.cast(pa.timestamp("us"))
        raise _WrongTypeError

    def _keep_largest(self, found: pa.ChunkedArray, row: int) -> None:
        for bound in pc.min_max(found).values():
            if (value := bound.as_py()) is not None and abs(value) > max(abs(self._largest[0]), EXACT_MAX):
                self._largest = (value, row + pc.index(found, bound).as_py())

    def _misfit(self, values: pa.ChunkedArray, convert: _Convert, row: int) -> UnreadableInputError:
        place = _first_misfit(values, convert)
        value = values[place].value if pa.types.is_temporal(values.type) else values[place].as_py()
        shown = repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"
        hint = _hint(value, self._column.family, self._dialect) if isinstance(value, str) else ""
        return self._refusal(f"is {values.type} with the value {shown} in data row {row + place}", hint)

    def _refusal(self, found: str, hint: str = "") -> UnreadableInputError:
        remedy = hint or "correct the column and deliver again"
        wanted = _WANTED[self._column.family]
        if self._column.family is Family.TIME and self._dialect.time_patterns:
            wanted += f", or as {' or '.join(self._dialect.time_patterns)} says"
        return UnreadableInputError(f"{self._file}: column {self._column.name} {found}; wanted: {wanted}; {remedy}")


def _hint(value: str, family: Family, dialect: Dialect) -> str:
    """Return the option that would read a text, or nothing."""
    if family is Family.TIME:
        patterns = [f"[{pattern!r}]" for pattern in patterns_of(pa.chunked_array([[value]]))]
        return f"if it is a time, name in the format how (time_patterns: {' or '.join(patterns)})" if patterns else ""
    if family is Family.TEXT or not (marks := marks_of(value, dialect)):
        return ""
    return f"if it is a number, name in the format how ({') or ('.join(marks)})"


def _bare(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as they are, however they are kept; NaN is null."""
    if isinstance(values.type, pa.BaseExtensionType):
        values = pa.chunked_array([chunk.storage for chunk in values.chunks], values.type.storage_type)
    if pa.types.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values


def _finite(values: pa.ChunkedArray) -> pa.ChunkedArray:
    whole, infinite = _joined(values)
    if infinite is not None:
        raise NoNumberError
    return whole


def _joined(floats: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    none = pa.chunked_array([pa.nulls(len(floats), pa.int64())])
    return joined(none, floats.cast(pa.float64()), exact_max=_EXACT_MAX[floats.type.bit_width])


def _together(whole: pa.ChunkedArray, infinite: pa.ChunkedArray | None) -> pa.ChunkedArray:
    return whole if infinite is None else pc.coalesce(infinite, whole.cast(pa.float64()))


def _floats_of_decimals(values: pa.ChunkedArray) -> pa.ChunkedArray:
    numbers = values.cast(pa.float64())
    is_large = pc.greater_equal(pc.abs(numbers), float(EXACT_MAX))
    large = zip(values.filter(is_large).to_pylist(), numbers.filter(is_large).to_pylist(), strict=True)
    if any(is_rounded(written, kept) for written, kept in large):
        raise NoNumberError
    return numbers


def _first_misfit(values: pa.ChunkedArray, convert: _Convert) -> int:
    """Return the place of the first value that can't be converted; there is one."""
    first, end = 0, len(values)
    while end - first > 1:
        middle = (first + end) // 2
        try:
            convert(values.slice(first, middle - first))
        except _MISFITS:
            end = middle
        else:
            first = middle
    return first
