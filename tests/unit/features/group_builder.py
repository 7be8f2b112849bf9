"""A small feature group, and rows of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

from include.features.checks import expected_schema
from include.partitions import end_of
from include.specs.groups import ColumnSpec, EntitySpec, FeatureGroupSpec, VolumeSpec


def group(**changes: Any) -> FeatureGroupSpec:
    """Return a group with a column of 0 to 10 orders and one of gaps, of which half may be null."""
    orders = ColumnSpec(name="orders", dtype="int64", unit="orders", meaning="", min=0, max=10)
    gap = ColumnSpec(name="gap", dtype="float32", unit="days", meaning="", min=0, nulls_max=0.5)
    values: dict[str, Any] = {
        "group": "g",
        "description": "",
        "owner": "o",
        "entity": EntitySpec(name="customer", keys=("customer_id",)),
        "sources": ("orders",),
        "ttl_days": 1,
        "freshness_days": 3,
        "volume": VolumeSpec(rows_min=10, ratio_min=0.5, ratio_max=2.0),
        "columns": (orders, gap),
        **changes,
    }
    return FeatureGroupSpec(**values)


def rows_of(day: str, count: int, *, late: timedelta = timedelta(0), **columns: list[Any]) -> pa.Table:
    """Return `count` customers of a day, every value 1 but for what `columns` say."""
    at: datetime = end_of(day)
    made = {
        "customer_id": [f"c{n:04d}" for n in range(count)],
        "event_timestamp": [at] * count,
        "created_timestamp": [at + late] * count,
        "orders": [1] * count,
        "gap": [1.0] * count,
        "dt": [date.fromisoformat(day)] * count,
        **columns,
    }
    return pa.table(made, schema=expected_schema(group()))
