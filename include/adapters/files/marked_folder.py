"""Rows as a folder of plain parquet files that says when it is whole: ``_SUCCESS`` is written last, and removed first.

What belongs here: such a folder on disk and on S3. What does not: the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq

from include.adapters.arrow_files import open_location

SUCCESS = "_SUCCESS"
_PART, _PARQUET = "part-", ".parquet"


def write_folder(uri: str, pieces: Iterable[pa.Table], *, s3_endpoint_url: str | None = None) -> bool:
    """Write rows in the place of those that the folder has, a file for each piece; equal ones are left as they are.

    Parameters
    ----------
    uri : str
        ``file://…`` or ``s3://…``; made where it is not there. Files that this has not written stay.
    pieces : iterable of pyarrow.Table
        One at least, all in the same columns.
    s3_endpoint_url : str, optional
        Endpoint of an S3 server that isn't Amazon's.

    Returns
    -------
    bool
        Whether anything was written.

    Raises
    ------
    OSError
        If it can't be; then the folder may have no ``_SUCCESS``.
    """
    filesystem, folder = open_location(uri, s3_endpoint_url)
    with TemporaryDirectory(prefix="mlops-export-") as staged:
        names = [_stage(Path(staged), number, piece) for number, piece in enumerate(pieces)]
        there = _list_parts(filesystem, folder)
        marker = f"{folder}/{SUCCESS}"
        is_whole = filesystem.get_file_info(marker).type == fs.FileType.File
        if is_whole and there == sorted(names):
            return False
        filesystem.create_dir(folder, recursive=True)
        for old in ([SUCCESS] if is_whole else []) + there:
            filesystem.delete_file(f"{folder}/{old}")
        fs.copy_files(staged, folder, source_filesystem=fs.LocalFileSystem(), destination_filesystem=filesystem)
        with filesystem.open_output_stream(marker):
            pass
    return True


def _stage(folder: Path, number: int, rows: pa.Table) -> str:
    """Write a file and return its name, which says what it holds."""
    path = folder / f"{_PART}{number:05}"
    pq.write_table(rows, path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return path.rename(f"{path}-{sha256}{_PARQUET}").name


def _list_parts(filesystem: fs.FileSystem, folder: str) -> list[str]:
    entries = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    names = (entry.base_name for entry in entries if entry.type == fs.FileType.File)
    return sorted(name for name in names if name.startswith(_PART) and name.endswith(_PARQUET))
