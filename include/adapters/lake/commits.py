"""The two commits that a lake table knows: the one that makes it, and one that replaces partitions.

What belongs here: compare-and-set, so that of two writers who saw the same state one has to look again, and what rows
have to be like before. What does not: the files (``data_files``), and looking again (``delta_lake``).

delta-rs makes a table by looking and then committing: of two who do that at once the second is committed as an append.
And what it holds against other commits, if it is given files, is which files it removes: two who fill the same empty
partition would both succeed. So a commit names its partitions as transactions, which may not have moved since the
table was read. Who writes rows whose key another partition may have (`Reach`) names that too: two who write one new key
to two partitions would both succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.table import FilterType

from include.adapters.arrow_files import open_location
from include.adapters.lake.data_files import FIRST_ENTRY, write_files
from include.adapters.whole_files import put_once
from include.errors import MlopsError, one_line

# Says of a table whether rows that are to be written concern other partitions than those that they replace.
Strays: TypeAlias = Callable[[DeltaTable], bool]

_REACH = "reach"


def make_table(uri: str, pieces: Iterable[pa.Table], *, partition_by: str, s3_endpoint_url: str | None) -> int:
    """Make a table with its first rows, and return their number.

    Parameters
    ----------
    uri : str
        The table's address, ``file://…`` or ``s3://bucket/…``.
    pieces : iterable of pyarrow.Table
        As of `write_files`.

    Raises
    ------
    CommitFailedError
        If another writer has made it.
    DeltaError, OSError
        If it can't be written.
    """
    filesystem, folder = open_location(uri, s3_endpoint_url)
    files = write_files(pieces, fs.SubTreeFileSystem(folder, filesystem), partition_by=partition_by)
    if not put_once(filesystem, f"{folder}/{FIRST_ENTRY}", files.entry, s3_endpoint_url=s3_endpoint_url):
        raise CommitFailedError("the table was made by another writer")
    return files.rows


def conformed(
    delta: DeltaTable | None, pieces: Iterable[pa.Table], keys: Sequence[str], *, table: str, partition_by: str
) -> Iterator[pa.Table]:
    """Return rows as a table takes them: `require_keys`, and `in_types_of` where it is there."""
    for rows in pieces:
        require_keys(rows, keys, table=table, partition_by=partition_by)
        yield rows if delta is None else in_types_of(delta, rows, table=table)


def require_keys(rows: pa.Table, keys: Sequence[str], *, table: str, partition_by: str) -> None:
    """Check that all rows lie in some partitions.

    Raises
    ------
    MlopsError
        If one doesn't.
    """
    found = {str(value) for value in pc.unique(rows[partition_by]).to_pylist()}
    if outside := sorted(found - set(keys)):
        raise MlopsError(
            f"lake table {table}: rows of {partition_by} {outside[0]!r} would be written by a "
            f"replacement of {keys[0]} … {keys[-1]}; name every partition that is replaced"
        )


def in_types_of(delta: DeltaTable, rows: pa.Table, *, table: str) -> pa.Table:
    """Return rows in the types of a table's columns; those of columns that it does not have yet stay.

    Raises
    ------
    MlopsError
        If a value can't be had in the type of its column.
    """
    stored = _schema(delta)
    for place, name in enumerate(rows.column_names):
        if name in stored.names:
            field = stored.field(name)
            try:
                rows = rows.set_column(place, field, rows[name].cast(field.type))
            except pa.ArrowException as err:
                raise MlopsError(
                    f"lake table {table}: column {name!r} is {field.type}, and its new rows are {rows[name].type} that "
                    f"it can't hold ({one_line(err)}); give them its type"
                ) from err
    return rows


def replace_partitions(
    delta: DeltaTable,
    pieces: Iterable[pa.Table],
    filesystem: fs.FileSystem,
    *,
    keys: Sequence[str],
    partition_by: str,
    strays: Strays | None = None,
) -> int:
    """Put rows in the place of those that some partitions had when the table was read, and look at it anew.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        As of `write_files`, and as `in_types_of` gives them. A column that the table does not have is added to it.
    filesystem : pyarrow.fs.FileSystem
        Its root is the table's folder.
    strays : callable, optional
        Is asked again of the table that others have written to since; of two who ask, one always looks again.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    CommitFailedError
        If one of the partitions, or the table's columns, have changed since then, or the rows stray.
    DeltaError, OSError
        If it can't be written.
    """
    stored = _schema(delta)
    replaced = [(partition_by, "in", list(keys))]
    read = _state(delta, replaced)
    files = write_files(pieces, filesystem, partition_by=partition_by)
    added = [field for field in files.schema.remove_metadata() if field.name not in stored.names]
    moved = [f"{partition_by}={key}" for key in keys] + [_REACH] * (strays is not None)
    while True:
        version = delta.version()
        try:
            delta.create_write_transaction(
                list(files.actions),
                mode="overwrite",
                schema=Schema.from_arrow(pa.schema([*stored, *added])),
                partition_by=[partition_by],
                partition_filters=replaced,
                commit_properties=CommitProperties(app_transactions=[Transaction(name, version + 1) for name in moved]),
            )
            delta.update_incremental()
            return files.rows
        except CommitFailedError:
            # Whoever removed a file of another partition is in the way of this commit too, and of no row of it.
            delta.update_incremental()
            if delta.version() == version or _state(delta, replaced) != read or _are_astray(delta, strays):
                raise


def _are_astray(delta: DeltaTable, strays: Strays | None) -> bool:
    return strays is not None and strays(delta)


def _state(delta: DeltaTable, partitions: FilterType) -> tuple[pa.Schema, list[str]]:
    return _schema(delta), sorted(delta.file_uris(file_pruning_predicate=partitions))


def _schema(delta: DeltaTable) -> pa.Schema:
    return pa.schema(delta.schema().to_arrow())
