"""One column of a file of orders, given the type that its format wants.

What belongs here: which Arrow types a family of values admits, and the message when a column has
another. What does not: reading the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.column_types import is_number, is_text, value_type
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn

# Above it a float no longer tells one whole number from the next.
_WHOLE_MAX = float(2**53)
_ZONED = r"\d:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)$"

_WANTED = {
    Family.TEXT: "text or whole numbers",
    Family.WHOLE: "whole numbers up to 2^53",
    Family.NUMBER: "numbers",
    Family.TIME: "times such as 2011-12-09 12:50:00 or 2011-12-09T12:50:00Z, with a zone in every row or in none",
}


@dataclass(frozen=True)
class Traits:
    """What one value of a column decides for all: a time in it names a zone, a whole number in it is infinite."""

    has_zone: bool = False
    has_infinite: bool = False

    def __or__(self, other: Traits) -> Traits:
        """Return those of two parts of a column together."""
        return Traits(self.has_zone or other.has_zone, self.has_infinite or other.has_infinite)


def has_traits(found: pa.DataType, column: FileColumn | None, *, untyped: bool) -> bool:
    """Say whether the traits of a column can be others than none."""
    if column is None or column.family not in (Family.WHOLE, Family.TIME):
        return False
    if untyped and is_text(found):
        return True
    return column.family is Family.WHOLE and not pa.types.is_integer(value_type(found))


def traits_of(values: pa.ChunkedArray, column: FileColumn, *, untyped: bool) -> Traits:
    """Return the traits of a column, or of a part of it; none where the values are of another family."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    if column.family is Family.TIME:
        return Traits(has_zone=pc.any(pc.match_substring_regex(values, _ZONED)).as_py() is True)
    try:
        numbers = values.cast(pa.float64()) if is_number(values.type) else _number(values, untyped, Traits())
    except (pa.ArrowInvalid, _WrongTypeError):
        return Traits()
    return Traits(has_infinite=pc.any(pc.is_inf(numbers)).as_py() is True)


def converted(
    file: str, values: pa.ChunkedArray, column: FileColumn | None, *, untyped: bool, traits: Traits
) -> pa.ChunkedArray:
    """Return a column's values, or those of a part of it, with the type of their family; NaN becomes null.

    Parameters
    ----------
    file : str
        The file's name, for messages.
    values : pyarrow.ChunkedArray
        The column as it was read.
    column : FileColumn or None
        What the format knows of it; None where it does not know the column.
    untyped : bool
        Whether the file knows no types, so that numbers and times are parsed from text.
    traits : Traits
        Those of the column as a whole.

    Raises
    ------
    UnreadableInputError
        If the values are of another family.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(value_type(values.type))
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if column is None:
        return values
    if pa.types.is_null(values.type):
        return values.cast(_EMPTY[column.family])
    try:
        return _BY_FAMILY[column.family](values, untyped, traits)
    except _WrongTypeError as err:
        found = f"{err}"
    except pa.ArrowInvalid as err:
        found = f"{values.type} with a value that does not fit ({' '.join(str(err).split())[:200]})"
    raise UnreadableInputError(
        f"{file}: column {column.name} is {found}; wanted: {_WANTED[column.family]}; "
        "correct the column and deliver again"
    )


class _WrongTypeError(Exception):
    """The column is of another family; the text says what was found."""


def _text(values: pa.ChunkedArray, untyped: bool, traits: Traits) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        values = _integers(values)
    if pa.types.is_integer(values.type) or is_text(values.type):
        return values.cast(pa.string())
    raise _WrongTypeError(str(values.type))


def _whole(values: pa.ChunkedArray, untyped: bool, traits: Traits) -> pa.ChunkedArray:
    if untyped and is_text(values.type):
        values = _number(values, untyped, traits)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    if pa.types.is_floating(values.type):
        values = values.cast(pa.float64())
        if not traits.has_infinite:
            return _integers(values)
        _integers(pc.filter(values, pc.is_finite(values)))
        return values
    if pa.types.is_integer(values.type):
        return _integers(values)
    raise _WrongTypeError(str(values.type))


def _number(values: pa.ChunkedArray, untyped: bool, traits: Traits) -> pa.ChunkedArray:
    if untyped and is_text(values.type):
        numbers = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    if is_number(values.type):
        return values.cast(pa.float64(), safe=False)
    raise _WrongTypeError(str(values.type))


def _time(values: pa.ChunkedArray, untyped: bool, traits: Traits) -> pa.ChunkedArray:
    if untyped and is_text(values.type):
        return values.cast(pa.timestamp("us", "UTC" if traits.has_zone else None))
    if pa.types.is_timestamp(values.type):
        # Nanoseconds below a microsecond are dropped; a time that leaves the range is an error.
        target = pa.timestamp("us", "UTC" if values.type.tz else None)
        return values.cast(target, safe=values.type.unit != "ns")
    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("us"))
    raise _WrongTypeError(str(values.type))


def _integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(values.type):
        odd = pc.filter(values, pc.or_(pc.not_equal(values, pc.trunc(values)), _is_huge(values)))
    else:
        odd = pc.filter(values, _is_huge(values.cast(pa.float64(), safe=False)))
    if len(odd):
        raise _WrongTypeError(f"{values.type} with the value {odd[0].as_py()}")
    return values.cast(pa.int64())


def _is_huge(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.greater(pc.abs(values), _WHOLE_MAX)


_BY_FAMILY = {Family.TEXT: _text, Family.WHOLE: _whole, Family.NUMBER: _number, Family.TIME: _time}
_EMPTY = {
    Family.TEXT: pa.string(),
    Family.WHOLE: pa.int64(),
    Family.NUMBER: pa.float64(),
    Family.TIME: pa.timestamp("us"),
}
