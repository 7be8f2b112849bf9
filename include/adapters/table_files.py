"""Tables in files that a person names: parquet or CSV, read as a whole or refused, written as a whole or not at all.

What belongs here: reading, writing, and every way in which a file as a whole can be unreadable. What does not:
what a column means, and files of orders, which have a contract of their own (``order_files``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from include.column_types import is_number, is_text
from include.errors import UnreadableInputError, UsageError, nearest

# A CSV is read at once, a parquet file column by column.
Rows: TypeAlias = pa.Table | pads.Dataset

_PARSE = pacsv.ParseOptions(newlines_in_values=True)

# A number whose text says nothing else: no "007", no "+7", no "12E4", and no more digits before the point than a
# double keeps.
_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]*)?$"
_PLAIN_FLOAT = r"^(-?(0|[1-9][0-9]{0,14})(\.[0-9]+)?(e[-+][0-9]{2,3})?)?$"
_NO_FINITE_NUMBER = ("NA", "NaN", "nan", "N/A", "n/a", "NULL", "null", "inf", "-inf", "Inf", "-Inf")


def open_rows(path: Path, keys: Sequence[str], times: Sequence[str], *, as_written: bool) -> Rows:
    """Return the rows of a parquet file to be read column by column, or those of a CSV file as `read_rows` does."""
    if path.suffix.lower() != ".parquet":
        return read_rows(path, keys, times, as_written=as_written)
    _check_file(path)
    with refused_as_a_whole(path):
        rows = pads.dataset(path, format="parquet")
        _check_names(path, rows.schema.names)
        return rows


def read_rows(path: Path, keys: Sequence[str], times: Sequence[str], *, as_written: bool) -> pa.Table:
    """Return all rows of a file.

    Parameters
    ----------
    path : Path
        ``*.parquet`` or ``*.csv``.
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
        If it is absent, damaged, of another format, or has two columns of one name.
    """
    _check_file(path)
    with refused_as_a_whole(path):
        if path.suffix.lower() == ".parquet":
            rows = pq.ParquetFile(path).read()
            _check_names(path, rows.column_names)
            return rows
        with pacsv.open_csv(path, parse_options=_PARSE) as reader:
            names = reader.schema.names
        _check_names(path, names)
        # Keys are opaque: "007" stays "007", and "NA" is a name.
        texts = [name for name in names if name in keys or (as_written and name not in times)]
        rows = _with_numbers_as_written(path, _read_csv(path, texts), [*keys, *times])
    for place, name in enumerate(names):
        if name in keys:
            named = pc.if_else(pc.equal(rows[name], ""), pa.scalar(None, pa.string()), rows[name])
            rows = rows.set_column(place, name, named)
        elif name in times:
            rows = rows.set_column(place, name, _as_times(rows[name]))
    return rows


def _read_csv(path: Path, texts: Sequence[str], only: Sequence[str] = ()) -> pa.Table:
    options = pacsv.ConvertOptions(column_types=dict.fromkeys(texts, pa.string()), include_columns=list(only))
    return pacsv.read_csv(path, parse_options=_PARSE, convert_options=options)


def _with_numbers_as_written(path: Path, rows: pa.Table, others: Sequence[str]) -> pa.Table:
    """Return rows in which numbers are text again where one of a column isn't plainly written."""
    numbers = [field.name for field in rows.schema if is_number(field.type) and field.name not in others]
    if not numbers:
        return rows
    written = _read_csv(path, numbers, numbers)
    for name in numbers:
        plain = _PLAIN_INTEGER if pa.types.is_integer(rows[name].type) else _PLAIN_FLOAT
        is_plain = pc.match_substring_regex(written[name], plain)
        is_absent = pc.is_in(written[name], pa.array(_NO_FINITE_NUMBER))
        if not pc.all(pc.or_(is_plain, is_absent)).as_py():
            rows = rows.set_column(rows.column_names.index(name), name, written[name])
    return rows


def _as_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times with fractions of a second that Arrow left as text, as one is beyond nanoseconds' range."""
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        if is_text(column.type):
            with suppress(pa.ArrowInvalid):
                column = column.cast(kind)
    return column


def _write_csv(rows: pa.Table, path: Path) -> None:
    try:
        pacsv.write_csv(rows, path, pacsv.WriteOptions(quoting_style="none"))
    except pa.ArrowInvalid:
        # A text holds a comma, a quote or a line's end.
        pacsv.write_csv(rows, path)


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {".parquet": pq.write_table, ".csv": _write_csv}


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
