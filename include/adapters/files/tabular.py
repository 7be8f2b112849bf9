"""Tables in files that a person names or a shop delivers: parquet, or text with delimiters.

What belongs here: which files there are, by their names, and who is to blame when one can't be read. What does not:
reading (``whole`` at once, ``parts`` in parts, both by ``records`` where it is text), and what a column means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as fs

from include.errors import MlopsError, UnreadableInputError, nearest

_TEXT = (".csv", ".tsv")
_COMPRESSED = (".gz", ".zst")
EXTENSIONS = (".parquet", *_TEXT, *(text + packed for text in _TEXT for packed in _COMPRESSED))

# What Arrow says of the content of a file that isn't on disk.
_DAMAGE = re.compile(r"(?i)parquet|thrift|end of stream|corrupt|decompress|codec|compressed stream|inflate")
AGAIN = "write or deliver it again"


@dataclass(frozen=True)
class TableFile:
    """A file, wherever it is."""

    filesystem: fs.FileSystem
    path: str

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return PurePosixPath(self.path).name

    @property
    def extension(self) -> str:
        """The end of its name that says its format."""
        return extension_of(self.path)

    @property
    def compression(self) -> str:
        """The end of its name that says how it is compressed; nothing where it isn't."""
        return next((packed for packed in _COMPRESSED if self.extension.endswith(packed)), "")

    @property
    def is_text(self) -> bool:
        """Whether it is a text with delimiters, which knows no types; else it is a parquet file."""
        return self.extension.startswith(_TEXT)


def is_readable(name: str) -> bool:
    """Say whether a file's name is of one that can be read."""
    return name.lower().endswith(EXTENSIONS)


def extension_of(path: str) -> str:
    """Return the end of a file's name that says its format, in small letters, with how it is compressed.

    Examples
    --------
    >>> extension_of("2026/rows.v2.CSV.gz"), extension_of("rows.v2.parquet"), extension_of("rows")
    ('.csv.gz', '.parquet', '')
    """
    suffixes = PurePosixPath(path).suffixes
    end = "".join(suffixes[-2:]).lower()
    return end if end in EXTENSIONS else "".join(suffixes[-1:]).lower()


def local_file(path: Path) -> TableFile:
    """Return a file on disk.

    Raises
    ------
    UnreadableInputError
        If it is absent or not a file, or its extension isn't known.
    """
    if not path.exists():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UnreadableInputError(f"{path}: there is no such file{nearest(path.name, siblings)}; check the path")
    if not path.is_file():
        raise UnreadableInputError(f"{path}: is not a file; name one file that ends in {', '.join(EXTENSIONS)}")
    if extension_of(path.name) not in EXTENSIONS:
        raise UnreadableInputError(
            f"{path.name}: extension {extension_of(path.name)!r} is not known; "
            f"allowed: {', '.join(EXTENSIONS)}; convert the file or rename it"
        )
    return TableFile(fs.LocalFileSystem(), str(path.absolute()))


@contextmanager
def reading(file: TableFile) -> Iterator[None]:
    """Say what went wrong with a file while it is read: either it is damaged, or its storage fails.

    Raises
    ------
    UnreadableInputError
        If the content is to blame.
    MlopsError
        If the storage is.
    """
    try:
        yield
    except pa.ArrowException as err:
        raise _damaged(file, err) from err
    except OSError as err:
        # Arrow reports a damaged page as an OSError too. The system's own have a number, a bucket's name it.
        is_local = isinstance(file.filesystem, fs.LocalFileSystem)
        if err.errno is None and "AWS Error" not in str(err) and (is_local or _DAMAGE.search(str(err))):
            raise _damaged(file, err) from err
        reason = " ".join(str(err).split()) or type(err).__name__
        raise MlopsError(
            f"{file.path} can't be read: {reason[:300]}; check that the storage is reachable and readable"
        ) from err


def require_columns(file: TableFile, found: Sequence[str], wanted: Sequence[str], *, remedy: str) -> None:
    """Check that a file has the columns that are wanted.

    Raises
    ------
    UnreadableInputError
        If it doesn't, with all that are missing, those that are there, and `remedy`.
    """
    missing = [name for name in wanted if name not in found]
    if missing:
        others = [name for name in found if name not in wanted]
        raise UnreadableInputError(
            f"{file.name} has no column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}; "
            f"it has {', '.join(found)}{''.join(nearest(name, others) for name in missing)}; {remedy}"
        )


def empty_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of text in which "" is null: a CSV writes a missing text as nothing."""
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)


def check_size(file: TableFile) -> None:
    """Check that a file has bytes."""
    with reading(file):
        if file.filesystem.get_file_info(file.path).size == 0:
            raise UnreadableInputError(f"{file.name}: the file is empty (0 bytes); {AGAIN}")


def check_names(file: TableFile, names: Sequence[str]) -> None:
    """Check that no two columns have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UnreadableInputError(f"{file.name}: column {twice[0]!r} is there twice; keep one")


def _damaged(file: TableFile, err: Exception) -> UnreadableInputError:
    reason = " ".join(str(err).split())[:300]
    return UnreadableInputError(
        f"{file.name}: can't be read as {file.extension[1:]} ({reason}); "
        f"it is truncated, damaged or of another format: {AGAIN}"
    )
