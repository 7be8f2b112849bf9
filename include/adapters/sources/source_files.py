"""Files of a source, on disk or on S3, read once, with the types that a format wants.

What belongs here: a file's identity, and what a source's file must be beside being readable. What does not: reading a
file (``files``), one column's values (``typed_columns``), what a row means, and which rows are taken.

A file is read once. What it holds is kept beside the import, in the types that it has, so that all who look at it
later see the bytes that its identity names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pyarrow as pa

from include.adapters.ahead import ahead
from include.adapters.files import tabular
from include.adapters.files.parts import open_parts
from include.adapters.files.sniffing import explained
from include.adapters.files.tabular import TableFile, require_columns
from include.adapters.sources.kept_bytes import KEPT, hashed_copy, keep_rows, stamp_of
from include.adapters.sources.typed_columns import TypedColumn
from include.adapters.sources.unknown_columns import as_shown, free_name, shown_type
from include.errors import UnreadableInputError
from include.quality.formats import FileColumn
from include.specs.dialect import BLANKS, DEFAULT_DIALECT, Dialect
from include.specs.source_formats import ROW_NUMBER

# What is held of a file at once.
ROWS_AT_ONCE = 250_000

# What to do about a file that lacks columns, by those that it has.
Advice: TypeAlias = Callable[[Sequence[str]], str]


def _rename(_found: Sequence[str]) -> str:
    return "rename the columns"


def local_file(path: Path) -> TableFile:
    """Return a file on disk; a link is followed, as the same file is the same source.

    Raises
    ------
    UnreadableInputError
        If it is absent or not a file, or its extension isn't known.
    """
    return tabular.local_file(path.resolve())


@dataclass(frozen=True)
class SourceFile:
    """A source's file that was read to its end, its columns in their types.

    Attributes
    ----------
    file : TableFile
    source : str
        The file's identity: its name, ``#``, and the first 12 hex digits of its sha256. The same content under the
        same name is the same source, wherever and whenever it is read.
    schema : pyarrow.Schema
        Its columns, in its order. Text is string; a whole number is int64, or float64 where one is infinite; a number
        is float64; a time is timestamp[us], with zone UTC where the file names zones. Columns that the format does
        not know are there in a type that can be shown, under a name that is free.
    rows : int
        How many it has.
    trimmed, null_words : mapping of str to int
        By known column that had any: values that lost blanks at their ends, and values that were a word, or blanks,
        that mean nothing.
    left_out : tuple of str
        Columns that the format does not know and that can't be shown.
    """

    file: TableFile
    source: str
    schema: pa.Schema
    rows: int
    trimmed: Mapping[str, int]
    null_words: Mapping[str, int]
    left_out: tuple[str, ...]
    _kept: tuple[Path, ...]

    def parts(self, *, rows: int) -> Iterator[pa.Table]:
        """Give the file's rows in their order, at most so many at a time; a file without rows has no part."""
        for path in self._kept:
            with pa.memory_map(str(path)) as kept:
                part = pa.ipc.open_file(kept).read_all()
            for start in range(0, part.num_rows, rows):
                yield part.slice(start, rows).cast(self.schema)


def open_source(
    file: TableFile,
    columns: Sequence[FileColumn],
    *,
    folder: Path,
    dialect: Dialect = DEFAULT_DIALECT,
    may_be_empty: bool = False,
    advise: Advice = _rename,
) -> SourceFile:
    """Read a file to its end.

    Parameters
    ----------
    file : TableFile
        Parquet or text.
    columns : sequence of FileColumn
        What the format knows.
    folder : Path
        Where what was read is kept, under names that begin with ``delivered``.
    dialect : Dialect
        How its values are written. In a parquet file blanks and null words of text are looked at, nothing else.
    may_be_empty : bool
        Whether a file without rows is taken; a file without bytes never is.
    advise : callable
        Says of the columns of a file that lacks some what to do.

    Raises
    ------
    UnreadableInputError
        If the file can't be taken as a whole, lacks a column, has a known one twice, or has one of another type or
        with a value that does not fit.
    MlopsError
        If the storage fails, or what was read can't be kept.
    """
    if not file.is_text:
        return _opened(file, columns, folder, dialect, may_be_empty, advise)
    try:
        return _opened(file, columns, folder, dialect, may_be_empty, advise)
    except UnreadableInputError as err:
        raise explained(err, file, dialect, has_options=True) from err


