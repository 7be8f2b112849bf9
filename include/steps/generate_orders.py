"""Generate the orders of a simulated shop: files as a shop would deliver them, and the truth beside them.

What belongs here: writing what the simulation gives, all or nothing. What does not: the simulation.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from include import partitions
from include.adapters.sources.deliveries import COMPLETE
from include.errors import MlopsError, UsageError
from include.simulation.baskets import ORDER_LINES, ORDER_TRUTH
from include.simulation.deliveries import Arrival, arrivals_of, check_incidents
from include.simulation.incidents import Incident
from include.simulation.shop import Shop, ShopDay
from include.simulation.world import World

log = logging.getLogger(__name__)

HISTORY = "history.parquet"
ARRIVALS = "arrivals"
TRUTH = "truth"

# So many rows go to the file at a time: what bounds memory, whatever the length of the history.
_ROW_GROUP = 250_000

_ARRIVALS_TRUTH = pa.schema(
    [
        ("night", pa.string()),
        ("day", pa.string()),
        ("file", pa.string()),
        ("rows", pa.int64()),
        ("incident", pa.string()),
    ]
)


@dataclass(frozen=True)
class GeneratedOrders:
    """What was written.

    Attributes
    ----------
    history : Path or None
        One file with every line before the nights; None where every day is a night.
    first, history_end : str or None
        Its days.
    nights : tuple of str
        The days after it, which arrive one by one from ``arrivals/<night>/``, a copy of what the landing
        folder gets on that night.
    happened : dict of str to str
        What goes wrong, by night, in words.
    customers, orders, lines : int
        In all.
    """

    history: Path | None
    first: str | None
    history_end: str | None
    nights: tuple[str, ...]
    happened: dict[str, str]
    customers: int
    orders: int
    lines: int


def generate_orders(
    out: Path,
    *,
    seed: int,
    start: str,
    end: str,
    nights: int,
    incidents: Sequence[Incident] = (),
    world: World | None = None,
) -> GeneratedOrders:
    """Write the orders of a shop that opens on `start`, up to `end`, into a folder that isn't there yet.

    The same arguments give the same bytes.

    Parameters
    ----------
    out : Path
        Gets ``history.parquet``, ``arrivals/`` and ``truth/`` (customers, orders, arrivals, parameters), which
        nothing in the product reads.
    seed : int
    start, end : str
        First and last day.
    nights : int
        How many of the last days arrive one by one; the days before them are the history.
    incidents : sequence of Incident
    world : World, optional
        Default: the shipped one.

    Raises
    ------
    UsageError
        If `out` is there or can't be made, the days are too few, or an incident can't happen.
    MlopsError
        If the disk is full, or fails.
    """
    days = partitions.span(start, end)
    if nights > len(days):
        raise UsageError(f"{start} … {end} are {len(days)} days, fewer than {nights} nights")
    delivered = days[len(days) - nights :]
    check_incidents(incidents, start=start, end=end, nights=delivered)
    shop = Shop(world or World(), seed=seed, start=start, incidents=incidents)
    with _whole_folder(out) as folder:
        made = _write(folder, shop, days, delivered, incidents)
        parameters = {
            "seed": seed, "start": start, "end": end, "nights": nights,
            "incidents": [asdict(i) for i in incidents], "world": asdict(shop.world),
        }  # fmt: skip
        (folder / TRUTH / "parameters.json").write_text(json.dumps(parameters, indent=1))
    log.info("orders generated seed=%d days=%d customers=%d orders=%d lines=%d", seed, len(days), *made)
    history = days[: len(days) - nights]
    return GeneratedOrders(
        history=out / HISTORY if history else None,
        first=history[0] if history else None,
        history_end=history[-1] if history else None,
        nights=tuple(delivered),
        happened=tell_incidents(incidents),
        customers=made[0],
        orders=made[1],
        lines=made[2],
    )


def deliver_night(arrivals: Path, night: str, landing: Path) -> None:
    """Copy what arrives on a night to the landing folder, each folder's mark of completeness last; safe to repeat."""
    files = [path for path in (arrivals / night).rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.name == COMPLETE, path)):
        target = landing / path.relative_to(arrivals / night)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        shutil.copyfile(path, partial)
        partial.replace(target)


def tell_incidents(incidents: Sequence[Incident]) -> dict[str, str]:
    """Return what happens, by the day on which it does, in words; what comes later is told on its night too."""
    told: dict[str, list[str]] = {}
    for incident in incidents:
        told.setdefault(incident.day, []).append(f"{incident.kind}: {incident}")
        if incident.after_days:
            later = partitions.shift(incident.day, incident.after_days)
            told.setdefault(later, []).append(incident.told_later)
    return {day: "; ".join(lines) for day, lines in sorted(told.items())}


def _write(
    folder: Path, shop: Shop, days: Sequence[str], nights: Sequence[str], incidents: Sequence[Incident]
) -> tuple[int, int, int]:
    wrong = {incident.day: incident for incident in incidents if not incident.lasts}
    (folder / TRUTH).mkdir()
    arrivals: list[dict[str, object]] = []
    orders = lines = 0
    history, truth = (
        _RowGroups(folder / HISTORY, ORDER_LINES),
        _RowGroups(folder / TRUTH / "orders.parquet", ORDER_TRUTH),
    )
    with history, truth:
        for number, day in enumerate(shop.days(days[-1])):
            orders, lines = orders + day.truth.num_rows, lines + day.lines.num_rows
            truth.append(day.truth)
            if day.day not in nights:
                history.append(day.lines)
                continue
            arrivals += _deliver(folder / ARRIVALS, day, wrong.get(day.day), shop.delivery_rng(number))
    customers = shop.customers()
    pq.write_table(customers, folder / TRUTH / "customers.parquet")
    pq.write_table(pa.Table.from_pylist(arrivals, schema=_ARRIVALS_TRUTH), folder / TRUTH / "arrivals.parquet")
    return customers.num_rows, orders, lines


def _deliver(
    root: Path, day: ShopDay, incident: Incident | None, rng: np.random.Generator
) -> Iterator[dict[str, object]]:
    for arrival in arrivals_of(day, incident, rng):
        _put(root, arrival)
        yield {
            "night": arrival.night,
            "day": day.day,
            "file": f"dt={arrival.day}/{arrival.name}.parquet",
            "rows": arrival.rows.num_rows,
            "incident": incident.kind if incident else None,
        }


def _put(root: Path, arrival: Arrival) -> None:
    folder = root / arrival.night / "orders" / f"dt={arrival.day}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(arrival.rows, folder / f"{arrival.name}.parquet")
    (folder / COMPLETE).touch()


class _RowGroups:
    """A parquet file that is written in row groups of a bounded size; none where there are no rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema = path, schema
        self._waiting: list[pa.Table] = []
        self._rows = 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _RowGroups:
        return self

    def __exit__(self, *_: object) -> None:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def append(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._rows += rows.num_rows
        if self._rows >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=_ROW_GROUP)
        self._waiting, self._rows = [], 0


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder that becomes `out` when all went well, and is gone when it did not."""
    target = out.resolve()
    partial = target.with_name(f".{target.name}.partial")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{out} is there already; name a folder that is not, or remove it")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    except OSError as err:
        raise UsageError(f"{out} can't be made: {err.strerror}; name a folder that can be written") from err
    try:
        yield partial
        if target.exists():
            target.rmdir()
        partial.rename(target)
    except OSError as err:
        raise MlopsError(f"{out} can't be written: {' '.join(str(err).split())}; make room, or name another") from err
    finally:
        shutil.rmtree(partial, ignore_errors=True)
