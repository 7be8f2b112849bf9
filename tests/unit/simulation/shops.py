"""Days of a small simulated shop, for the tests of what becomes of them."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from include import partitions
from include.simulation.incidents import parse_incident
from include.simulation.shop import Shop, ShopDay
from include.simulation.world import World

START = "2026-01-01"
BUSY = replace(World(), arrivals_per_day=40.0)


def open_shop(*incidents: str, seed: int = 1, world: World = BUSY) -> Shop:
    """Return a shop, with incidents as the command line takes them."""
    return Shop(world, seed=seed, start=START, incidents=[parse_incident(text) for text in incidents])


def sell_days(days: int, *incidents: str, seed: int = 1) -> list[ShopDay]:
    """Return the first days of a shop."""
    return list(open_shop(*incidents, seed=seed).days(partitions.shift(START, days - 1)))


def all_lines(days: list[ShopDay]) -> pa.Table:
    """Return the lines of all days."""
    return pa.concat_tables([day.lines for day in days]).combine_chunks()
