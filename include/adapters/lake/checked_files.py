"""A table's data files held against what their commits say of them, each once in a process.

What belongs here: finding a file that was altered where it lies, or can't be read. What does not: reading rows.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as fs

from include.errors import AlteredError, one_line

log = logging.getLogger(__name__)

_NAMED_AFTER_ITS_BYTES = re.compile(r"-([0-9a-f]{64})\.parquet$")
_BLOCK = 1 << 20
_THREADS = 8
# Tables, their files, sizes and times of change: a file that is altered later is checked again.
_checked: set[tuple[str, str, int, int | None]] = set()


@dataclass(frozen=True)
class TableFiles:
    """The folder of a table.

    Attributes
    ----------
    table, uri : str
        The table's name and address.
    filesystem : pyarrow.fs.FileSystem
        Its root is the folder.
    """

    table: str
    uri: str
    filesystem: fs.FileSystem

    def check(self, paths: Sequence[str]) -> None:
        """Hold files against their names.

        Parameters
        ----------
        paths : sequence of str
            Below the folder. One without a sha256 in its name was written before names had it: it is read once, so
            that damage shows here.

        Raises
        ------
        FileNotFoundError
            If one is not there.
        AlteredError
            If the bytes of one are not those that were committed, or it can't be read.
        """
        with ThreadPoolExecutor(_THREADS) as pool:
            unnamed = sum(pool.map(self._check, paths))
        if unnamed:
            log.warning(
                "lake table=%s files_without_sha256=%d: they were written before files were named after their bytes; "
                "a change of one can't be noticed",
                self.table, unnamed,
            )  # fmt: skip

    def _check(self, path: str) -> bool:
        """Check a file and say whether it is the first time, and nothing says what the file should hold."""
        found = self.filesystem.get_file_info(path)
        if found.type == fs.FileType.NotFound:
            raise FileNotFoundError(f"{path} is not there")
        seen = (self.uri, path, found.size, found.mtime_ns)
        if seen in _checked:
            return False
        named = _NAMED_AFTER_ITS_BYTES.search(path)
        if named is None:
            self._read_through(path)
        elif (sha256 := self._sha256(path)) != named[1]:
            raise self._altered(path, f"has sha256 {sha256}, and was committed with {named[1]}: it was changed")
        _checked.add(seen)
        return named is None

    def _sha256(self, path: str) -> str:
        sha256 = hashlib.sha256()
        for block in self._blocks(path):
            sha256.update(block)
        return sha256.hexdigest()

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self.filesystem.open_input_stream(path) as stream:
            while block := stream.read(_BLOCK):
                yield block

    def _read_through(self, path: str) -> None:
        try:
            for _ in pads.dataset(path, format="parquet", filesystem=self.filesystem).to_batches():
                pass
        except (pa.ArrowException, OSError) as err:
            if "AWS Error" in str(err):
                raise
            raise self._altered(path, f"can't be read ({one_line(err)})") from err

    def _altered(self, path: str, what: str) -> AlteredError:
        return AlteredError(
            f"lake table {self.table}: data file {path} {what}; bring the file back from a backup of {self.uri}, or "
            "remove that folder and make the table's days again"
        )
