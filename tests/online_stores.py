"""What tests of the online stores share: a deployment's settings per store, feature rows, and what a store holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from redis import Redis
from sqlalchemy import create_engine, inspect, text

from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import end_of, parse
from include.settings import Settings
from include.specs.groups import load_feature_group

GROUP, SERVICE, KEY = "customer_daily", "churn_v1", "customer_id"
FEATURE = "total_orders_30d"
TABLE = f"mlops_{GROUP}"
_INSTANT = pa.timestamp("us", tz="UTC")


def store_settings(folder: Path, online_url: str, registry_url: str | None = None) -> Settings:
    """Return settings with a lake and a registry in `folder`."""
    return replace(
        Settings.from_env({}),
        lake_uri=(folder / "lake").as_uri(),
        feast_registry_url=registry_url or f"sqlite:///{folder}/feast/registry.db",
        feast_online_url=online_url,
    )


def feature_rows(
    keys: Sequence[str],
    partition: str,
    *,
    created_after: timedelta = timedelta(0),
    event_at: datetime | None = None,
    seed: int = 0,
    **columns: Sequence[object],
) -> pa.Table:
    """Return rows of the group's table: seeded values with some nulls, `columns` in their place where given."""
    spec = load_feature_group(GROUP)
    rng = np.random.default_rng([seed, *parse(partition).timetuple()[:3]])
    at = event_at or end_of(partition)
    count = len(keys)
    features = {
        column.name: pa.array(
            columns[column.name] if column.name in columns else rng.integers(0, 10**6, count), _dtype(column.dtype)
        )
        for column in spec.columns
    }
    holes = rng.random(count) < 0.2
    for name, dtype in ((c.name, c.dtype) for c in spec.columns if c.name not in columns and c.dtype != "int64"):
        numbers = rng.normal(size=count) * 10.0 ** rng.integers(-6, 12, count)
        features[name] = pa.array(numbers, _dtype(dtype), mask=holes)
    return pa.table(
        {
            KEY: pa.array(keys, pa.string()),
            "event_timestamp": pa.array([at] * count, _INSTANT),
            "created_timestamp": pa.array([at + created_after] * count, _INSTANT),
            **features,
            "dt": pa.array([parse(partition)] * count, pa.date32()),
        }
    )


def publish(settings: Settings, *tables: pa.Table, group: str = GROUP) -> None:
    """Write rows to a group's table, replacing the partitions that they lie in."""
    rows = pa.concat_tables(tables)
    days: list[date] = rows["dt"].unique().to_pylist()
    LakeAdapter.from_settings(settings).replace(
        load_feature_group(group).table, rows, keys=[day.isoformat() for day in days]
    )


def stored(settings: Settings, *, with_guard: bool = True, group: str = GROUP) -> Mapping[object, object]:
    """Return everything that an online store holds by its key; of a SQL store, in the group's table."""
    if settings.feast_online_url.startswith("redis"):
        with Redis.from_url(settings.feast_online_url) as client:
            found = {key: client.hgetall(key) for key in sorted(client.keys("*"))}
        if with_guard:
            return found
        return {key: {f: v for f, v in row.items() if not f.startswith(b"_guard:")} for key, row in found.items()}
    engine = create_engine(settings.feast_online_url)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM mlops_{group} ORDER BY entity_key, feature_name")).fetchall()
    engine.dispose()
    return {(bytes(row[0]), row[1]): tuple(row[2:]) for row in rows}


def clear(settings: Settings) -> None:
    """Empty an online store, and leave its tables."""
    if settings.feast_online_url.startswith("redis"):
        with Redis.from_url(settings.feast_online_url) as client:
            client.flushall()
        return
    engine = create_engine(settings.feast_online_url)
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            if table.startswith("mlops_"):
                connection.execute(text(f"DELETE FROM {table}"))
    engine.dispose()


def _dtype(name: str) -> pa.DataType:
    return {"int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(), "string": pa.string()}[name]