def _opened(
    file: TableFile,
    columns: Sequence[FileColumn],
    folder: Path,
    dialect: Dialect,
    may_be_empty: bool,
    advise: Advice,
) -> SourceFile:
    sha, stamp = hashlib.sha256(), stamp_of(file)
    stable = file if file.is_text else hashed_copy(file, folder, sha)
    rows = 0
    with open_parts(stable, dialect, watch=sha.update if file.is_text else None) as parts:
        reader = _Reader(file, parts.schema, columns, dialect, advise)

        def keep(part: pa.Table) -> Path:
            nonlocal rows
            read = reader.read(part, row=rows + 1)
            rows += part.num_rows
            return keep_rows(read, folder / f"{KEPT}-{rows}.arrow")

        kept = tuple(ahead(keep, parts.read(rows=ROWS_AT_ONCE, places=reader.places)))
    if stamp_of(file) != stamp:
        raise UnreadableInputError(f"{file.name}: the file changed while it was read; import it once it is whole")
    if not rows and not may_be_empty:
        raise UnreadableInputError(f"{file.name}: the file has columns but no rows; deliver it again")
    source = f"{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}#{sha.hexdigest()[:12]}"
    trimmed, null_words = reader.finish()
    return SourceFile(file, source, reader.schema, rows, trimmed, null_words, reader.left_out, kept)


def read_source(
    file: TableFile,
    columns: Sequence[FileColumn],
    *,
    dialect: Dialect = DEFAULT_DIALECT,
    may_be_empty: bool = False,
    advise: Advice = _rename,
) -> pa.Table:
    """Read a file at once; as `open_source`, and `SourceFile.parts` together."""
    with TemporaryDirectory(prefix="mlops-source-") as folder:
        opened = open_source(
            file, columns, folder=Path(folder), dialect=dialect, may_be_empty=may_be_empty, advise=advise
        )
        return pa.concat_tables([opened.schema.empty_table(), *opened.parts(rows=ROWS_AT_ONCE)])


class _Reader:
    """What a file's columns become, a part of them at a time."""

    def __init__(
        self, file: TableFile, found: pa.Schema, columns: Sequence[FileColumn], dialect: Dialect, advise: Advice
    ) -> None:
        known = {column.name: column for column in columns}
        wanted = [column.name for column in columns if column.required]
        names = _bare(found.names) if dialect.trim else found.names
        _check_once(file, names, known)
        _check_folders(file, names, known)
        require_columns(file, names, wanted, remedy=advise(names))
        self._knows_types = not file.is_text
        self._known: dict[str, TypedColumn] = {}
        self._unknown: dict[str, pa.DataType] = {}
        self._names: list[str] = []
        self.places: list[int] = []
        self.left_out: tuple[str, ...] = ()
        taken = {ROW_NUMBER, *(name.lower() for name in known if name in names)}
        for place, (name, kind) in enumerate(zip(names, map(shown_type, found.types), strict=True)):
            if column := known.get(name):
                self._known[name] = TypedColumn(file.name, column, dialect, knows_types=self._knows_types)
                self._take(place, name)
            elif kind is not None:
                free = free_name(name, place + 1, taken)
                taken.add(free.lower())
                self._unknown[free] = kind
                self._take(place, free)
            else:
                self.left_out += (name,)

    def _take(self, place: int, name: str) -> None:
        self.places.append(place)
        self._names.append(name)

    @property
    def schema(self) -> pa.Schema:
        """The columns in the types that hold all parts so far."""
        types = {name: column.type for name, column in self._known.items()} | self._unknown
        return pa.schema([(name, types[name]) for name in self._names])

    def read(self, part: pa.Table, *, row: int) -> pa.Table:
        """Return the next part in its types; `row` is the place of its first row in the file."""
        read = [self._read_column(name, values, row) for name, values in zip(self._names, part.columns, strict=True)]
        return pa.table(read, names=self._names)

    def finish(self) -> tuple[dict[str, int], dict[str, int]]:
        """Check that the parts go together, once all were read; return what was trimmed, and the null words."""
        for column in self._known.values():
            column.finish()
        columns = self._known.items()
        return (
            _met({name: column.trimmed for name, column in columns}),
            _met({name: column.null_words for name, column in columns}),
        )

    def _read_column(self, name: str, values: pa.ChunkedArray, row: int) -> pa.ChunkedArray:
        if column := self._known.get(name):
            return column.read(values, row=row)
        return as_shown(values, self._unknown[name], knows_types=self._knows_types)


def _met(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _bare(names: Sequence[str]) -> list[str]:
    return [name.strip(BLANKS) for name in names]


def _check_once(file: TableFile, found: Sequence[str], known: Collection[str]) -> None:
    # SQL does not tell Quantity from quantity.
    lowered = [name.lower() for name in found]
    if twice := [name for name in known if name in found and lowered.count(name.lower()) > 1]:
        raise UnreadableInputError(f"{file.name}: column {twice[0]!r} is there twice; keep one")


def _check_folders(file: TableFile, found: Sequence[str], known: Collection[str]) -> None:
    # Writers of partitions leave a column out of the files, and say it in the folder's name.
    for folder in PurePosixPath(file.path).parent.parts:
        name, is_said, _ = folder.partition("=")
        if is_said and name in known and name not in found:
            raise UnreadableInputError(
                f"{file.name}: column {name!r} is not in the file, but in the name of its folder, {folder}; write it "
                "into the file"
            )
