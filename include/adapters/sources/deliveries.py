"""Deliveries of a source: one folder for each night, on disk or on S3.

What belongs here: where a night's folder is, whether it is complete, and what is in it. What does
not: reading the files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath

import pyarrow.compute as pc
import pyarrow.fs as fs

from include import partitions
from include.adapters.arrow_files import open_location
from include.adapters.files.tabular import EXTENSIONS, TableFile, is_readable
from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError, UnreadableInputError
from include.settings import Settings
from include.specs.sources import SourceSpec

# Written last by whoever delivers: before it is there, files may be missing or half written.
COMPLETE = "_SUCCESS"
FORMAT = "_FORMAT"
# What _SUCCESS says of a day without rows, where other files lie beside it.
EMPTY = "empty"


@dataclass(frozen=True)
class Delivery:
    """A complete delivery: its files in order of name, and the format that it names, if it does."""

    files: tuple[TableFile, ...]
    file_format: str | None


def find_delivery(settings: Settings, source: str, partition: str) -> Delivery:
    """Return the delivery of a day: ``<landing_uri>/<source>/dt=<partition>/``.

    Every file below the folder is of the delivery, however deep it lies, but for those whose name, or whose folder's,
    begins with ``_`` or ``.``.

    Raises
    ------
    UnreadableInputError
        If something is there that can't be read as rows, or no file is although others are.
    MlopsError
        If the folder or its ``_SUCCESS`` file isn't there, or the storage can't be reached.
    """
    filesystem, root = open_location(settings.landing_uri, settings.s3_endpoint_url)
    folder = f"{root}/{source}/dt={partition}"
    address = f"{settings.landing_uri}/{source}/dt={partition}"
    try:
        paths, others = _list(filesystem, folder)
        _require_complete(paths, address)
        file_format = _read_text(filesystem, f"{folder}/{FORMAT}") if PurePosixPath(FORMAT) in paths else None
        says = _read_text(filesystem, f"{folder}/{COMPLETE}")
    except OSError as err:
        reason = " ".join(str(err).split())[:300]
        raise MlopsError(f"the delivery {address} can't be read: {reason}; check MLOPS_LANDING_URI") from err
    except UnicodeDecodeError as err:
        raise UnreadableInputError(
            f"the delivery {address} holds a name that is no UTF-8 ({err.object!r}); rename it"
        ) from err
    of_rows = sorted(path for path in paths if not _is_hidden(path))
    _require_files(others, address)
    _require_read(of_rows, address)
    if not of_rows and says != EMPTY:
        _require_alone(paths, address)
    return Delivery(tuple(TableFile(filesystem, f"{folder}/{path}") for path in of_rows), file_format)


def _list(filesystem: fs.FileSystem, folder: str) -> tuple[set[PurePosixPath], set[PurePosixPath]]:
    """Return the files below a folder, and what is neither a file nor a folder."""
    files, others = set[PurePosixPath](), _dangling(filesystem, folder)
    for entry in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=True)):
        if entry.type != fs.FileType.Directory:
            (files if entry.is_file else others).add(PurePosixPath(entry.path).relative_to(folder))
    return files, others


def _dangling(filesystem: fs.FileSystem, folder: str) -> set[PurePosixPath]:
    """Return the links that lead nowhere, which Arrow leaves out of what it finds."""
    if not isinstance(filesystem, fs.LocalFileSystem):
        return set()
    found = (path for path in Path(folder).rglob("*") if path.is_symlink() and not path.exists())
    return {PurePosixPath(path.relative_to(folder)) for path in found}


def _require_complete(paths: Set[PurePosixPath], address: str) -> None:
    if PurePosixPath(COMPLETE) not in paths:
        told = f"it holds {len(paths)} files" if paths else "there is nothing"
        raise MlopsError(
            f"the delivery {address} is not complete: {told}, no {COMPLETE}; "
            f"wait for it, or write {COMPLETE} when every file of the day is there"
        )


def _require_files(others: Set[PurePosixPath], address: str) -> None:
    if strays := sorted(str(path) for path in others if not _is_hidden(path)):
        raise UnreadableInputError(
            f"the delivery {address} holds {_some(strays)}, which is neither a file nor a folder, or a link to what is "
            "not there; put the file in its place, or take it away"
        )


def _require_read(paths: Sequence[PurePosixPath], address: str) -> None:
    if strays := [str(path) for path in paths if not is_readable(path.name)]:
        raise UnreadableInputError(
            f"the delivery {address} holds {_some(strays)}, which is no file of rows; deliver files that end in "
            f"{', '.join(EXTENSIONS)}, and begin the name of any other with _"
        )


def _require_alone(paths: Set[PurePosixPath], address: str) -> None:
    if hidden := sorted(map(str, paths - {PurePosixPath(COMPLETE), PurePosixPath(FORMAT)})):
        raise UnreadableInputError(
            f"the delivery {address} has no rows, but {_some(hidden)} beside {COMPLETE}: was it moved into place? "
            f"Where nothing happened on that day, take it away or write {EMPTY!r} to {COMPLETE}"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(("_", ".")) for part in path.parts)


def _read_text(filesystem: fs.FileSystem, path: str) -> str:
    with filesystem.open_input_stream(path) as stream:
        return str(stream.read().decode("utf-8", errors="replace").strip())


def landed_days(settings: Settings, source: str, *, besides: Collection[str]) -> list[str]:
    """Return the days whose delivery lies complete in the landing folder, but for those of `besides`; in order.

    Raises
    ------
    MlopsError
        If the storage can't be reached.
    """
    filesystem, root = open_location(settings.landing_uri, settings.s3_endpoint_url)
    folders = fs.FileSelector(f"{root}/{source}", allow_not_found=True)
    try:
        found = {entry.base_name.removeprefix("dt="): entry.path for entry in filesystem.get_file_info(folders)}
        days = sorted(day for day in found if day not in besides and partitions.is_key(day))
        markers = filesystem.get_file_info([f"{found[day]}/{COMPLETE}" for day in days])
    except OSError as err:
        reason = " ".join(str(err).split())[:300]
        raise MlopsError(
            f"deliveries of {source} at {settings.landing_uri} can't be listed: {reason}; check MLOPS_LANDING_URI"
        ) from err
    return [day for day, marker in zip(days, markers, strict=True) if marker.is_file]


def delivered_days(lake: LakeAdapter, spec: SourceSpec) -> list[str]:
    """Return the days that have arrived, by a delivery of their own or a history that holds them; in order.

    A day that only late rows of another delivery touched is not among them.
    """
    name = spec.deliveries.name
    if not lake.exists(name):
        return []
    records = lake.read(name, columns=["dt", "has_arrived"])
    return sorted({day.isoformat() for day in records.filter(records["has_arrived"])["dt"].to_pylist()})


def published_days(lake: LakeAdapter, spec: SourceSpec) -> set[str]:
    """Return the days of which rows were published, by whatever delivery."""
    name = spec.deliveries.name
    if not lake.exists(name):
        return set()
    records = lake.read(name, columns=["dt", "rows_published"])
    return {day.isoformat() for day in records.filter(pc.greater(records["rows_published"], 0))["dt"].to_pylist()}


def days_of(lake: LakeAdapter, spec: SourceSpec, night: str) -> list[date]:
    """Return the days that a night's delivery, as it was taken last, had rows for; in order."""
    name = spec.deliveries.name
    if not lake.exists(name):
        return []
    records = lake.read(name, columns=["dt", "delivered"])
    return sorted(set(records.filter(pc.equal(records["delivered"], night))["dt"].to_pylist()))


def first_gap(delivered: Sequence[str], until: str) -> str | None:
    """Return the first day from the first delivered one to `until`, included, that is missing; None where none is.

    Parameters
    ----------
    delivered : sequence of str
        Days in order; not empty.
    """
    known = set(delivered)
    days = partitions.span(delivered[0], until) if until >= delivered[0] else []
    return next((day for day in days if day not in known), None)
