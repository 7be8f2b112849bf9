"""A table's files a batch at a time, in the order of their rows.

What belongs here: reading what does not have to fit into memory. What does not: which files there are
(``listed_files``), and what a batch is part of.

Arrow's scan of a dataset decodes whole row groups, several at once: of a million rows of twenty numbers 200 MB each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as fs
import pyarrow.parquet as pq

# Of each column of a local file; one that is far away is asked for in few and large pieces.
_BUFFER_BYTES = 1 << 20


def read_batches(
    files: pads.Dataset,
    *,
    rows_at_once: int,
    columns: Sequence[str] | None = None,
    start: int = 0,
    end: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files one after the other, in the columns of the dataset.

    Parameters
    ----------
    files : pyarrow.dataset.Dataset
        Parquet files, as `include.adapters.lake.listed_files.listed_files` gives them. A column that a file lacks is
        null there, or what its partition says.
    rows_at_once : int
        Most rows of a batch.
    columns : sequence of str, optional
        Those that are wanted; default: all.
    start, end : int, optional
        The rows that are wanted, counted through all files; row groups that have none of them are not read.
    """
    schema = files.schema if columns is None else pa.schema([files.schema.field(name) for name in columns])
    before = 0
    for fragment in files.get_fragments():
        known = pads.get_partition_keys(fragment.partition_expression)
        is_near = isinstance(getattr(fragment.filesystem, "base_fs", fragment.filesystem), fs.LocalFileSystem)
        with fragment.filesystem.open_input_file(fragment.path) as opened:
            file = pq.ParquetFile(opened, pre_buffer=not is_near, buffer_size=_BUFFER_BYTES if is_near else 0)
            for batch in _wanted(file, schema, rows_at_once, start - before, None if end is None else end - before):
                if batch.num_rows:
                    yield _in_columns_of(schema, batch, known)
            before += file.metadata.num_rows


def _wanted(
    file: pq.ParquetFile, schema: pa.Schema, rows_at_once: int, start: int, end: int | None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file from `start` to `end`, which may lie outside it."""
    last = file.metadata.num_rows if end is None else end
    groups = [(number, first) for number, first, after in _row_groups(file) if after > start and first < last]
    names = [name for name in schema.names if name in file.schema_arrow.names]
    for number, place in groups:
        for batch in file.iter_batches(rows_at_once, row_groups=[number], columns=names):
            wanted = batch.slice(min(max(0, start - place), batch.num_rows), max(0, last - max(start, place)))
            place += batch.num_rows  # noqa: PLW2901 the next batch begins there
            yield wanted


def _row_groups(file: pq.ParquetFile) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each row group, its first row in the file, and the one after its last."""
    after = 0
    for number in range(file.metadata.num_row_groups):
        first, after = after, after + file.metadata.row_group(number).num_rows
        yield number, first, after


def _in_columns_of(schema: pa.Schema, batch: pa.RecordBatch, known: dict[str, object]) -> pa.RecordBatch:
    has = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in has
        else pa.repeat(pa.scalar(known.get(field.name), field.type), batch.num_rows)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
