"""What lies in the lake, whoever put it there.

What belongs here: looking through the lake's folders. What does not: which tables there should be.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter


def list_stored(lake: LakeAdapter) -> list[str]:
    """Return the names of all Delta tables below the root, in order: a kind, and what of that kind it is."""
    filesystem, root = open_location(lake.uri, lake.storage_options.get("AWS_ENDPOINT_URL"))
    found = (f"{kind}/{name}" for kind in _folders(filesystem, root) for name in _folders(filesystem, f"{root}/{kind}"))
    return sorted(table for table in found if lake.exists(table))


def _folders(filesystem: fs.FileSystem, path: str) -> Iterator[str]:
    for entry in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if entry.type == fs.FileType.Directory:
            yield entry.base_name
