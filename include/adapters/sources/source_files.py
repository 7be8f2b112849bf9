"""Files of orders, on disk or on S3, read with the types that a format wants.

What belongs here: a file's identity, and what a file of orders must be beside being readable. What does not: reading a
file (``tabular``), what a row means, and which rows are taken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from include.adapters.files import tabular
from include.adapters.files.parts import read_parts, read_schema
from include.adapters.files.tabular import TableFile, empty_as_null, reading, require_columns
from include.adapters.sources.typed_columns import Traits, converted, has_traits, traits_of
from include.errors import UnreadableInputError
from include.quality.formats import ROW_NUMBER, FileColumn

# What is held of a file at once.
ROWS_AT_ONCE = 250_000

_CHUNK_BYTES = 1 << 20


def local_file(path: Path) -> TableFile:
    """Return a file on disk; a link is followed, as the same file is the same source.

    Raises
    ------
    UnreadableInputError
        If it is absent or not a file, or its extension isn't known.
    """
    return tabular.local_file(path.resolve())


def source_of(file: TableFile) -> str:
    """Return the file's identity: its name, ``#``, and the first 12 hex digits of its sha256.

    The same content under the same name is the same source, wherever and whenever it is read.
    Characters of the name that an SQL predicate or a path could trip over become ``_``.
    """
    sha = hashlib.sha256()
    with reading(file), file.filesystem.open_input_stream(file.path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha.update(chunk)
    return f"{re.sub(r'[^A-Za-z0-9._-]', '_', file.name)}#{sha.hexdigest()[:12]}"


@dataclass(frozen=True)
class SourceFile:
    """A file of orders whose columns have their types, read a part at a time.

    Attributes
    ----------
    file : TableFile
    schema : pyarrow.Schema
        Every column of the file, in its order. Text is string; a whole number is int64, or float64 where one is
        infinite; a number is float64; a time is timestamp[us], with zone UTC where the file gave a zone. NaN is null.
        Columns that the format does not know come as they are.
    """

    file: TableFile
    schema: pa.Schema
    _columns: Mapping[str, FileColumn]
    _traits: Mapping[str, Traits]

    def parts(self, *, rows: int) -> Iterator[pa.Table]:
        """Read the file in its order, about so many rows at a time; a file without rows has no part.

        Raises
        ------
        UnreadableInputError
            Once the file was read to its end, if a column has a value of another family; the first of such columns.
        """
        names, fault = self.schema.names, None
        for part in read_parts(self.file, rows=rows):
            typed: dict[str, pa.ChunkedArray] = {}
            for place, name in enumerate(names):
                try:
                    typed[name] = self._typed(name, part[name])
                except UnreadableInputError as err:
                    # Only an earlier column would be named instead.
                    names, fault = names[:place], err
                    break
            if fault is None:
                yield pa.table(typed, schema=self.schema)
        if fault is not None:
            raise fault

    def _typed(self, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
        return _typed(self.file, values, self._columns.get(name), self._traits.get(name, Traits()))


def open_source(file: TableFile, columns: Sequence[FileColumn], *, may_be_empty: bool = False) -> SourceFile:
    """Look through a file for what decides the types of its columns.

    Parameters
    ----------
    file : TableFile
        Parquet or CSV.
    columns : sequence of FileColumn
        What the format knows.
    may_be_empty : bool
        Whether a file without rows is taken; a file without bytes never is.

    Raises
    ------
    UnreadableInputError
        If the file can't be taken as a whole, lacks a column, has one twice, or has one of another type.
    MlopsError
        If the storage fails.
    """
    found = read_schema(file)
    _check_names(file, found.names)
    wanted = [column.name for column in columns if column.required]
    require_columns(file, found.names, wanted, remedy="rename the columns or name another --format")
    known = {column.name: column for column in columns}
    if not may_be_empty and next(read_parts(file, rows=1), None) is None:
        raise UnreadableInputError(f"{file.name}: the file has columns but no rows; deliver it again")
    traits = _traits(file, found, known)
    empty = {
        field.name: _typed(file, _nothing(field), known.get(field.name), traits.get(field.name, Traits()))
        for field in found
    }
    return SourceFile(file, pa.table(empty).schema, known, traits)


def read_source(file: TableFile, columns: Sequence[FileColumn], *, may_be_empty: bool = False) -> pa.Table:
    """Read a file at once; as `open_source`, and `SourceFile.parts` together."""
    opened = open_source(file, columns, may_be_empty=may_be_empty)
    parts = list(opened.parts(rows=ROWS_AT_ONCE))
    return pa.concat_tables(parts) if parts else opened.schema.empty_table()


def _traits(file: TableFile, found: pa.Schema, known: Mapping[str, FileColumn]) -> dict[str, Traits]:
    names = [field.name for field in found if has_traits(field.type, known.get(field.name), untyped=file.is_text)]
    traits = dict.fromkeys(names, Traits())
    for part in read_parts(file, rows=ROWS_AT_ONCE, columns=names) if names else ():
        for name in names:
            traits[name] |= traits_of(_given(file, part[name]), known[name], untyped=file.is_text)
    return traits


def _typed(file: TableFile, values: pa.ChunkedArray, column: FileColumn | None, traits: Traits) -> pa.ChunkedArray:
    # Typed column by column, so that a fault names the column.
    return converted(file.name, _given(file, values), column, untyped=file.is_text, traits=traits)


def _given(file: TableFile, values: pa.ChunkedArray) -> pa.ChunkedArray:
    return empty_as_null(values) if file.is_text else values


def _nothing(field: pa.Field) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([], field.type)])


def _check_names(file: TableFile, names: Sequence[str]) -> None:
    # SQL does not tell Quantity from quantity.
    lowered = [name.lower() for name in names]
    if twice := [name for name in names if lowered.count(name.lower()) > 1]:
        raise UnreadableInputError(f"{file.name}: column {twice[0]!r} is there twice; keep one")
    if ROW_NUMBER in lowered:
        raise UnreadableInputError(f"{file.name}: column {ROW_NUMBER!r} is a name that the import needs; rename it")
