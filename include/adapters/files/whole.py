"""A file's rows at once, or as a dataset.

What belongs here: the one reading of a file that fits into memory. What does not: a file that is read in parts
(``parts``), and which columns a caller needs (``keyed_rows``, the drift report).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from include.adapters.files.inference import Choice, no_column, with_types
from include.adapters.files.int96 import find_int96_unit
from include.adapters.files.records import open_records
from include.adapters.files.sniffing import explained
from include.adapters.files.tabular import TableFile, check_names, check_size, reading, require_columns
from include.errors import UnreadableInputError
from include.specs.dialect import DEFAULT_DIALECT


def read_rows(file: TableFile, *, columns: Sequence[str] | None = None, is_text: Choice = no_column) -> pa.Table:
    """Return the rows of a file, in its order.

    Parameters
    ----------
    file : TableFile
        Parquet, or text in UTF-8 with one line of names.
    columns : sequence of str, optional
        Those that are read, in this order; default: all.
    is_text : callable
        Which columns of a text file are text, as it stands there. The others get their types from their values. A
        time without a zone stays without one: what it means is the caller's to say.

    Raises
    ------
    UnreadableInputError
        If the file is empty, truncated, damaged or of another format or encoding, breaks the grammar of records, has
        two columns of one name, or lacks one that is asked for.
    MlopsError
        If the storage fails.
    """
    if file.is_text:
        return with_types(read_texts(file, columns=columns), is_text)
    check_size(file)
    with reading(file):
        return _read_parquet(file, columns)


def read_texts(file: TableFile, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows of a text file as they stand there; as `read_rows`."""
    check_size(file)
    try:
        return _read_texts(file, columns)
    except UnreadableInputError as err:
        raise explained(err, file, DEFAULT_DIALECT, has_options=False) from err


def _read_texts(file: TableFile, columns: Sequence[str] | None) -> pa.Table:
    with reading(file), open_records(file, DEFAULT_DIALECT) as records:
        check_names(file, records.names)
        require_columns(file, records.names, columns or (), remedy="correct the name")
        wanted = records.names if columns is None else list(columns)
        places = [records.names.index(name) for name in wanted]
        schema = pa.schema([(name, pa.string()) for name in wanted])
        return pa.concat_tables(
            [schema.empty_table(), *(part.rename_columns(wanted) for part in records.parts(places))]
        )


def read_names(file: TableFile) -> list[str]:
    """Return the names of a file's columns; raises as `read_rows`."""
    check_size(file)
    with reading(file):
        if file.is_text:
            with open_records(file, DEFAULT_DIALECT) as records:
                return list(records.names)
        with file.filesystem.open_input_file(file.path) as stream:
            return list(pq.read_schema(stream).names)


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
        options = pads.ParquetReadOptions(coerce_int96_timestamp_unit=find_int96_unit(file))
        return pads.dataset(file.path, format=pads.ParquetFileFormat(options), filesystem=file.filesystem)


def _read_parquet(file: TableFile, columns: Sequence[str] | None) -> pa.Table:
    with file.filesystem.open_input_file(file.path) as stream:
        found = pq.ParquetFile(stream, coerce_int96_timestamp_unit=find_int96_unit(file))
        names = found.schema_arrow.names
        check_names(file, names)
        if columns is None:
            return found.read()
        require_columns(file, names, columns, remedy="correct the name")
        return found.read(columns=list(columns)).select(list(columns))
