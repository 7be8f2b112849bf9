"""Tables in files that a person names or a shop delivers: parquet or CSV, read as a whole or refused.

What belongs here: the one reading of a file, and every way in which a file as a whole can be unreadable. What does
not: a file that is read in parts (``parts``), what a column means, and which columns a caller needs (``keyed_rows``,
``source_files``, the drift report).

All of a CSV goes through `read_rows` or `read_parts`: another parser of records would take its place there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.dataset as pads
import pyarrow.fs as fs
import pyarrow.parquet as pq

from include.adapters.files.quotes import QuoteScan
from include.column_types import is_binary
from include.errors import MlopsError, UnreadableInputError, nearest

EXTENSIONS = (".parquet", ".csv")

Choice: TypeAlias = Callable[[str], bool]

PARSE = pacsv.ParseOptions(newlines_in_values=True)
BLOCK_BYTES = 1 << 20
# What Arrow says of the content of a file that isn't on disk.
_DAMAGE = re.compile(r"(?i)parquet|thrift|end of stream|corrupt|decompress|codec")
_NOT_UTF8 = re.compile(r"(?i)utf-?8")
_AGAIN = "write or deliver it again"


@dataclass(frozen=True)
class TableFile:
    """A file, wherever it is."""

    filesystem: fs.FileSystem
    path: str

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return PurePosixPath(self.path).name

    @property
    def is_csv(self) -> bool:
        """Whether it is a CSV, which knows no types; else it is a parquet file."""
        return extension_of(self.path) == ".csv"


def extension_of(path: str) -> str:
    """Return the end of a file's name that says its format, in small letters."""
    return PurePosixPath(path).suffix.lower()


def local_file(path: Path) -> TableFile:
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
    if extension_of(path.name) not in EXTENSIONS:
        raise UnreadableInputError(
            f"{path.name}: extension {extension_of(path.name)!r} is not known; "
            f"allowed: {', '.join(EXTENSIONS)}; convert the file or rename it"
        )
    return TableFile(fs.LocalFileSystem(), str(path.absolute()))


def no_column(_name: str) -> bool:
    """Choose no column."""
    return False


def every_column(_name: str) -> bool:
    """Choose every column."""
    return True


def read_rows(file: TableFile, *, columns: Sequence[str] | None = None, is_text: Choice = no_column) -> pa.Table:
    """Return the rows of a file, in its order.

    Parameters
    ----------
    file : TableFile
        Parquet, or CSV in UTF-8 with commas and one line of names.
    columns : sequence of str, optional
        Those that are read, in this order; default: all.
    is_text : callable
        Which columns of a CSV are text, as it stands there: "007" and "NA" are words, and nothing is "". The others
        get their types from their values. A time without a zone stays without one: what it means is the caller's to
        say.

    Raises
    ------
    UnreadableInputError
        If the file is empty, truncated, damaged or of another format or encoding, has two columns of one name, or
        lacks one that is asked for.
    MlopsError
        If the storage fails.
    """
    check_size(file)
    with reading(file):
        return _read_csv(file, columns, is_text) if file.is_csv else _read_parquet(file, columns)


def open_parquet(file: TableFile) -> pads.Dataset:
    """Return the rows of a parquet file, to be read column by column within `reading`.

    Raises
    ------
    UnreadableInputError
        As `read_rows`; damage to a page shows when the page is read.
    MlopsError
        If the storage fails.
    """
    check_size(file)
    with reading(file):
        with file.filesystem.open_input_file(file.path) as stream:
            check_names(file, pq.read_schema(stream).names)
        return pads.dataset(file.path, format="parquet", filesystem=file.filesystem)


def names_of_csv(file: TableFile) -> list[str]:
    """Return the columns of a CSV, once each, within `reading`."""
    with (
        file.filesystem.open_input_stream(file.path) as stream,
        pacsv.open_csv(stream, parse_options=PARSE) as reader,
    ):
        names: list[str] = reader.schema.names
    check_names(file, names)
    return names


