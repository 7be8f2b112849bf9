"""The shop, day by day: what really happened, before anything goes wrong on the way.

What belongs here: the order of a day's draws, and the incidents that change what customers do. What does
not: what is delivered of it, and when (`deliveries`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.simulation.baskets import CATEGORIES, COUNTRIES, ORDER_LINES, Baskets, customer_ids
from include.simulation.incidents import Incident, IncidentKind
from include.simulation.purchases import PurchaseProcess
from include.simulation.world import World

_WHO, _WHAT, _WHOM, _DELIVERY = 1, 2, 3, 4
_EPOCH = date(1970, 1, 1)
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class ShopDay:
    """One day of the shop.

    Attributes
    ----------
    day : str
        Partition key.
    lines : pyarrow.Table
        Every order line of the day as `ORDER_LINES`, sorted by time; ``received_at`` is null.
    truth : pyarrow.Table
        Its orders as `ORDER_TRUTH`.
    """

    day: str
    lines: pa.Table
    truth: pa.Table


class Shop:
    """A shop that opens on `start`.

    Parameters
    ----------
    world : World
        Its parameters.
    seed : int
        The same seed gives the same shop. Each day draws from streams of its own, so an incident changes
        nothing before its day, and one that changes prices nothing but prices and, by them, disputes.
    start : str
        Partition key of the first day.
    incidents : sequence of Incident
        Those that last change what happens; the others are not looked at.
    """

    def __init__(self, world: World, *, seed: int, start: str, incidents: Sequence[Incident] = ()) -> None:
        self.world = world
        self.seed = seed
        self.start = start
        self.incidents = [incident for incident in incidents if incident.lasts]
        self.purchases = PurchaseProcess(world)
        self.baskets = Baskets(world)
        self._pending = ORDER_LINES.empty_table()

    def days(self, end: str) -> Iterator[ShopDay]:
        """Yield the days from the first to `end`, both included; once."""
        for number, day in enumerate(partitions.span(self.start, end)):
            yield self._next(number, day)

    def customers(self) -> pa.Table:
        """Return the truth of every customer so far: rates, drop-out, mean order value, tastes by category."""
        process, baskets = self.purchases, self.baskets
        first = partitions.parse(self.start)
        dropped = process.dropped_day
        return pa.table(
            {
                "customer_id": customer_ids(np.arange(len(process.rate))),
                "arrived_on": _days(first, process.arrived_day),
                "dropped_on": pc.if_else(pa.array(dropped >= 0), _days(first, dropped), pa.scalar(None, pa.date32())),
                "orders_per_day": process.rate,
                "dropout_probability": process.dropout,
                "mean_order_value": self.world.spend_shape / baskets.value_rate,
                "country": pa.array(COUNTRIES).take(pa.array(baskets.country)),
                "taste": pa.FixedSizeListArray.from_arrays(pa.array(baskets.tastes().ravel()), len(CATEGORIES)),
            }
        )

    def delivery_rng(self, number: int) -> np.random.Generator:
        """Return what chooses the rows that go astray on the way from the shop's day `number`, counted from 0."""
        return self._rng(_DELIVERY, number)

    def _next(self, number: int, day: str) -> ShopDay:
        who = self.purchases.next_day(
            self.world.season(partitions.parse(day)),
            self._rng(_WHO, number),
            arrivals=float(np.prod(self._sizes("campaign", day))),
            dropout_min=max(self._sizes("churn_drift", day), default=0.0),
        )
        self.baskets.add_customers(who.arrived, self._rng(_WHOM, number))
        start_us = (partitions.parse(day) - _EPOCH).days * _DAY_US
        filled = self.baskets.fill(
            start_us, who, self._rng(_WHAT, number), prices=float(np.prod(self._sizes("price_drift", day)))
        )
        pending = pa.concat_tables([self._pending, filled.undone])
        is_due = pc.less(pending["ordered_at"].cast(pa.int64()), start_us + _DAY_US)
        self._pending = pending.filter(pc.invert(is_due)).combine_chunks()
        lines = pa.concat_tables([filled.lines, pending.filter(is_due)])
        return ShopDay(
            day,
            lines.sort_by([("ordered_at", "ascending"), ("order_id", "ascending"), ("line", "ascending")]),
            filled.truth,
        )

    def _sizes(self, kind: IncidentKind, day: str) -> list[float]:
        return [incident.size for incident in self.incidents if incident.kind == kind and incident.day <= day]

    def _rng(self, stream: int, day: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence((self.seed, stream, day))))


def _days(first: date, numbers: np.ndarray) -> pa.Array:
    return pa.array((first - _EPOCH).days + numbers.astype(np.int32)).cast(pa.date32())
