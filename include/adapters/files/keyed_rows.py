"""Rows with keys and times, from a file that a person names.

What belongs here: what those columns of a CSV are read as, and which of its numbers are numbers. What does not: the
reading of a file (``tabular``), and what is joined to what.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from include.adapters.files.inference import with_types
from include.adapters.files.iso_times import in_one_form
from include.adapters.files.tabular import TableFile, empty_as_null
from include.adapters.files.whole import open_parquet, read_rows, read_texts
from include.column_types import is_number, is_text

# A CSV is read at once, a parquet file column by column.
Rows: TypeAlias = pa.Table | pads.Dataset

# A number whose text says nothing else: no "007", no "+7", no "12E4", and no more digits before the point than a
# double keeps.
_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]*)?$"
_PLAIN_FLOAT = r"^(-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?(e[-+][0-9]{2,3})?)?$"
_NO_FINITE_NUMBER = ("NA", "NaN", "nan", "N/A", "n/a", "NULL", "null", "inf", "-inf", "Inf", "-Inf")


def open_keyed(file: TableFile, keys: Sequence[str], times: Sequence[str], *, as_written: bool) -> Rows:
    """Return the rows of a parquet file to be read column by column, or those of a CSV file as `read_keyed` does."""
    return read_keyed(file, keys, times, as_written=as_written) if file.is_text else open_parquet(file)


def read_keyed(file: TableFile, keys: Sequence[str], times: Sequence[str], *, as_written: bool) -> pa.Table:
    """Return all rows of a file.

    Parameters
    ----------
    file : TableFile
        Parquet or CSV.
    keys : sequence of str
        Columns that are read as text from a CSV, "" as null; absent ones are left out.
    times : sequence of str
        Columns of a CSV that hold times.
    as_written : bool
        Read every other column of a CSV as text. Else it gets its type from its values, but one in which a
        number would lose what was written, as "007" would, stays text.

    Raises
    ------
    UnreadableInputError
        If it can't be taken as a whole.
    MlopsError
        If the storage fails.
    """
    if not file.is_text:
        return read_rows(file)
    texts = read_texts(file)
    # Keys are opaque: "007" stays "007", and "NA" is a name.
    rows = with_types(texts, lambda name: name in keys or (as_written and name not in times))
    for place, name in enumerate(rows.column_names):
        if name in keys:
            rows = rows.set_column(place, name, empty_as_null(rows[name]))
        elif name in times:
            rows = rows.set_column(place, name, _as_times(rows[name]))
        elif is_number(rows[name].type) and not _is_plain(texts[name], rows[name].type):
            rows = rows.set_column(place, name, texts[name])
    return rows


def _is_plain(written: pa.ChunkedArray, kind: pa.DataType) -> bool:
    """Say whether each number of a column is written as it would be again."""
    plain = _PLAIN_INTEGER if pa.types.is_integer(kind) else _PLAIN_FLOAT
    is_absent = pc.is_in(written, pa.array(_NO_FINITE_NUMBER))
    return bool(pc.all(pc.or_(pc.match_substring_regex(written, plain), is_absent)).as_py())


def _as_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times that Arrow left as text: written otherwise, or with a fraction beside one beyond nanoseconds."""
    if not is_text(column.type):
        return column
    texts = in_one_form(empty_as_null(column))
    for unit, zone in product(("ns", "us"), ("UTC", None)):
        with suppress(pa.ArrowInvalid):
            return texts.cast(pa.timestamp(unit, zone))
    return column
