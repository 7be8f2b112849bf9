"""A file's rows in parts that fit into memory: what `tabular` reads at once.

What belongs here: the same rows, in the same order, or the same refusal, whatever the parts. What does not: what makes
a file unreadable, which is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from include.adapters.files.tabular import (
    BLOCK_BYTES,
    PARSE,
    TableFile,
    check_names,
    check_quotes,
    check_size,
    names_of_csv,
    reading,
)

_BATCH_ROWS = 1 << 16


def read_schema(file: TableFile) -> pa.Schema:
    """Return the columns of a file as `read_parts` gives them.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_rows`, but for damage inside a parquet file, and to a record.
    """
    check_size(file)
    with reading(file):
        if not file.is_csv:
            with file.filesystem.open_input_file(file.path) as stream:
                found = pq.read_schema(stream)
            check_names(file, found.names)
            return found
        check_quotes(file)
        return pa.schema([(name, pa.string()) for name in names_of_csv(file)])


def read_parts(file: TableFile, *, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a file in its order, about so many rows at a time; every column of a CSV is text, as it stands there.

    What `read_schema` checks was checked.

    Parameters
    ----------
    rows : int
        None of the parts is empty; a file without rows has none.
    columns : sequence of str, optional
        Those that are read, in this order; default: all.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_rows`.
    """
    held: list[pa.RecordBatch] = []
    batches = _csv_batches(file, columns) if file.is_csv else _parquet_batches(file, columns, rows)
    for batch in batches:
        held += [batch] if batch.num_rows else []
        if sum(part.num_rows for part in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def rows_at_most(file: TableFile) -> int:
    """Return how many rows a file has, or a little more: a line that is within a quoted value counts too.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_schema`.
    """
    with reading(file):
        if not file.is_csv:
            with file.filesystem.open_input_file(file.path) as stream:
                return int(pq.read_metadata(stream).num_rows)
        ends = np.zeros(2, np.int64)
        with file.filesystem.open_input_stream(file.path) as stream:
            while block := stream.read(BLOCK_BYTES):
                ends += (block.count(b"\n"), block.count(b"\r"))
        return int(ends.max()) + 1


def _parquet_batches(file: TableFile, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    with reading(file), file.filesystem.open_input_file(file.path) as stream:
        # Read ahead of need, a file of one large row group is held whole.
        found = pq.ParquetFile(stream, pre_buffer=False, buffer_size=BLOCK_BYTES)
        names = list(columns) if columns is not None else None
        for batch in found.iter_batches(batch_size=min(rows, _BATCH_ROWS), columns=names):
            yield batch if names is None else batch.select(names)


def _csv_batches(file: TableFile, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    with reading(file):
        names = names_of_csv(file)
        options = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=columns)
        with (
            file.filesystem.open_input_stream(file.path) as stream,
            pacsv.open_csv(stream, parse_options=PARSE, convert_options=options) as reader,
        ):
            yield from reader
