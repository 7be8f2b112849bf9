"""Files of orders, on disk or on S3, read with the types that a format wants.

What belongs here: a file's identity, and what a file of orders must be beside being readable. What does not: reading a
file (``tabular``), what a row means, and which rows are taken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from include.adapters.files import tabular
from include.adapters.files.tabular import TableFile, empty_as_null, every_column, read_rows, reading, require_columns
from include.adapters.orders.order_columns import converted
from include.errors import UnreadableInputError
from include.quality.order_formats import ROW_NUMBER, FileColumn

_CHUNK_BYTES = 1 << 20


def local_file(path: Path) -> TableFile:
    """Return a file on disk; a link is followed, as the same file is the same source.

    Raises
    ------
    UnreadableInputError
        If it is absent or not a file, or its extension isn't known.
    """
    return tabular.local_file(path.resolve())


def source_of(file: TableFile) -> str:
    """Return the file's identity: its name, ``#``, and the first 12 hex digits of its sha256.

    The same content under the same name is the same source, wherever and whenever it is read.
    Characters of the name that an SQL predicate or a path could trip over become ``_``.
    """
    sha = hashlib.sha256()
    with reading(file), file.filesystem.open_input_stream(file.path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha.update(chunk)
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}#{sha.hexdigest()[:12]}"


def read_orders(file: TableFile, columns: Sequence[FileColumn], *, may_be_empty: bool = False) -> pa.Table:
    """Read a file and give the columns that are named their types.

    Parameters
    ----------
    file : TableFile
        Parquet or CSV.
    columns : sequence of FileColumn
        What the format knows.
    may_be_empty : bool
        Whether a file without rows is taken; a file without bytes never is.

    Returns
    -------
    pyarrow.Table
        Every column of the file, in its order and the file's row order. Text is string; a whole
        number is int64, or float64 where one is infinite; a number is float64; a time is
        timestamp[us], with zone UTC where the file gave a zone. NaN is null. Columns that the format does not
        know come as they are.

    Raises
    ------
    UnreadableInputError
        If the file can't be taken as a whole, lacks a column, has one twice, or has one of another type.
    MlopsError
        If the storage fails.
    """
    # Typed column by column, so that a fault names the column.
    rows = read_rows(file, is_text=every_column)
    _check_names(file, rows.column_names)
    wanted = [column.name for column in columns if column.required]
    require_columns(file, rows.column_names, wanted, remedy="rename the columns or name another --format")
    if rows.num_rows == 0 and not may_be_empty:
        raise UnreadableInputError(f"{file.name}: the file has columns but no rows; deliver it again")
    known = {column.name: column for column in columns}
    arrays = [
        converted(
            file.name,
            empty_as_null(rows[name]) if file.is_csv else rows[name],
            known.get(name),
            untyped=file.is_csv,
        )
        for name in rows.column_names
    ]
    return pa.table(dict(zip(rows.column_names, arrays, strict=True)))


def _check_names(file: TableFile, names: Sequence[str]) -> None:
    # SQL does not tell Quantity from quantity.
    lowered = [name.lower() for name in names]
    if twice := [name for name in names if lowered.count(name.lower()) > 1]:
        raise UnreadableInputError(f"{file.name}: column {twice[0]!r} is there twice; keep one")
    if ROW_NUMBER in lowered:
        raise UnreadableInputError(f"{file.name}: column {ROW_NUMBER!r} is a name that the import needs; rename it")
