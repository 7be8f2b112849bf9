"""A table's files as an Arrow dataset that knows the partition of each.

What belongs here: which files there are, by the table's log. What does not: whether they are what was committed
(``checked_files``), and reading rows.

delta-rs gives a file's statistics to Arrow too, as an expression of every column: 0.2 s for seven hundred files, before
a row is read. Files that hold nothing of what is wanted are left out by the log, and Parquet has statistics of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as fs

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from include.adapters.lake.span import FileFilter


def listed_files(delta: DeltaTable, filesystem: fs.FileSystem, wanted: Sequence[FileFilter] = ()) -> pads.Dataset:
    """Return a table's files, in the order of its log; those alone that may hold rows of what is wanted.

    Parameters
    ----------
    delta : deltalake.DeltaTable
        At the version that is meant.
    filesystem : pyarrow.fs.FileSystem
        Its root is the table's folder.
    wanted : sequence of FileFilter
        All files where there are none.

    Raises
    ------
    DeltaProtocolError
        If Arrow can't read such a table.
    """
    names = delta.metadata().partition_columns
    # Of no file: it says how the table is read, or that it can't be.
    none: Any = delta.to_pyarrow_dataset(
        filesystem=filesystem, file_pruning_predicate=[(delta.schema().fields[0].name, "in", [])]
    )
    actions = pa.table(delta.get_add_actions()).select(["path", "partition"]).to_pylist()
    found = dict(zip(delta.file_uris(), actions, strict=True))
    uris = delta.file_uris(file_pruning_predicate=list(wanted)) if wanted else found
    fragments = [
        none.format.make_fragment(
            unquote(found[uri]["path"]),
            filesystem=filesystem,
            partition_expression=_partition(none.schema, names, found[uri]["partition"]),
        )
        for uri in uris
    ]
    return pads.FileSystemDataset(fragments, none.schema, none.format, filesystem)


def _partition(schema: pa.Schema, names: Sequence[str], values: dict[str, Any]) -> pc.Expression | None:
    found = []
    for name in names:
        is_null = values[name] is None
        field = pc.field(name)
        found.append(field.is_null() if is_null else field == pa.scalar(values[name], schema.field(name).type))
    return reduce(and_, found) if found else None
