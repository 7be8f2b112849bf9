"""What lies in the lake, whoever put it there.

What belongs here: looking through the lake's folders, and counting by a table's log. What does not: which tables
there should be.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter


def list_stored(lake: LakeAdapter) -> list[str]:
    """Return the names of all Delta tables below the root, in order: a kind, and what of that kind it is."""
    filesystem, root = open_location(lake.uri, lake.s3_endpoint_url)
    found = (f"{kind}/{name}" for kind in _folders(filesystem, root) for name in _folders(filesystem, f"{root}/{kind}"))
    return sorted(table for table in found if lake.exists(table))


def count_rows(lake: LakeAdapter, table: str) -> int:
    """Return how many rows a table holds, by its log: no file is read for it."""
    actions = pa.table(lake.delta(table).get_add_actions(flatten=True))
    return int(pc.sum(actions["num_records"]).as_py() or 0)


def _folders(filesystem: fs.FileSystem, path: str) -> Iterator[str]:
    for entry in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if entry.type == fs.FileType.Directory:
            yield entry.base_name
