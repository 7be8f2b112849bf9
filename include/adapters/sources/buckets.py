"""A file of orders in buckets: rows that are judged by one another are in one, and one at a time is in memory.

What belongs here: cutting and keeping rows as they came. What does not: which rows belong together
(``quality.verdict``), and their verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain, pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from include.adapters.sources.source_files import SourceFile
from include.quality.formats import ROW_NUMBER

_MOST = 256


def in_buckets(
    con: duckdb.DuckDBPyConnection, opened: SourceFile, bucket_sql: str, *, rows: int, folder: Path
) -> Iterator[pa.Table]:
    """Read a file and yield its rows and their places in it, from 1 on in column ``_row``.

    Parameters
    ----------
    con : duckdb.DuckDBPyConnection
        Computes the buckets.
    opened : SourceFile
        The file.
    bucket_sql : str
        A SELECT over ``delivered`` of ``_row`` and an unsigned ``bucket``; rows of one bucket stay together.
    rows : int
        About so many a bucket, and no more than that are read at a time. A file that is no longer is one bucket.
    folder : Path
        Where buckets are kept.

    Yields
    ------
    pyarrow.Table
        Rows of one bucket in file order. The first may be empty.
    """
    parts = _numbered(opened, rows)
    first = next(parts, None)
    if first is None:
        yield _with_numbers(opened.schema.empty_table(), 0)
        return
    second = next(parts, None)
    if second is None:
        yield first
        return
    paths = [folder / f"bucket-{number}.arrow" for number in range(min(_MOST, 1 + opened.rows // rows))]
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_file(path, first.schema)) for path in paths]
        for part in chain([first, second], parts):
            for writer, of_bucket in zip(writers, _cut(con, part, bucket_sql, len(paths)), strict=True):
                writer.write_table(of_bucket)
    for path in paths:
        with pa.memory_map(str(path)) as source:
            yield pa.ipc.open_file(source).read_all()
        path.unlink()


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
    seen = 0
    for part in opened.parts(rows=rows):
        yield _with_numbers(part, seen)
        seen += part.num_rows


def _with_numbers(part: pa.Table, seen: int) -> pa.Table:
    return part.append_column(ROW_NUMBER, pa.array(np.arange(seen + 1, seen + part.num_rows + 1, dtype=np.int64)))
