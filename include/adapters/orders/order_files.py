"""Files of orders: parquet or CSV, on disk or on S3, read whole and with the types that a format wants.

What belongs here: finding, identifying and reading a file, and every way in which a file as a whole
can be unreadable. What does not: what a row means, and which rows are taken.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.fs as fs
import pyarrow.parquet as pq

from include.adapters.orders.order_columns import converted
from include.errors import MlopsError, UnreadableInputError, nearest
from include.quality.order_formats import ROW_NUMBER, FileColumn

EXTENSIONS = (".parquet", ".csv")

_CHUNK_BYTES = 1 << 20
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class OrderFile:
    """A file, wherever it is."""

    filesystem: fs.FileSystem
    path: str

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return PurePosixPath(self.path).name


def local_file(path: Path) -> OrderFile:
    """Return a file on disk.

    Raises
    ------
    UnreadableInputError
        If it is absent or not a file, or its extension isn't known.
    """
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UnreadableInputError(f"{path}: there is no such file{nearest(path.name, siblings)}; check the path")
    if not path.is_file():
        raise UnreadableInputError(f"{path}: is not a file; name one file that ends in {' or '.join(EXTENSIONS)}")
    file = OrderFile(fs.LocalFileSystem(), str(path.resolve()))
    if _extension(file) not in EXTENSIONS:
        raise UnreadableInputError(
            f"{path.name}: extension {_extension(file)!r} is not known; "
            f"allowed: {', '.join(EXTENSIONS)}; convert the file or rename it"
        )
    return file


def source_of(file: OrderFile) -> str:
    """Return the file's identity: its name, ``#``, and the first 12 hex digits of its sha256.

    The same content under the same name is the same source, wherever and whenever it is read.
    Characters of the name that an SQL predicate or a path could trip over become ``_``.
    """
    sha = hashlib.sha256()
    with _reading(file), file.filesystem.open_input_stream(file.path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha.update(chunk)
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}#{sha.hexdigest()[:12]}"


def read_orders(file: OrderFile, columns: Sequence[FileColumn], *, may_be_empty: bool = False) -> pa.Table:
    """Read a file and give the columns that are named their types.

    Parameters
    ----------
    file : OrderFile
        Parquet or CSV (UTF-8, comma, one header line), by extension.
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
        If the file is empty, truncated or garbage, lacks a column, has one twice, or has one of
        another type.
    MlopsError
        If the storage fails.
    """
    with _reading(file):
        if file.filesystem.get_file_info(file.path).size == 0:
            raise UnreadableInputError(f"{file.name}: the file is empty (0 bytes); deliver it again")
        rows = _read_csv(file) if _extension(file) == ".csv" else _read_parquet(file)
    _check_names(file, rows.column_names, columns)
    if rows.num_rows == 0 and not may_be_empty:
        raise UnreadableInputError(f"{file.name}: the file has columns but no rows; deliver it again")
    untyped = _extension(file) == ".csv"
    known = {column.name: column for column in columns}
    arrays = [converted(file.name, rows[name], known.get(name), untyped=untyped) for name in rows.column_names]
    return pa.table(dict(zip(rows.column_names, arrays, strict=True)))


def _extension(file: OrderFile) -> str:
    return PurePosixPath(file.path).suffix.lower()


@contextmanager
def _reading(file: OrderFile) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, csv.Error) as err:
        kind = _extension(file).removeprefix(".")
        reason = " ".join(str(err).split())[:300]
        raise UnreadableInputError(
            f"{file.name}: is not a whole {kind} file ({reason}); it is truncated, damaged or of another format: "
            "deliver it again"
        ) from err
    except OSError as err:
        raise _unreachable(file.path, err) from err


def _unreachable(path: str, err: Exception) -> MlopsError:
    reason = " ".join(str(err).split()) or type(err).__name__
    # pyarrow reports a damaged parquet page as an OSError too: "Unexpected end of stream".
    if path.lower().endswith(EXTENSIONS) and re.search(r"(?i)parquet|thrift|end of stream|corrupt|decompress", reason):
        name = PurePosixPath(path).name
        return UnreadableInputError(
            f"{name}: is not a whole file ({reason[:300]}); it is truncated or damaged: deliver it again"
        )
    return MlopsError(f"{path} can't be read: {reason[:300]}; check that the storage is reachable and readable")


def _read_parquet(file: OrderFile) -> pa.Table:
    with file.filesystem.open_input_file(file.path) as stream:
        return pq.ParquetFile(stream).read()


def _read_csv(file: OrderFile) -> pa.Table:
    with file.filesystem.open_input_file(file.path) as stream:
        header = stream.read(_HEADER_BYTES)
    text = header.decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(text)), [])
    if twice := _twice(names):
        raise UnreadableInputError(f"{file.name}: column {twice!r} is there twice; keep one")
    _check_end(file)
    with file.filesystem.open_input_file(file.path) as stream:
        return pacsv.read_csv(
            stream,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            # Typed later, column by column, so that a fault names the column; "NA" is a country, not a null.
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in names}, null_values=[""], strings_can_be_null=True
            ),
        )


def _check_end(file: OrderFile) -> None:
    """Refuse a file that stops inside a quoted value, which the CSV reader would take as a whole one."""
    quotes, last = 0, b""
    with file.filesystem.open_input_stream(file.path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            quotes += chunk.count(b'"')
            last = chunk[-1:]
    if quotes % 2 and last != b"\n":
        raise UnreadableInputError(
            f"{file.name}: the file ends inside a quoted value; it is truncated: deliver it again"
        )


def _twice(names: Sequence[str]) -> str | None:
    # SQL does not tell Quantity from quantity.
    lowered = [name.lower() for name in names]
    return next((name for name in names if lowered.count(name.lower()) > 1), None)


def _check_names(file: OrderFile, found: Sequence[str], columns: Sequence[FileColumn]) -> None:
    if twice := _twice(found):
        raise UnreadableInputError(f"{file.name}: column {twice!r} is there twice; keep one")
    if ROW_NUMBER in map(str.lower, found):
        raise UnreadableInputError(f"{file.name}: column {ROW_NUMBER!r} is a name that the import needs; rename it")
    missing = [column.name for column in columns if column.required and column.name not in found]
    if missing:
        hints = "".join(nearest(name, found) for name in missing)
        raise UnreadableInputError(
            f"{file.name}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"found: {', '.join(found)}{hints}; rename the columns or name another --format"
        )
