"""What tests of the online stores share: the stores, a deployment's settings, feature rows, and what a store holds.

A new store joins every suite about them by one entry in `ONLINE_STORES`, under the name that its URLs begin with, and
by a fixture of its server in ``tests/conftest.py`` where it has one. That none is forgotten is a test
(``tests/contracts/test_online_store_guard.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from redis import Redis
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import end_of, parse
from include.settings import Settings
from include.specs.groups import load_feature_group
from tests.databases import make_database

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


@dataclass(frozen=True)
class OnlineStoreUnderTest:
    """An online store, as the suites use it.

    Attributes
    ----------
    settings : callable
        From a fixture's request and a folder: settings of a deployment with a store of its own, empty.
    plain : type
        Feast's own store of that kind, whose layout ours keeps.
    held : callable
        From a URL and a group: everything that the store holds by its key; of a SQL store, in the group's table.
    cleared : callable
        Empties the store behind a URL, and leaves its tables.
    dropped : callable
        Takes a group's table away too, where the store has tables.
    without_guard : callable
        From what is held: what Feast's own store would hold.
    """

    settings: Callable[[pytest.FixtureRequest, Path], Settings]
    plain: type[OnlineStore]
    held: Callable[[str, str], Mapping[object, object]]
    cleared: Callable[[str], None]
    dropped: Callable[[str, str], None]
    without_guard: Callable[[Mapping[object, object]], Mapping[object, object]]


def store_under_test(settings: Settings) -> OnlineStoreUnderTest:
    """Return the entry of the store that settings name."""
    return ONLINE_STORES[make_url(settings.feast_online_url).get_backend_name()]


def stored(settings: Settings, *, with_guard: bool = True, group: str = GROUP) -> Mapping[object, object]:
    """Return everything that an online store holds by its key; of a SQL store, in the group's table."""
    store = store_under_test(settings)
    held = store.held(settings.feast_online_url, group)
    return held if with_guard else store.without_guard(held)


def clear(settings: Settings) -> None:
    """Empty an online store, and leave its tables."""
    store_under_test(settings).cleared(settings.feast_online_url)


def _sqlite(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return store_settings(folder, f"sqlite:///{folder}/feast/online.db")


def _postgres(request: pytest.FixtureRequest, folder: Path) -> Settings:
    name = f"online_{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"
    url = make_database(request.getfixturevalue("postgres_url"), name)
    return store_settings(folder, url, url)


def _redis(request: pytest.FixtureRequest, folder: Path) -> Settings:
    return store_settings(folder, request.getfixturevalue("redis").url)


def _rows_held(url: str, group: str) -> Mapping[object, object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM mlops_{group} ORDER BY entity_key, feature_name")).fetchall()
    engine.dispose()
    return {(bytes(row[0]), row[1]): tuple(row[2:]) for row in rows}


def _hashes_held(url: str, group: str) -> Mapping[object, object]:
    with Redis.from_url(url) as client:
        return {key: client.hgetall(key) for key in sorted(client.keys("*"))}


def _delete_rows(url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            if table.startswith("mlops_"):
                connection.execute(text(f"DELETE FROM {table}"))
    engine.dispose()


def _flush(url: str) -> None:
    with Redis.from_url(url) as client:
        client.flushall()


def _drop_table(url: str, group: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE mlops_{group}"))
    engine.dispose()


def _without_guard_fields(held: Mapping[object, object]) -> Mapping[object, object]:
    rows: Mapping[object, Mapping[bytes, bytes]] = held  # type: ignore[assignment]
    return {key: {f: v for f, v in row.items() if not f.startswith(b"_guard:")} for key, row in rows.items()}


_IN_TABLES = {
    "held": _rows_held,
    "cleared": _delete_rows,
    "dropped": _drop_table,
    # The guard is a trigger there, and no row.
    "without_guard": lambda held: held,
}
_IN_REDIS = {
    "held": _hashes_held,
    "cleared": _flush,
    "dropped": lambda url, group: None,
    "without_guard": _without_guard_fields,
}
ONLINE_STORES: Mapping[str, OnlineStoreUnderTest] = {
    "sqlite": OnlineStoreUnderTest(settings=_sqlite, plain=SqliteOnlineStore, **_IN_TABLES),
    "postgresql": OnlineStoreUnderTest(settings=_postgres, plain=PostgreSQLOnlineStore, **_IN_TABLES),
    "redis": OnlineStoreUnderTest(settings=_redis, plain=RedisOnlineStore, **_IN_REDIS),
}


def _dtype(name: str) -> pa.DataType:
    return {"int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(), "string": pa.string()}[name]
