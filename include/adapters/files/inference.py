"""What a column of text holds, read off its values: numbers, times, or text after all.

What belongs here: the types that a file without types gets where nobody says them (Arrow's own ladder: whole numbers,
booleans, dates, times, numbers, text). What does not: a source's columns, whose types are said (``sources``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Choice: TypeAlias = Callable[[str], bool]

# Of a column that isn't text, as Arrow has them.
NOTHING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)
_TRUE = ("1", "true", "True", "TRUE")
_FALSE = ("0", "false", "False", "FALSE")
_TIME_OF_DAY = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"
_HEAD_ROWS = 100


def no_column(_name: str) -> bool:
    """Choose no column."""
    return False


def every_column(_name: str) -> bool:
    """Choose every column."""
    return True


def with_types(texts: pa.Table, is_text: Choice = no_column) -> pa.Table:
    """Return a table of text with the columns that aren't chosen in the types of their values.

    Where all values of a column, but those that are nothing, are of a type, so is the column; one without a value is
    of type null. A column of text stays as it stands: "NA" is a word there, and nothing is "".
    """
    return pa.table(
        [texts[name] if is_text(name) else _typed(texts[name]) for name in texts.column_names],
        names=texts.column_names,
    )


def _typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    values = pc.if_else(pc.is_in(column, pa.array(NOTHING)), pa.scalar(None, pa.string()), column)
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values))])
    for read in _READINGS:
        with suppress(pa.ArrowInvalid):
            # Most readings fail at once: a column is gone through only where its head can be read.
            read(values.slice(0, _HEAD_ROWS))
            return read(values)
    return column


def _numbers(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return pc.utf8_trim(values, " \t").cast(kind)


def _booleans(values: pa.ChunkedArray) -> pa.ChunkedArray:
    is_true = pc.is_in(values, pa.array(_TRUE))
    if not pc.all(pc.or_(pc.or_(is_true, pc.is_in(values, pa.array(_FALSE))), pc.is_null(values))).as_py():
        raise pa.ArrowInvalid("not booleans")
    return pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), is_true)


def _times_of_day(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.all(pc.match_substring_regex(values, _TIME_OF_DAY)).as_py() is False:
        raise pa.ArrowInvalid("not times of a day")
    return pc.binary_join_element_wise("1970-01-01", values, " ").cast(pa.timestamp("s")).cast(pa.time32("s"))


def _casts(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return values.cast(kind)


_READINGS: tuple[Callable[[pa.ChunkedArray], pa.ChunkedArray], ...] = (
    partial(_numbers, kind=pa.int64()),
    _booleans,
    partial(_casts, kind=pa.date32()),
    _times_of_day,
    *(partial(_casts, kind=pa.timestamp(unit, zone)) for unit in ("s", "ns") for zone in (None, "UTC")),
    partial(_numbers, kind=pa.float64()),
)
