"""Rows on the disk of the process, between an answer and the lake: what a process that is killed leaves to the next.

What belongs here: folders, files, and what is safe on them. What does not: what a row is (``log_rows``), and when it
goes on (``prediction_log``).

A process has a folder, which it holds by a lock that its end lets go, however it ends. A chunk is a stream of Arrow
batches, whole up to the last one that was written; it is sealed by its name.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from include.serving.log_rows import RowSource

_OPEN, _SEALED = ".open", ".arrow"
_LOCK, _ANSWERED, _NAMES = "lock", "answered", "names"
# Versions and roles that one process serves in its life: a swap takes one.
_PLACES = 4096
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class StagedChunk:
    """A sealed chunk.

    Attributes
    ----------
    path : Path
    number : int
        Of the chunk, in its process.
    """

    path: Path
    number: int

    @property
    def of(self) -> str:
        """Model and version, as its name says them."""
        return self.path.stem.partition("-")[2]

    @property
    def model_id(self) -> str:
        """Model, as its name says it."""
        return self.of.rpartition("-")[0]

    def source(self) -> RowSource:
        """Return what its rows share; no row is read."""
        with self.path.open("rb") as file, pa.ipc.open_stream(file) as stream:
            return RowSource.of(stream.schema)

    def rows(self) -> pa.Table:
        """Return its rows: all that were written whole."""
        with self.path.open("rb") as file, pa.ipc.open_stream(file) as stream:
            return pa.Table.from_batches(list(_whole_batches(stream)), schema=stream.schema)


class ChunkWriter:
    """A chunk that is being written.

    Parameters
    ----------
    folder : Path
    number : int
        Of the chunk, in its process.
    source : RowSource
    """

    def __init__(self, folder: Path, number: int, source: RowSource) -> None:
        self.rows = 0
        self._is_synced = True
        self._path = folder / f"{number:010d}-{source.model_id}-{source.version}{_OPEN}"
        self._file: IO[bytes] = self._path.open("xb")
        self._stream = pa.ipc.new_stream(self._file, source.schema, options=_OPTIONS)

    def write(self, batch: pa.RecordBatch) -> int:
        """Add rows, return their bytes; a process that is killed leaves them, a machine that stops once `sync` was."""
        before = self._file.tell()
        self._stream.write_batch(batch)
        self._file.flush()
        self.rows += batch.num_rows
        self._is_synced = False
        return self._file.tell() - before

    def sync(self) -> None:
        """Have on the disk what was written."""
        if not self._is_synced:
            os.fsync(self._file.fileno())
            self._is_synced = True

    def seal(self) -> None:
        """End the chunk: it is among the sealed ones from then on."""
        self._stream.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._path.with_suffix(_SEALED))

    def abandon(self) -> None:
        """Seal it as it is, where it can't be written any more: what was safe is read."""
        with suppress(OSError):
            self._file.close()
        _seal_whole(self._path)


class ProcessFolder:
    """The folder of one process.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[bytes] | None = None

    def take(self, *, wait_s: float = 0.0) -> bool:
        """Hold the folder, which is made where it is not there; False where another process does, for so long."""
        until = time.monotonic() + wait_s
        while True:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.path / _LOCK).open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                if time.monotonic() >= until:
                    return False
                time.sleep(0.01)
            else:
                self._lock = lock
                return True

    def let_go(self) -> None:
        """Let the folder go, and remove it where it has nothing left to tell."""
        if not self.chunks() and not list(self.path.glob(f"*{_OPEN}")):
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def chunks(self) -> list[StagedChunk]:
        """Return the sealed chunks, oldest first."""
        return [StagedChunk(path, int(path.name.split("-")[0])) for path in sorted(self.path.glob(f"*{_SEALED}"))]

    def seal_torn(self) -> None:
        """Seal what a process that has ended left open; a chunk without a whole beginning goes."""
        for path in sorted(self.path.glob(f"*{_OPEN}")):
            _seal_whole(path)

    def counts(self) -> RowCounts:
        """Return the numbers of rows that outlive the process."""
        return RowCounts(self.path)


class RowCounts:
    """How many rows were answered and staged, by version and role, in a file that a killed process leaves.

    Parameters
    ----------
    folder : Path
        Of the process.
    """

    def __init__(self, folder: Path) -> None:
        self._names = folder / _NAMES
        size = 2 * 8 * _PLACES
        with (folder / _ANSWERED).open("ab") as made:
            made.truncate(size)
        with (folder / _ANSWERED).open("r+b") as file:
            whole = memoryview(mmap.mmap(file.fileno(), size)).cast("q")
        self.answered, self.staged = whole[:_PLACES], whole[_PLACES:]

    def place(self, name: str) -> int:
        """Return the place of a version in a role."""
        names = self._read_names()
        if name not in names:
            with self._names.open("a") as file:
                file.write(f"{name}\n")
            names.append(name)
        return names.index(name)

    def lost(self) -> dict[str, int]:
        """Return the rows that were answered and never staged, by version and role, where there are any."""
        lost = {name: self.answered[n] - self.staged[n] for n, name in enumerate(self._read_names())}
        return {name: count for name, count in lost.items() if count > 0}

    def forget_lost(self) -> None:
        """Have told of them."""
        for n in range(len(self._read_names())):
            self.answered[n] = self.staged[n]

    def _read_names(self) -> list[str]:
        return self._names.read_text().splitlines() if self._names.exists() else []


def staged_bytes(root: Path) -> int:
    """Return what the chunks of all processes have."""
    return sum(_size(path) for path in root.glob("*/*-*"))


def left_folders(root: Path) -> Iterator[ProcessFolder]:
    """Yield the folders of processes that have ended, held."""
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        folder = ProcessFolder(path)
        if path.is_dir() and folder.take():
            yield folder


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        # It was committed meanwhile.
        return 0


def _seal_whole(path: Path) -> None:
    """Seal a chunk that was not ended, where it has whole rows; one that has none goes."""
    try:
        has_rows = StagedChunk(path, 0).rows().num_rows > 0
    except (pa.ArrowException, OSError):
        has_rows = False
    path.rename(path.with_suffix(_SEALED)) if has_rows else path.unlink()


def _whole_batches(stream: pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            yield stream.read_next_batch()
        except StopIteration:
            return
        except (pa.ArrowException, OSError):
            # The process was ended while it wrote this one.
            return
