"""Rows of the table ``raw/orders``, built by hand or by seed, and a lake where they have arrived."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.adapters.lake.delta_lake import LakeAdapter
from include.specs import lake_tables
from include.specs.sources import load_source
from include.tables import TableSpec

SOURCE = load_source("orders")
ORDERS, QUARANTINE, DELIVERIES = SOURCE.raw, SOURCE.quarantine, SOURCE.deliveries

SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        "line": pa.int64(),
        "customer_id": pa.string(),
        "ordered_at": pa.timestamp("us", tz="UTC"),
        "product_id": pa.string(),
        "category": pa.string(),
        "quantity": pa.int64(),
        "unit_price": pa.float64(),
        "country": pa.string(),
        "received_at": pa.timestamp("us", tz="UTC"),
        "kind": pa.string(),
        "ref_order_id": pa.string(),
        "dt": pa.date32(),
    }
)


def line(ordered_at: str, *, customer: str = "c1", order: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return one order line; by default a sale of one product at 10, an order of its own, received at its day's end."""
    at = datetime.fromisoformat(ordered_at).replace(tzinfo=UTC)
    return {
        "order_id": order or f"{customer}@{ordered_at}",
        "line": 1,
        "customer_id": customer,
        "ordered_at": at,
        "product_id": "p1",
        "category": None,
        "quantity": 1,
        "unit_price": 10.0,
        "country": "GB",
        "received_at": at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1),
        "kind": "sale",
        "ref_order_id": None,
        "dt": at.date(),
        **changes,
    }


def orders(*lines: dict[str, Any]) -> pa.Table:
    """Return lines as a table."""
    return pa.Table.from_pylist(list(lines), schema=SCHEMA)


def random_orders(*, rows: int, customers: int, first_day: str, days: int, seed: int) -> pa.Table:
    """Return seeded lines of every kind; some orders have several lines, some are received late."""
    rng = np.random.default_rng(seed)
    start = datetime.fromisoformat(first_day)
    lines = []
    for n in range(rows):
        at = start + timedelta(seconds=int(rng.integers(days * 86_400)))
        made = line(
            at.isoformat(),
            customer=f"c{rng.integers(customers)}",
            order=f"o{n if rng.random() < 0.5 else max(0, n - 1)}",
            product_id=f"p{rng.integers(12)}" if rng.random() < 0.95 else None,
            quantity=int(rng.integers(1, 9)),
            unit_price=float(np.round(rng.random() * 20, 2)),
            kind=str(rng.choice(["sale", "sale", "sale", "cancellation", "return", "dispute"])),
        )
        made["received_at"] += timedelta(days=int(rng.integers(4)) * int(rng.random() < 0.2))
        lines.append({**made, "line": n})
    return orders(*lines)


def as_raw(made: pa.Table) -> pa.Table:
    """Return orders of a file as the table has them: sales, each received when its day was over."""
    days = made["ordered_at"].cast(pa.date32())
    received = pc.add(days.cast(pa.timestamp("us", tz="UTC")), pa.scalar(timedelta(days=1), pa.duration("us")))
    columns = {
        **{name: made[name] for name in made.column_names},
        "received_at": received,
        "kind": pa.array(["sale"] * made.num_rows),
        "ref_order_id": pa.nulls(made.num_rows, pa.string()),
        "dt": days,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def add_tables(monkeypatch: pytest.MonkeyPatch, *added: TableSpec) -> None:
    """Let the specs name more tables, for whoever asks."""
    listed = lake_tables.list_tables
    found = [*listed(), *added]
    for module in list(sys.modules.values()):
        if vars(module).get("list_tables") is listed:
            monkeypatch.setattr(module, "list_tables", lambda: found)


def publish_source(lake: LakeAdapter, raw: pa.Table) -> None:
    """Write orders into a lake, and that every day from the first to the last of them was delivered."""
    days = sorted(map(str, raw["dt"].unique().to_pylist()))
    lake.replace("raw/orders", raw, keys=days)
    keys = partitions.span(days[0], days[-1])
    arrived = pa.array([partitions.parse(key) for key in keys])
    counts = {"rows_in": 1, "rows_published": 1, "rows_quarantined": 0, "rejected_corrections": 0}
    columns = {name: pa.array([count] * len(keys)) for name, count in counts.items()}
    columns["has_arrived"] = pa.array([True] * len(keys))
    months = pa.array([key[:7] for key in keys])
    records = pa.table({"month": months, "dt": arrived, "delivered": pa.array(keys), **columns})

    def beside_other_days(present: pa.Table | None) -> pa.Table:
        if present is None:
            return records
        others = present.filter(pc.invert(pc.is_in(present["dt"], arrived)))
        return pa.concat_tables([others, records.select(present.column_names).cast(present.schema)])

    lake.update("deliveries/orders", months.unique().to_pylist(), beside_other_days, partition_by="month")
