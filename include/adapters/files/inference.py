"""What a column of text holds, read off its values: numbers, times, or text after all.

What belongs here: the types that a file without types gets where nobody says them (Arrow's own ladder: whole numbers,
booleans, dates, times, numbers, text). What does not: a source's columns, whose types are said (``sources``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Choice: TypeAlias = Callable[[str], bool]

# Of a column that isn't text, as Arrow has them.
NOTHING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)
_TRUE = pa.array(["1", "true", "True", "TRUE"])
_FALSE = pa.array(["0", "false", "False", "FALSE"])
_TIME_OF_DAY = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"
_TIMES = (
    pa.date32(),
    pa.time32("s"),
    *(pa.timestamp(unit, zone) for unit in ("s", "ns") for zone in (None, "UTC")),
)


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
    return next(_readings(values), column)


def _readings(values: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    numbers = pc.utf8_trim(values, " \t")
    with suppress(pa.ArrowInvalid):
        yield numbers.cast(pa.int64())
    is_true = pc.is_in(values, _TRUE)
    if pc.all(pc.or_(pc.or_(is_true, pc.is_in(values, _FALSE)), pc.is_null(values))).as_py():
        yield pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), is_true)
    for kind in _TIMES:
        with suppress(pa.ArrowInvalid):
            yield _as_times_of_day(values) if kind == pa.time32("s") else values.cast(kind)
    with suppress(pa.ArrowInvalid):
        yield numbers.cast(pa.float64())


def _as_times_of_day(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pc.all(pc.match_substring_regex(values, _TIME_OF_DAY)).as_py():
        raise pa.ArrowInvalid("not times of a day")
    return pc.binary_join_element_wise("1970-01-01", values, " ").cast(pa.timestamp("s")).cast(pa.time32("s"))
