"""Columns of a source's file that its format does not know: shown where they can be, and never in the way.

What belongs here: which of them can be shown beside a row that is set aside, under which name, and as what. What does
not: the columns that a format knows.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from include.adapters.files.tabular import empty_as_null
from include.column_types import is_text, value_type

_AS_IT_IS = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal128,
)
_AS_TEXT = (
    is_text,
    pa.types.is_null,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_decimal256,
)


def shown_type(found: pa.DataType) -> pa.DataType | None:
    """Return the type in which a column's values can be shown; None where they can't.

    Examples
    --------
    >>> import pyarrow as pa
    >>> shown_type(pa.list_(pa.timestamp("ns"))), shown_type(pa.duration("s"))
    (ListType(list<item: string>), None)
    """
    found = value_type(found)
    if any(is_kind(found) for is_kind in _AS_IT_IS):
        return found
    if any(is_kind(found) for is_kind in _AS_TEXT):
        return pa.string()
    return _shown_nested(found)


def _shown_nested(found: pa.DataType) -> pa.DataType | None:
    if pa.types.is_list(found):
        item = shown_type(found.value_type)
        return None if item is None else pa.list_(item)
    if not pa.types.is_struct(found):
        return None
    fields = [(field.name, shown_type(field.type)) for field in found]
    names = {name.lower() for name, kind in fields if name and kind is not None}
    return pa.struct(fields) if fields and len(names) == len(fields) else None


def as_shown(values: pa.ChunkedArray, kind: pa.DataType, *, knows_types: bool) -> pa.ChunkedArray:
    """Return a part of a column in the type in which it is shown; one that can't be is null."""
    try:
        shown = values.cast(kind)
    except pa.ArrowException:
        return pa.chunked_array([pa.nulls(len(values), kind)])
    return shown if knows_types or not is_text(kind) else empty_as_null(shown)


def free_name(name: str, place: int, taken: Collection[str]) -> str:
    """Return a name for a column that no other has, as SQL compares names.

    Parameters
    ----------
    place : int
        The column's, from 1 on, in its file.
    taken : collection of str
        In small letters.

    Examples
    --------
    >>> free_name("Note", 4, {"note"}), free_name("", 5, {"note"})
    ('Note (column 4)', 'column 5')
    """
    named = name if name.strip() else f"column {place}"
    while named.lower() in taken:
        named = f"{named} (column {place})"
    return named
