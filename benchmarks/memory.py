"""How much memory an import and a feature build take at most, as orders, customers and days grow.

What belongs here: the sizes, and their budgets. What does not: how a process is watched (``side_by_side``).

Each size runs once, in a process of its own, from files on disk to a lake on disk; its peak is all that the process
held, the libraries included. Orders are made up: `LINES_PER_CUSTOMER` lines a customer, of whom most buy seldom.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.customer_daily import DAYS, FIRST_DAY, make_orders
from benchmarks.side_by_side import peak_mb
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import key_of, shift, span
from include.settings import Settings
from include.steps.build_features import build_features
from include.steps.import_source import import_file
from include.tables import DELIVERIES, ORDERS

IMPORT_MB, BUILD_MB = 1_500, 2_000
LINES_PER_CUSTOMER = 3

_GROUP = "customer_daily"
_PIECE = 1_000_000
_END = key_of(FIRST_DAY + timedelta(days=DAYS - 1))


@dataclass(frozen=True)
class Size:
    """One size of one thing that is done.

    Attributes
    ----------
    name : str
    prepare, run : callable
        Of a folder; each runs in a process of its own, so they must pickle.
    budget_mb : int
        What `run` may hold.
    """

    name: str
    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    budget_mb: int


class _NoState:
    """What a build asks of the state, of a group that was never built."""

    def __getattr__(self, name: str) -> Callable[..., Mapping[str, int]]:
        return lambda *_args, **_kwargs: {}


def write_log(folder: Path, lines: int) -> None:
    """Write a file of order lines as a shop would export it, a million at a time."""
    with pq.ParquetWriter(folder / "orders.parquet", _log_of(1_000, 0).schema) as writer:
        for number, first in enumerate(range(0, lines, _PIECE)):
            writer.write_table(_log_of(min(_PIECE, lines - first), number), row_group_size=250_000)


def _log_of(lines: int, seed: int) -> pa.Table:
    made = make_orders(lines, seed=seed)
    prefix = pa.array([f"{seed}-"] * made.num_rows)
    order = pa.compute.binary_join_element_wise(prefix, made["order_id"], "")
    nothing = pa.nulls(made.num_rows, pa.string())
    return (
        made.set_column(0, "order_id", order)
        .drop_columns(["dt"])
        .append_column("category", nothing)
        .append_column("country", nothing)
    )


def import_log(folder: Path) -> object:
    """Import the file into an empty lake."""
    deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(folder / "home")}))
    as_of = datetime(2030, 1, 1, tzinfo=UTC)
    return import_file(deployment, folder / "orders.parquet", file_format="canonical", as_of=as_of)


def write_lake(folder: Path, customers: int) -> None:
    """Write a lake with the orders of so many customers."""
    lake, keys = LakeAdapter((folder / "lake").as_uri()), span(key_of(FIRST_DAY), _END)
    made = make_orders(customers * LINES_PER_CUSTOMER, lines_per_customer=LINES_PER_CUSTOMER)
    lake.replace(ORDERS.name, made, keys=keys)
    counts = dict.fromkeys(("rows_in", "rows_published", "rows_quarantined"), 1)
    records = [{"dt": day, "source": "made up", "delivered": None, "rules": "{}", **counts} for day in _days(keys)]
    lake.replace(DELIVERIES.name, pa.Table.from_pylist(records, schema=DELIVERIES.arrow_schema()), keys=keys)


def _days(keys: list[str]) -> list[Any]:
    return [FIRST_DAY + timedelta(days=n) for n in range(len(keys))]


def build_days(folder: Path, days: int) -> object:
    """Build the last days of the group in one backfill."""
    engine = Deployment(Settings.from_env({"MLOPS_HOME": str(folder)}))
    deployment: Any = SimpleNamespace(
        lake=LakeAdapter((folder / "lake").as_uri()), compute=engine.compute, duckdb=engine.duckdb, state=_NoState()
    )
    return build_features(deployment, _GROUP, start=shift(_END, 1 - days), end=_END)


def sizes(scale: float = 1.0) -> list[Size]:
    """Return what is measured, the smallest first."""

    def scaled(count: int) -> int:
        return max(1_000, int(count * scale))

    imports = [
        Size(f"import {lines:,} lines", partial(write_log, lines=lines), import_log, IMPORT_MB)
        for lines in map(scaled, (1_000_000, 3_000_000, 10_000_000))
    ]
    builds = [
        Size(
            f"build {days} days × {customers:,} customers",
            partial(write_lake, customers=customers),
            partial(build_days, days=days),
            BUILD_MB,
        )
        for days, customers in (
            (30, scaled(25_000)),
            (30, scaled(100_000)),
            (30, scaled(400_000)),
            (300, scaled(25_000)),
            (300, scaled(250_000)),
        )
    ]
    return [*imports, *builds]


def measure(size: Size) -> tuple[float, float]:
    """Return the seconds and the peak in MB of one size."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        _apart(size.prepare, Path(folder))
        return _apart(size.run, Path(folder))


def _apart(work: Callable[[Path], object], folder: Path) -> tuple[float, float]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_watched, args=(theirs, work, folder))
    process.start()
    theirs.close()
    try:
        seconds, peak = ours.recv()
    except EOFError:
        raise RuntimeError("its process died") from None
    finally:
        process.join()
    return seconds, peak


def _watched(connection: Any, work: Callable[[Path], object], folder: Path) -> None:
    started = time.perf_counter()
    work(folder)
    connection.send((time.perf_counter() - started, peak_mb()))


def main(scale: float = 1.0) -> None:
    """Measure every size and show what each took."""
    print(f"\n{'memory':<44}{'seconds':>10}{'peak MB':>10}{'budget':>10}")
    for size in sizes(scale):
        seconds, peak = measure(size)
        print(f"{size.name:<44}{seconds:>10.1f}{peak:>10.0f}{size.budget_mb:>10}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 10M order lines and 250,000 customers")
    main(parser.parse_args().scale)