def check_quotes(file: TableFile) -> None:
    """Check that the quoted values of a CSV are closed, within `reading`."""
    scan = QuoteScan()
    with file.filesystem.open_input_stream(file.path) as stream:
        while block := stream.read(BLOCK_BYTES):
            scan.add(block)
    if not scan.is_closed():
        raise UnreadableInputError(f"{file.name}: the file ends inside a quoted value; it is truncated: {_AGAIN}")


@contextmanager
def reading(file: TableFile) -> Iterator[None]:
    """Say what went wrong with a file while it is read: either it is damaged, or its storage fails.

    Raises
    ------
    UnreadableInputError
        If the content is to blame.
    MlopsError
        If the storage is.
    """
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError) as err:
        raise _damaged(file, err) from err
    except OSError as err:
        # Arrow reports a damaged page as an OSError too. The system's own have a number, a bucket's name it.
        is_local = isinstance(file.filesystem, fs.LocalFileSystem)
        if err.errno is None and "AWS Error" not in str(err) and (is_local or _DAMAGE.search(str(err))):
            raise _damaged(file, err) from err
        reason = " ".join(str(err).split()) or type(err).__name__
        raise MlopsError(
            f"{file.path} can't be read: {reason[:300]}; check that the storage is reachable and readable"
        ) from err


def require_columns(file: TableFile, found: Sequence[str], wanted: Sequence[str], *, remedy: str) -> None:
    """Check that a file has the columns that are wanted.

    Raises
    ------
    UnreadableInputError
        If it doesn't, with all that are missing, those that are there, and `remedy`.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UnreadableInputError(
            f"{file.name} has no column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}; "
            f"it has {', '.join(found)}{''.join(nearest(name, found) for name in missing)}; {remedy}"
        )


def empty_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text in which "" is null: a CSV writes a missing text as nothing."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)


def check_size(file: TableFile) -> None:
    """Check that a file has bytes."""
    with reading(file):
        if file.filesystem.get_file_info(file.path).size == 0:
            raise UnreadableInputError(f"{file.name}: the file is empty (0 bytes); {_AGAIN}")


def _read_parquet(file: TableFile, columns: Sequence[str] | None) -> pa.Table:
    with file.filesystem.open_input_file(file.path) as stream:
        found = pq.ParquetFile(stream)
        names = found.schema_arrow.names
        check_names(file, names)
        if columns is None:
            return found.read()
        require_columns(file, names, columns, remedy="correct the name")
        return found.read(columns=list(columns)).select(list(columns))


def _read_csv(file: TableFile, columns: Sequence[str] | None, is_text: Choice) -> pa.Table:
    check_quotes(file)
    names = names_of_csv(file)
    require_columns(file, names, columns or (), remedy="correct the name")
    options = pacsv.ConvertOptions(
        column_types={name: pa.string() for name in names if is_text(name)}, include_columns=columns
    )
    with file.filesystem.open_input_stream(file.path) as stream:
        rows = pacsv.read_csv(stream, parse_options=PARSE, convert_options=options)
    if bytes_in := [field.name for field in rows.schema if is_binary(field.type)]:
        raise _damaged(file, ValueError(f"column {bytes_in[0]!r} is not UTF-8"))
    return rows


def check_names(file: TableFile, names: Sequence[str]) -> None:
    """Check that no two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableInputError(f"{file.name}: column {twice[0]!r} is there twice; keep one")


def _damaged(file: TableFile, err: Exception) -> UnreadableInputError:
    kind, reason = "csv" if file.is_csv else "parquet", " ".join(str(err).split())[:300]
    if file.is_csv and _NOT_UTF8.search(reason):
        return UnreadableInputError(f"{file.name}: can't be read as csv ({reason}); save it as CSV in UTF-8")
    return UnreadableInputError(
        f"{file.name}: can't be read as {kind} ({reason}); it is truncated, damaged or of another format: {_AGAIN}"
    )
