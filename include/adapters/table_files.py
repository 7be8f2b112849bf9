"""Tables in files that a person names: parquet or CSV, read as a whole or refused, written as a whole or not at all.

What belongs here: reading, writing, and every way in which a file as a whole can be unreadable. What does not:
what a column means, and files of orders, which have a contract of their own (``order_files``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from include.errors import UnreadableInputError, UsageError, nearest

# A CSV is read at once, a parquet file column by column.
Rows: TypeAlias = pa.Table | pads.Dataset

_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {".parquet": pq.write_table, ".csv": pacsv.write_csv}


def open_rows(path: Path, keys: Sequence[str]) -> Rows:
    """Return the rows of a parquet file to be read column by column, or those of a CSV file as `read_rows` does."""
    if path.suffix.lower() != ".parquet":
        return read_rows(path, keys)
    _check_file(path)
    with refused_as_a_whole(path):
        rows = pads.dataset(path, format="parquet")
        _check_names(path, rows.schema.names)
        return rows


def read_rows(path: Path, keys: Sequence[str]) -> pa.Table:
    """Return all rows of a file.

    Parameters
    ----------
    path : Path
        ``*.parquet`` or ``*.csv``.
    keys : sequence of str
        Columns that are read as text from a CSV, "" as null; absent ones are left out.

    Raises
    ------
    UnreadableInputError
        If it is absent, damaged, of another format, or has two columns of one name.
    """
    _check_file(path)
    with refused_as_a_whole(path):
        if path.suffix.lower() == ".parquet":
            rows = pq.ParquetFile(path).read()
        else:
            # Keys are opaque: "007" stays "007", and "NA" is a name.
            options = pacsv.ConvertOptions(column_types=dict.fromkeys(keys, pa.string()))
            rows = pacsv.read_csv(
                path, parse_options=pacsv.ParseOptions(newlines_in_values=True), convert_options=options
            )
    _check_names(path, rows.column_names)
    if path.suffix.lower() == ".csv":
        for key in set(keys) & set(rows.column_names):
            text = rows[key]
            named = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
            rows = rows.set_column(rows.column_names.index(key), key, named)
    return rows


@contextmanager
def refused_as_a_whole(path: Path) -> Iterator[None]:
    """Turn what Arrow says of a damaged file into UnreadableInputError, while it is read."""
    try:
        yield
    except (pa.ArrowException, OSError) as err:
        reason = " ".join(str(err).split())[:300]
        raise UnreadableInputError(
            f"{path.name}: can't be read as {path.suffix[1:]} ({reason}); it is empty, damaged or of another format"
        ) from err


def writer(out: Path) -> Callable[[pa.Table], None]:
    """Return what writes a table to a file, which is replaced whole or stays as it was.

    Raises
    ------
    UsageError
        Now, if the file's extension or its folder won't do; from the call, if it can't be written.
    """
    write = _WRITERS.get(out.suffix.lower())
    if write is None:
        raise UsageError(f"--out {out.name!r} is not a file this can write; name it *{' or *'.join(_WRITERS)}")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {out.absolute().parent}; make it first")

    def finish(rows: pa.Table) -> None:
        unfinished = out.with_name(f".{out.name}.unfinished")
        try:
            write(rows, unfinished)
            unfinished.replace(out)
        except (pa.ArrowException, OSError) as err:
            raise UsageError(f"{out} can't be written: {err}; choose another --out, or the other format") from err
        finally:
            unfinished.unlink(missing_ok=True)

    return finish


def _check_file(path: Path) -> None:
    if path.suffix.lower() not in _WRITERS:
        raise UnreadableInputError(f"{path}: extension {path.suffix!r} is not known; allowed: {', '.join(_WRITERS)}")
    if not path.is_file():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UnreadableInputError(f"{path}: there is no such file{nearest(path.name, siblings)}; check the path")


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableInputError(f"{path.name}: column {twice[0]!r} is there twice; keep one")
