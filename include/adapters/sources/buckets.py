"""The files of a delivery in buckets: rows that are judged by one another are in one, and one at a time is in memory.

What belongs here: cutting and keeping rows as they came. What does not: which rows belong together, and their
verdict (``quality.verdict``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include.adapters.ahead import ahead
from include.specs.source_formats import ROW_NUMBER

if TYPE_CHECKING:
    import duckdb

    from include.adapters.sources.source_files import SourceFile

_MOST = 256
_THREADS = 2


def in_buckets(
    con: duckdb.DuckDBPyConnection, files: Sequence[SourceFile], bucket_sqls: Sequence[str], *, rows: int, folder: Path
) -> Iterator[list[pa.Table]]:
    """Read files and yield their rows and the places of these in their file, from 1 on in column ``_row``.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Computes the buckets.
    files : sequence of SourceFile
    bucket_sqls : sequence of str
        For each file, a SELECT over ``delivered`` of ``_row`` and an unsigned ``bucket``; rows of one bucket stay
        together, whatever their file.
    rows : int
        About so many a bucket, and no more than that are read at a time. Files that have no more are one bucket.
    folder : Path
        Where buckets are kept.

    Yields
    ------
    list of pyarrow.Table
        Rows of one bucket in file order, a table for each file; some may be empty.
    """
    count = min(_MOST, 1 + sum(each.rows for each in files) // rows)
    if count == 1:
        yield [_whole(each, rows) for each in files]
        return
    paths = [[folder / f"bucket-{file}-{bucket}.arrow" for bucket in range(count)] for file in range(len(files))]
    for each, sql, of_file in zip(files, bucket_sqls, paths, strict=True):
        _scatter(con, each, sql, of_file, rows)
    for bucket in range(count):
        yield [_gather(of_file[bucket]) for of_file in paths]
        for of_file in paths:
            of_file[bucket].unlink()


def _scatter(
    con: duckdb.DuckDBPyConnection, opened: SourceFile, bucket_sql: str, paths: Sequence[Path], rows: int
) -> None:
    def cut(part: pa.Table) -> list[pa.Table]:
        with con.cursor() as own:
            return list(_cut(own, part, bucket_sql, len(paths)))

    with ExitStack() as stack:
        writers: list[pa.RecordBatchFileWriter] = []
        for tables in ahead(cut, _numbered(opened, rows), threads=_THREADS):
            writers = writers or [stack.enter_context(pa.ipc.new_file(path, tables[0].schema)) for path in paths]
            for writer, of_bucket in zip(writers, tables, strict=True):
                writer.write_table(of_bucket)


def _gather(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _whole(opened: SourceFile, rows: int) -> pa.Table:
    return pa.concat_tables(list(_numbered(opened, rows)))


def _cut(con: duckdb.DuckDBPyConnection, part: pa.Table, bucket_sql: str, count: int) -> Iterator[pa.Table]:
    con.register("delivered", part)
    found = con.sql(f"SELECT bucket % {count} AS bucket FROM ({bucket_sql}) ORDER BY _row").to_arrow_table()
    con.unregister("delivered")
    buckets = found["bucket"].to_numpy()
    order = np.argsort(buckets, kind="stable")
    ordered, ends = part.take(pa.array(order)), np.searchsorted(buckets[order], np.arange(count), side="right")
    for start, end in pairwise((0, *ends)):
        yield ordered.slice(start, end - start)


def _numbered(opened: SourceFile, rows: int) -> Iterator[pa.Table]:
    """Return a file's rows with their places; one empty table where it has none."""
    seen = 0
    for part in opened.parts(rows=rows):
        yield _with_numbers(part, seen)
        seen += part.num_rows
    if not seen:
        yield _with_numbers(opened.schema.empty_table(), 0)


def _with_numbers(part: pa.Table, seen: int) -> pa.Table:
    return part.append_column(ROW_NUMBER, pa.array(np.arange(seen + 1, seen + part.num_rows + 1, dtype=np.int64)))
