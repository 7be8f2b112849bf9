"""A file's rows in parts that fit into memory: what ``whole`` reads at once.

What belongs here: the same rows, in the same order, or the same refusal, whatever the parts. What does not: what makes
a file unreadable, which ``records`` and ``tabular`` say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from include.adapters.files.records import open_records
from include.adapters.files.tabular import TableFile, check_size, reading
from include.adapters.files.text_bytes import Watch
from include.specs.dialect import DEFAULT_DIALECT, Dialect

_Pieces: TypeAlias = Callable[[Sequence[int], int], Iterator[pa.Table]]

_BATCH_ROWS = 1 << 16
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class FileParts:
    """A file that is open, to be read once.

    Attributes
    ----------
    schema : pyarrow.Schema
        Its columns, in its order; names may be there twice. Those of a text file are text.
    """

    schema: pa.Schema
    _pieces: _Pieces

    def read(self, *, rows: int, places: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Read the file in its order, about so many rows at a time; text is as it stands there.

        Parameters
        ----------
        rows : int
            None of the parts is empty; a file without rows has none.
        places : sequence of int, optional
            Of the columns that are read, in the file's order; default: all.

        Raises
        ------
        UnreadableInputError, MlopsError
            As `read_rows`.
        """
        held: list[pa.Table] = []
        for piece in self._pieces(range(len(self.schema)) if places is None else places, rows):
            held += [piece] if piece.num_rows else []
            if sum(part.num_rows for part in held) >= rows:
                yield pa.concat_tables(held)
                held = []
        if held:
            yield pa.concat_tables(held)


@contextmanager
def open_parts(
    file: TableFile, dialect: Dialect = DEFAULT_DIALECT, *, watch: Watch | None = None
) -> Iterator[FileParts]:
    """Open a file to read it in parts.

    Parameters
    ----------
    dialect : Dialect
        Its delimiter and encoding, where the file is text.
    watch : callable, optional
        Is shown the bytes of a text file, all of them once the parts are at their end.

    Raises
    ------
    UnreadableInputError, MlopsError
        As `read_rows`, but for two columns of one name, which there may be; and, as parts are read, for damage.
    """
    check_size(file)
    with reading(file):
        if file.is_text:
            with open_records(file, dialect, watch=watch) as records:
                names = records.names
                schema = pa.schema([(name, pa.string()) for name in names])
                yield FileParts(
                    schema,
                    lambda places, _: (
                        part.rename_columns([names[place] for place in places]) for part in records.parts(places)
                    ),
                )
        else:
            with file.filesystem.open_input_file(file.path) as stream:
                # Read ahead of need, a file of one large row group is held whole. INT96 in nanoseconds would wrap.
                opened = pq.ParquetFile(
                    stream, pre_buffer=False, buffer_size=_BUFFER_BYTES, coerce_int96_timestamp_unit="us"
                )
                yield FileParts(opened.schema_arrow, lambda places, rows: _batches(opened, places, rows))


def _batches(opened: pq.ParquetFile, places: Sequence[int], rows: int) -> Iterator[pa.Table]:
    # Arrow takes names, gives all columns that have one in the file's order, and reads "b.a" as a part of "b" too.
    found = opened.schema_arrow.names
    wanted = [(found[place], found[:place].count(found[place])) for place in places]
    for batch in opened.iter_batches(batch_size=min(rows, _BATCH_ROWS), columns=[name for name, _ in wanted]):
        there = batch.schema.get_all_field_indices
        yield pa.Table.from_batches([batch]).select([there(name)[nth] for name, nth in wanted])
