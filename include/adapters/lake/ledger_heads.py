"""Hashes of history's rows, kept outside the database: one small file for each row, written once.

What belongs here: where a head is, writing and reading it. What does not: what a head is of, and the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.whole_files import put_once
from include.errors import MlopsError, one_line
from include.governance.chain import OWN, SEQ, Row
from include.tables import LEDGER_HEADS, ledger_heads_name

_SUFFIX = ".sha256"


def write_heads(lake: LakeAdapter, history: str, model_id: str, rows: Sequence[Row]) -> int:
    """Keep the hash of each row that has none kept yet, and return how many those were; one that is there stays."""
    filesystem, folder = _folder(lake, history, model_id)
    with _explained(lake, history, model_id):
        kept = set(_list(filesystem, folder))
        missing = [row for row in rows if row[SEQ] not in kept]
        for row in missing:
            path = f"{folder}/{row[SEQ]}{_SUFFIX}"
            put_once(filesystem, path, f"{row[OWN]}\n".encode(), s3_endpoint_url=lake.s3_endpoint_url)
    return len(missing)


def read_heads(lake: LakeAdapter, history: str, model_id: str) -> dict[int, str]:
    """Return the hashes that are kept of a model's rows, by the rows' numbers."""
    filesystem, folder = _folder(lake, history, model_id)
    heads = {}
    with _explained(lake, history, model_id):
        for seq in _list(filesystem, folder):
            with filesystem.open_input_stream(f"{folder}/{seq}{_SUFFIX}") as stream:
                heads[seq] = stream.read().decode().strip()
    return heads


def list_anchored(lake: LakeAdapter) -> set[str]:
    """Return the models that a head is kept of."""
    filesystem, root = open_location(lake.table_uri(LEDGER_HEADS.name), lake.s3_endpoint_url)
    entries = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True))
    return {entry.path.split("/")[-2] for entry in entries if entry.base_name.endswith(_SUFFIX)}


@contextmanager
def _explained(lake: LakeAdapter, history: str, model_id: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise MlopsError(
            f"the hashes of {history} of {model_id} can't be kept in or read from the lake at {lake.uri}: "
            f"{one_line(err)}; check MLOPS_LAKE_URI, and that there is room and this user may write; then do it again: "
            "what is in the ledger already stays as it is"
        ) from err


def _list(filesystem: fs.FileSystem, folder: str) -> list[int]:
    names = (entry.base_name for entry in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)))
    numbers = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted(int(number) for number in numbers if number.isdigit())


def _folder(lake: LakeAdapter, history: str, model_id: str) -> tuple[fs.FileSystem, str]:
    uri = lake.table_uri(f"{ledger_heads_name(history)}/{model_id}")
    return open_location(uri, lake.s3_endpoint_url)
