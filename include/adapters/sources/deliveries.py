"""Deliveries of orders: one folder for each night, on disk or on S3.

What belongs here: where a night's folder is, whether it is complete, and what is in it. What does
not: reading the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pyarrow.compute as pc
import pyarrow.fs as fs

from include import partitions
from include.adapters.arrow_files import open_location
from include.adapters.files.tabular import EXTENSIONS, TableFile, extension_of
from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError
from include.settings import Settings
from include.tables import DELIVERIES

# Written last by whoever delivers: before it is there, files may be missing or half written.
COMPLETE = "_SUCCESS"
FORMAT = "_FORMAT"


@dataclass(frozen=True)
class Delivery:
    """A complete delivery: its files in order of name, and the format that it names, if it does."""

    files: tuple[TableFile, ...]
    file_format: str | None


def find_delivery(settings: Settings, partition: str) -> Delivery:
    """Return the delivery of a partition: ``<landing_uri>/orders/dt=<partition>/``.

    Raises
    ------
    MlopsError
        If the folder or its ``_SUCCESS`` file isn't there, or the storage can't be reached.
    """
    filesystem, root = open_location(settings.landing_uri, settings.s3_endpoint_url)
    folder = f"{root}/orders/dt={partition}"
    address = f"{settings.landing_uri}/orders/dt={partition}"
    try:
        entries = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        names = {PurePosixPath(entry.path).name: entry.path for entry in entries if entry.is_file}
        if COMPLETE not in names:
            found = f"it holds {len(names)} files" if names else "there is nothing"
            raise MlopsError(
                f"the delivery {address} is not complete: {found}, no {COMPLETE}; "
                f"wait for it, or write {COMPLETE} when every file of the day is there"
            )
        file_format = _read_format(filesystem, names[FORMAT]) if FORMAT in names else None
    except OSError as err:
        reason = " ".join(str(err).split())[:300]
        raise MlopsError(f"the delivery {address} can't be read: {reason}; check MLOPS_LANDING_URI") from err
    orders = [names[name] for name in sorted(names) if _is_of_orders(name)]
    return Delivery(tuple(TableFile(filesystem, path) for path in orders), file_format)


def _read_format(filesystem: fs.FileSystem, path: str) -> str:
    with filesystem.open_input_stream(path) as stream:
        return str(stream.read().decode("utf-8", errors="replace").strip())


def _is_of_orders(name: str) -> bool:
    return not name.startswith(("_", ".")) and extension_of(name) in EXTENSIONS


def delivered_days(lake: LakeAdapter) -> list[str]:
    """Return the days whose own delivery, or a file import over them, has been taken; in order.

    A day that only late rows of another delivery touched is not among them.
    """
    if not lake.exists(DELIVERIES.name):
        return []
    records = lake.read(DELIVERIES.name, columns=["dt", "delivered"])
    own = pc.or_kleene(
        pc.is_null(records["delivered"]), pc.equal(records["delivered"], pc.cast(records["dt"], "string"))
    )
    return sorted({day.isoformat() for day in records.filter(own)["dt"].to_pylist()})


def days_of(lake: LakeAdapter, night: str) -> list[str]:
    """Return the days that a night's delivery, as it was taken last, had rows for; in order."""
    if not lake.exists(DELIVERIES.name):
        return []
    records = lake.read(DELIVERIES.name, columns=["dt", "delivered"])
    return sorted({day.isoformat() for day in records.filter(pc.equal(records["delivered"], night))["dt"].to_pylist()})


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
