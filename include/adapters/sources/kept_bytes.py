"""What was read of a source's file, kept beside the import, so that all who look later see the same bytes.

What belongs here: keeping it on disk. What does not: what the bytes hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs

from include.adapters.files.tabular import TableFile, reading
from include.errors import MlopsError, one_line

# What the names of kept files begin with.
KEPT = "delivered"

_CHUNK_BYTES = 1 << 20


def stamp_of(file: TableFile) -> tuple[int | None, int | None]:
    """Return a file's size and time: others, once it has changed."""
    with reading(file):
        found = file.filesystem.get_file_info(file.path)
    return found.size, found.mtime_ns


def hashed_copy(file: TableFile, folder: Path, sha: hashlib._Hash) -> TableFile:
    """Return a parquet file that stays as it is while it is read here and there: on disk; and hash its bytes."""
    copy = folder / KEPT / file.name
    with ExitStack() as stack:
        stack.enter_context(reading(file))
        stream = stack.enter_context(file.filesystem.open_input_stream(file.path, compression=None))
        chunks = iter(lambda: stream.read(_CHUNK_BYTES), b"")
        if isinstance(file.filesystem, fs.LocalFileSystem):
            for chunk in chunks:
                sha.update(chunk)
            return file
        with _keeping(folder):
            copy.parent.mkdir()
            out = stack.enter_context(copy.open("wb"))
        for chunk in chunks:
            sha.update(chunk)
            with _keeping(folder):
                out.write(chunk)
    return TableFile(fs.LocalFileSystem(), str(copy))


def keep_rows(rows: pa.Table, path: Path) -> Path:
    """Write rows to a file that did not exist, and return it."""
    with _keeping(path.parent), pa.ipc.new_file(path, rows.schema) as kept:
        kept.write_table(rows)
    return path


@contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise MlopsError(
            f"what was read can't be kept in {folder}: {one_line(err)}; make room there, or set TMPDIR"
        ) from err
