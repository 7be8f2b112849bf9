"""A table's files a batch at a time, in the order of their rows.

What belongs here: reading what does not have to fit into memory. What does not: which files there are
(``listed_files``), and what a batch is part of.

Arrow's scan of a dataset decodes whole row groups, several at once: of a million rows of twenty numbers 200 MB each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as fs
import pyarrow.parquet as pq

# Of each column of a local file; one that is far away is asked for in few and large pieces.
_BUFFER_BYTES = 1 << 20


def read_batches(files: pads.Dataset, *, rows_at_once: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of files one after the other, in the columns of the dataset.

    Parameters
    ----------
    files : pyarrow.dataset.Dataset
        Parquet files, as `include.adapters.lake.listed_files.listed_files` gives them. A column that a file lacks is
        null there, or what its partition says.
    rows_at_once : int
        Most rows of a batch.
    """
    for fragment in files.get_fragments():
        known = pads.get_partition_keys(fragment.partition_expression)
        is_near = isinstance(getattr(fragment.filesystem, "base_fs", fragment.filesystem), fs.LocalFileSystem)
        with fragment.filesystem.open_input_file(fragment.path) as opened:
            file = pq.ParquetFile(opened, pre_buffer=not is_near, buffer_size=_BUFFER_BYTES if is_near else 0)
            names = [name for name in files.schema.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(rows_at_once, columns=names):
                yield _in_columns_of(files.schema, batch, known)


def _in_columns_of(schema: pa.Schema, batch: pa.RecordBatch, known: dict[str, object]) -> pa.RecordBatch:
    has = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in has
        else pa.repeat(pa.scalar(known.get(field.name), field.type), batch.num_rows)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
