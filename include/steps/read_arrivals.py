"""Read what came of a model's sources: the night's delivery, how many rows each day had, and what is watched of them.

What belongs here: the log of deliveries and the tables of sources in, plain values out. What does not: judging them
(``monitoring.data_quality``).
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.monitoring.data_quality import Delivery
from include.monitoring.volume import REFERENCE_DAYS
from include.monitoring.watched import Watched
from include.specs.models import ModelSpec
from include.specs.source_rules import DAY
from include.specs.sources import SourceSpec

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_ACCOUNTED = ("rows_in", "rows_published", "rows_quarantined", "rejected_corrections")


def read_delivery(deployment: Deployment, source: SourceSpec, partition: str) -> Delivery | None:
    """Return the account of the night's own delivery; None where the day came with a file import, or didn't."""
    if not deployment.lake.exists(source.deliveries.name):
        return None
    own = pa.array(map(partitions.parse, source.partitions_of(partition)), pa.date32())
    records = deployment.lake.read(source.deliveries.name, columns=[DAY, "delivered", *_ACCOUNTED])
    account = records.filter(pc.and_(pc.equal(records["delivered"], partition), pc.is_in(records[DAY], own)))
    if account.num_rows == 0:
        return None
    return Delivery(*(int(pc.sum(account[name]).as_py()) for name in _ACCOUNTED))


def read_rows_delivered(deployment: Deployment, source: SourceSpec, *, until: str) -> dict[str, int]:
    """Return the rows that each day of the deliverer's clock up to one was delivered with.

    Of a day that has a delivery of its own, those of that day in it, else those that the history which holds it has of
    the UTC day of its name. A day that has none, after the first that has, is 0.
    """
    if not deployment.lake.exists(source.deliveries.name):
        return {}
    records = deployment.lake.read(source.deliveries.name, columns=[DAY, "delivered", "has_arrived", "rows_in"])
    own: Counter[str] = Counter()
    history: Counter[str] = Counter()
    parts = cache(source.partitions_of)
    for record in records.to_pylist():
        day, delivered = record[DAY].isoformat(), record["delivered"]
        if delivered is None and record["has_arrived"]:
            history[day] += record["rows_in"]
        elif delivered is not None and day in parts(delivered):
            own[delivered] += record["rows_in"]
    known = {**history, **own}
    first = min(known, default=until)
    return {day: known.get(day, 0) for day in partitions.span(first, until)} if known and first <= until else {}


def read_watched(deployment: Deployment, spec: ModelSpec, source: SourceSpec, partition: str) -> list[Watched]:
    """Return what is watched of a source, on each day that is judged, and on those before."""
    if not deployment.lake.exists(source.raw.name):
        return []
    first = partitions.shift(partition, -(spec.monitoring.price_days + REFERENCE_DAYS))
    found = []
    for watched in source.watched:
        wanted = dict.fromkeys([DAY, watched.column, *([watched.where.column] if watched.where else [])])
        rows = deployment.lake.read(source.raw.name, start=first, end=partition, columns=list(wanted))
        if watched.where is not None:
            rows = rows.filter(pc.equal(rows[watched.where.column], watched.where.is_))
        by_day = rows.group_by(DAY).aggregate([(watched.column, "approximate_median"), (watched.column, "count")])
        days = [day.isoformat() for day in by_day[DAY].to_pylist()]
        medians = by_day[f"{watched.column}_approximate_median"].to_pylist()
        found.append(
            Watched(
                watched.name,
                {day: float(value) for day, value in zip(days, medians, strict=True) if value is not None},
                dict(zip(days, by_day[f"{watched.column}_count"].to_pylist(), strict=True)),
            )
        )
    return found
