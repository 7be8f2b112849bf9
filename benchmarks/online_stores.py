"""What the races of the online stores share: servers, a lake of feature rows, and one view of five doubles.

What belongs here: what stands before a race begins. What does not: the work that is timed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.repo_config import RepoConfig
from feast.types import Float64, String
from redis import Redis
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import end_of, parse, shift
from tests.engines import postgres_server, redis_server

FIRST_DAY = "2024-01-01"
GROUP, SERVICE, KEY = "bench_daily", "bench_v1", "customer_id"
FEATURES = [f"feature_{n}" for n in range(5)]
STORES = ("redis", "postgres", "sqlite")
_GUARDED = {
    "redis": "include.adapters.online.guarded_redis.GuardedRedisOnlineStore",
    "postgres": "include.adapters.online.guarded_postgres.GuardedPostgreSQLOnlineStore",
    "sqlite": "include.adapters.online.guarded_sqlite.GuardedSqliteOnlineStore",
}


@dataclass(frozen=True)
class Servers:
    """Where the stores of one run are.

    Attributes
    ----------
    folder : Path
        Holds the lake, registries and SQLite files.
    redis_url, postgres_url : str
        Without the database's name or number in use.
    """

    folder: Path
    redis_url: str
    postgres_url: str

    def config(self, store: str, *, guarded: bool, name: str, number: int) -> RepoConfig:
        """Describe an online store of its own, at `url`."""
        return RepoConfig(
            project="bench",
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{self.folder}/{name}_registry.db"},
            online_store=(
                {"type": _GUARDED[store], "url": self.url(store, name, number)}
                if guarded
                else self._plain(store, name, number)
            ),
            offline_store={
                "type": "include.adapters.feature_store.delta_offline_store.DeltaOfflineStore",
                "lake_uri": (self.folder / "lake").as_uri(),
            },
            materialization={"pull_latest_features": True},
            entity_key_serialization_version=3,
        )

    def create(self, name: str) -> None:
        """Make an empty PostgreSQL database."""
        engine = create_engine(self.postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()

    def empty(self, store: str, name: str, number: int) -> None:
        """Take every row out of a store, and leave its tables."""
        url = self.url(store, name, number)
        if store == "redis":
            with Redis.from_url(url) as client:
                client.flushdb()
            return
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for table in inspect(connection).get_table_names():
                connection.execute(text(f"TRUNCATE {table}" if store == "postgres" else f"DELETE FROM {table}"))
            if store == "sqlite":
                connection.execute(text("VACUUM"))
        engine.dispose()

    def url(self, store: str, name: str, number: int) -> str:
        """Return the address of an online store: `name` for databases and files, `number` for Redis."""
        return {
            "redis": self.redis_url.replace("/0", f"/{number}"),
            "postgres": make_url(self.postgres_url).set(database=name).render_as_string(hide_password=False),
            "sqlite": f"sqlite:///{self.folder}/{name}.db",
        }[store]

    def _plain(self, store: str, name: str, number: int) -> dict[str, Any]:
        if store == "redis":
            address = self.redis_url.removeprefix("redis://").partition("/")[0]
            return {"type": "redis", "connection_string": f"{address},db={number}"}
        if store == "sqlite":
            return {"type": "sqlite", "path": f"{self.folder}/{name}.db"}
        url = make_url(self.postgres_url)
        return {
            "type": "postgres",
            "host": url.query["host"],
            "database": name,
            "user": url.username,
            "password": url.password or "",
            "sslmode": "prefer",
        }


@contextmanager
def servers() -> Iterator[Servers]:
    """Give running servers and a folder, all gone afterwards."""
    # A short path: a Unix socket's has at most 107 bytes.
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        redis_server(Path(folder)) as redis,
        postgres_server(Path(folder) / "pg") as postgres,
    ):
        yield Servers(Path(folder), redis.url, postgres)


def feature_rows(count: int, day: int) -> pa.Table:
    """Return one partition: `count` entities and five doubles, sorted by key."""
    rng = np.random.default_rng([count, day])
    partition = shift(FIRST_DAY, day)
    at = pa.array([end_of(partition)] * count, pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            KEY: pa.array([f"c{n:08d}" for n in range(count)]),
            "event_timestamp": at,
            "created_timestamp": at,
            **{name: rng.normal(size=count) for name in FEATURES},
            "dt": pa.array([parse(partition)] * count, pa.date32()),
        }
    )


def write_days(folder: Path, table: str, count: int, days: int) -> None:
    """Write `days` partitions of `count` entities to a table of the lake."""
    lake = LakeAdapter((folder / "lake").as_uri())
    for day in range(days):
        lake.replace(table, feature_rows(count, day), keys=[shift(FIRST_DAY, day)])


def applied(config: RepoConfig, table: str) -> FeatureStore:
    """Declare the view on a table of the lake, and a service on it, and make the online tables."""
    logging.getLogger("feast").setLevel(logging.ERROR)
    entity = Entity(name="customer", join_keys=[KEY], value_type=ValueType.STRING)
    view = FeatureView(
        name=GROUP,
        entities=[entity],
        ttl=timedelta(days=3650),
        schema=[Field(name=KEY, dtype=String), *(Field(name=name, dtype=Float64) for name in FEATURES)],
        source=FileSource(path=table, timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"),
        online=True,
    )
    store = FeatureStore(config=config)
    with contextlib.redirect_stdout(None):
        store.apply([entity, view, FeatureService(name=SERVICE, features=[view])])
    return store
