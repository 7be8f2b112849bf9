"""Rows as the data files of a commit, each named after its own bytes: a table's log says what its files hold.

What belongs here: writing files ahead of their commit. What does not: the commit (``commits``), and holding a file
against its name when it is read (``checked_files``).

delta-rs makes up a file's name before it writes it. So it writes a table apart, whose one log entry says what it wrote;
the files go to their table under names that end in their sha256, and the commit names them so.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as fs
from deltalake import write_deltalake
from deltalake.transaction import AddAction

from include.adapters.ahead import ahead
from include.adapters.lake.whole_log import WHOLE_LOG

_LEAST_ROOM_BYTES = 1 << 20
FIRST_ENTRY = "_delta_log/00000000000000000000.json"


@dataclass(frozen=True)
class DataFiles:
    """Files that lie in a table's folder and don't belong to it yet.

    Attributes
    ----------
    entry : bytes
        The first entry of a log: it makes a table of them.
    actions : tuple of AddAction
        What adds them to a table that is there.
    schema : pyarrow.Schema
        Their columns, with the one of the partitions.
    rows : int
    """

    entry: bytes
    actions: tuple[AddAction, ...]
    schema: pa.Schema
    rows: int


def write_files(pieces: Iterable[pa.Table], filesystem: fs.FileSystem, *, partition_by: str) -> DataFiles:
    """Write rows as files of a table, a piece at a time; where one can't be had or written, none is left.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        One at least; rows as they shall be kept, all in the same columns.
    filesystem : pyarrow.fs.FileSystem
        Its root is the table's folder.
    partition_by : str
        The partition column.

    Raises
    ------
    DeltaError, OSError
        If they can't be written, there or in the temporary folder.
    """
    head: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    schema, rows = pa.schema([]), 0

    def write(piece: pa.Table) -> pa.Table:
        log = _write_piece(piece, filesystem, partition_by=partition_by)
        head[:] = [action for action in log if "add" not in action]
        added.extend(action["add"] for action in log if "add" in action)
        return piece

    try:
        for piece in ahead(write, pieces):
            schema, rows = piece.schema, rows + piece.num_rows
    except BaseException:
        for add in added:
            with suppress(OSError):
                filesystem.delete_file(unquote(add["path"]))
        raise
    entry = "".join(f"{json.dumps(action)}\n" for action in (*head, *({"add": add} for add in added)))
    return DataFiles(entry.encode(), tuple(map(_action, added)), schema, rows)


def _write_piece(rows: pa.Table, filesystem: fs.FileSystem, *, partition_by: str) -> list[dict[str, Any]]:
    """Write files and return the log that would make a table of them."""
    with TemporaryDirectory(prefix="mlops-lake-") as folder:
        _require_room(folder, rows)
        # delta-rs takes the chunks of a table in any order.
        whole = rows.combine_chunks()
        write_deltalake(folder, whole, mode="error", partition_by=[partition_by], configuration=WHOLE_LOG)
        log = [json.loads(line) for line in Path(folder, FIRST_ENTRY).read_text(encoding="utf-8").splitlines()]
        written = {path.name: path for path in Path(folder).rglob("*.parquet")}
        for action in log:
            if "add" in action:
                action["add"]["path"] = _named_after_its_bytes(written, action["add"]["path"])
        shutil.rmtree(Path(folder, "_delta_log"))
        _move(Path(folder), filesystem)
    return log


def _move(folder: Path, filesystem: fs.FileSystem) -> None:
    """Have the files of a folder in a table's; on one disk none is copied."""
    if not isinstance(filesystem, fs.SubTreeFileSystem) or not isinstance(filesystem.base_fs, fs.LocalFileSystem):
        fs.copy_files(str(folder), "", source_filesystem=fs.LocalFileSystem(), destination_filesystem=filesystem)
        return
    for partition in folder.iterdir():
        there = Path(filesystem.base_path, partition.name)
        there.mkdir(parents=True, exist_ok=True)
        for path in partition.iterdir():
            shutil.move(path, there / path.name)


def _require_room(folder: str, rows: pa.Table) -> None:
    # A writer of delta-rs that runs out of room prints a stack of its own beside the error.
    if shutil.disk_usage(folder).free < 2 * rows.nbytes + _LEAST_ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)


def _named_after_its_bytes(written: Mapping[str, Path], logged: str) -> str:
    """Rename a file and return its path as the log shall have it, in which a partition's value is escaped twice."""
    partition, _, name = logged.rpartition("/")
    path = written[name]
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    named = path.with_name(f"{name.split('.')[0]}-{sha256}.parquet")
    path.rename(named)
    return f"{partition}/{named.name}"


def _action(add: dict[str, Any]) -> AddAction:
    return AddAction(
        path=unquote(add["path"]),
        size=add["size"],
        partition_values=add["partitionValues"],
        modification_time=add["modificationTime"],
        data_change=True,
        stats=add["stats"],
    )
