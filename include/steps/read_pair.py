"""Read two files so that their columns can be compared.

What belongs here: one reading of each file, and which columns of a text file are codes. What does not: which columns
are compared, and how (``report_drift``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.files.inference import with_types
from include.adapters.files.tabular import TableFile
from include.adapters.files.whole import read_names, read_rows, read_texts
from include.column_types import is_number, is_text, value_type

# A number with zeros before it is a code, such as of a post office or a shop.
_PADDED = r"^\s*[-+]?0[0-9]"


@dataclass(frozen=True)
class _Side:
    """A file's rows, and of a text file what they are read from."""

    rows: pa.Table
    texts: pa.Table | None

    @property
    def written(self) -> pa.Table:
        """What stands in a text file's columns that were taken for numbers."""
        if self.texts is None:
            return pa.table({})
        return self.texts.select([field.name for field in self.rows.schema if is_number(field.type)])


def read_pair(files: Sequence[TableFile], columns: Sequence[str] | None) -> list[pa.Table]:
    """Return the rows of both files, with codes such as 007 as the text that they are.

    The second one may lack columns that are asked for. A parquet file says whether a column holds text or numbers, and
    of a CSV's only the leading zeros do.
    """
    reference, current = files
    there = columns
    if columns is not None:
        names = read_names(current)
        there = [name for name in columns if name in names]
    sides = [_read_side(reference, columns), _read_side(current, there)]
    codes = _find_codes(sides)
    return [_with_texts(side, codes) for side in sides]


def _read_side(file: TableFile, columns: Sequence[str] | None) -> _Side:
    if not file.is_text:
        return _Side(read_rows(file, columns=columns), None)
    texts = read_texts(file, columns=columns)
    return _Side(with_types(texts), texts)


def _with_texts(side: _Side, names: Collection[str]) -> pa.Table:
    rows, written = side.rows, side.written
    for name in written.column_names:
        if name in names:
            rows = rows.set_column(rows.column_names.index(name), name, written[name])
    return rows


def _find_codes(sides: Sequence[_Side]) -> set[str]:
    """Return the columns that a typed file has as text, or else a CSV with leading zeros."""
    typed = [field for side in sides if side.texts is None for field in side.rows.schema]
    padded = {name for side in sides for name in side.written.column_names if _is_padded(side.written[name])}
    return (_names_of(typed, is_text) | padded) - _names_of(typed, is_number)


def _is_padded(written: pa.ChunkedArray) -> bool:
    return pc.any(pc.match_substring_regex(written, _PADDED)).as_py() is True


def _names_of(fields: Sequence[pa.Field], is_kind: Callable[[pa.DataType], bool]) -> set[str]:
    return {field.name for field in fields if is_kind(value_type(field.type))}
