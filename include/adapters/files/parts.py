"""A file's rows in parts that fit into memory: what ``whole`` reads at once.

What belongs here: the same rows, in the same order, or the same refusal, whatever the parts. What does not: what makes
a file unreadable, which ``records`` and ``tabular`` say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from include.adapters.files.records import open_records
from include.adapters.files.tabular import TableFile, check_names, check_size, reading
from include.adapters.files.text_bytes import BLOCK_BYTES, open_text
from include.quality.dialect import DEFAULT_DIALECT, Dialect

_BATCH_ROWS = 1 << 16


def read_schema(file: TableFile, dialect: Dialect = DEFAULT_DIALECT) -> pa.Schema:
    """Return the columns of a file as `read_parts` gives them.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_rows`, but for damage inside a parquet file, and to a record after the names.
    """
    check_size(file)
    with reading(file):
        if file.is_text:
            with open_records(file, dialect) as records:
                schema = pa.schema([(name, pa.string()) for name in records.names])
        else:
            with file.filesystem.open_input_file(file.path) as stream:
                schema = pq.read_schema(stream)
    check_names(file, schema.names)
    return schema


def read_parts(
    file: TableFile, dialect: Dialect = DEFAULT_DIALECT, *, rows: int, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Read a file in its order, about so many rows at a time; every column of a text file is text, as it stands there.

    What `read_schema` checks was checked.

    Parameters
    ----------
    dialect : Dialect
        Its delimiter and encoding, where the file is text.
    rows : int
        None of the parts is empty; a file without rows has none.
    columns : sequence of str, optional
        Those that are read, in this order; default: all.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_rows`.
    """
    held: list[pa.Table] = []
    pieces = _texts(file, dialect, columns) if file.is_text else _parquet_batches(file, columns, rows)
    for piece in pieces:
        held += [piece] if piece.num_rows else []
        if sum(part.num_rows for part in held) >= rows:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def rows_at_most(file: TableFile) -> int:
    """Return how many rows a file has, or a little more: a line that is within a quoted value counts too.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_schema`.
    """
    with reading(file):
        if file.is_text:
            with open_text(file, "utf-8") as blocks:
                return 1 + sum(max(block.count(b"\n"), block.count(b"\r")) for block in blocks)
        with file.filesystem.open_input_file(file.path) as stream:
            return int(pq.read_metadata(stream).num_rows)


def _parquet_batches(file: TableFile, columns: Sequence[str] | None, rows: int) -> Iterator[pa.Table]:
    with reading(file), file.filesystem.open_input_file(file.path) as stream:
        # Read ahead of need, a file of one large row group is held whole.
        found = pq.ParquetFile(stream, pre_buffer=False, buffer_size=BLOCK_BYTES)
        names = list(columns) if columns is not None else found.schema_arrow.names
        for batch in found.iter_batches(batch_size=min(rows, _BATCH_ROWS), columns=names):
            yield pa.table(batch).select(names)


def _texts(file: TableFile, dialect: Dialect, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with reading(file), open_records(file, dialect) as records:
        names = records.names if columns is None else list(columns)
        for part in records.parts([records.names.index(name) for name in names]):
            yield part.rename_columns(names)
