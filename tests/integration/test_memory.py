"""A long backfill holds a portion at a time, however many it has built."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pyarrow as pa
import pytest

from include import partitions
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.steps import build_features as build_features_module
from include.steps.build_features import build_features
from tests.raw_orders import line, orders, publish_source
from tests.unit.steps.fakes import FakeDeployment

CUSTOMERS, DAYS_OF_A_PORTION, PORTIONS = 20_000, 2, 16
START = "2024-01-05"
END = partitions.shift(START, DAYS_OF_A_PORTION * PORTIONS - 1)
# Twelve features of eight bytes: what one portion was leaving behind.
MB_OF_A_PORTION = CUSTOMERS * DAYS_OF_A_PORTION * 12 * 8 / 1e6


class Watched(DuckDbCompute):
    """DuckDB, and what the process holds whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.held_mb: list[float] = []

    def run_select(self, *args: Any, **options: Any) -> pa.Table:
        # What nobody refers to, and what is freed and kept for the next who asks for memory, is not held.
        gc.collect()
        pa.default_memory_pool().release_unused()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        self.held_mb.append(psutil.Process().memory_info().rss / 1e6)
        return super().run_select(*args, **options)


def build(folder: Path, connection: Any) -> None:
    deployment: Any = FakeDeployment(folder)
    deployment.compute = Watched()
    build_features_module.ROWS_AT_ONCE = (CUSTOMERS + 1) * DAYS_OF_A_PORTION
    build_features(deployment, "customer_daily", start=START, end=END)
    connection.send(deployment.compute.held_mb)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Return a lake whose customers have all bought once, before the days that are built."""
    folder = tmp_path / "lake"
    customers = pa.array([f"c{n:06}" for n in range(CUSTOMERS)])
    bought = orders(line("2024-01-02T10:00:00")).take(pa.array([0] * CUSTOMERS))
    for place in map(bought.column_names.index, ("order_id", "customer_id")):
        bought = bought.set_column(place, bought.field(place), customers)
    shop_is_open = orders(*(line(day) for day in partitions.span(START, END)))
    publish_source(FakeDeployment(folder).lake, pa.concat_tables([bought, shop_is_open]))
    return folder


def test_a_backfill_holds_no_more_after_twice_the_portions(lake: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=build, args=(lake, theirs))
    process.start()
    theirs.close()
    held = ours.recv()
    process.join()
    quarter = len(held) // 4

    assert len(held) == PORTIONS + 1
    # The first quarter warms up. From the second to the last there are nine portions: one that left its rows behind
    # each time would hold them all; what a build holds differs by two or three of them from one moment to another.
    grown = median(held[-quarter:]) - median(held[quarter : 2 * quarter])
    assert grown < 4.5 * MB_OF_A_PORTION, held
