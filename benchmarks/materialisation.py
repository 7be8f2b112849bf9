"""Materialise a day of entities, each a string key and five doubles, into Redis, PostgreSQL and SQLite.

What belongs here: this project, Feast's own command, and what the store takes at most. What does not: servers.

This project and Feast read the day from the same Delta table. The floor has everything encoded before it is timed:
Redis, HSET in the same layout without a guard; PostgreSQL, COPY of the same tuples into a table without an index;
SQLite, the same statement on the same table without a guard.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow as pa
from redis import Redis
from sqlalchemy.engine import make_url

from benchmarks.online_stores import FIRST_DAY, GROUP, STORES, Servers, applied, feature_rows, servers, write_days
from benchmarks.side_by_side import Contender, Race, race
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online import guarded_sqlite
from include.adapters.online.encoding import encode_timestamps, join_bytes
from include.adapters.online.postgres_copy import copy_stream
from include.adapters.online.redis_layout import RedisLayout, bulk
from include.adapters.online.rows import EncodedRows, encode_rows
from include.partitions import end_of, shift

_ENTITIES = 100_000
_OURS, _FEAST, _FLOOR = "this project", "feast materialize", "the floor"
_FLIGHT = 10_000
_NOWHERE = Path("/dev/null")
_WHO = ("ours", "feast", "growth", "floor")


def ours(at: Servers, store: str, who: str, size: int, slot: int, first: int) -> Callable[[], object]:
    """Materialise one day after another by this project."""
    config = at.config(store, guarded=True, name=f"{who}_{size}", number=slot)
    applied(config, _table(size))
    adapter = FeatureStoreAdapter(config)
    days = itertools.count(first)

    def run() -> object:
        day = shift(FIRST_DAY, next(days))
        return adapter.materialize(GROUP, start=day, end=day)

    return run


def feast(at: Servers, store: str, who: str, size: int, slot: int, first: int) -> Callable[[], object]:
    """Materialise one day after another by Feast with its own store."""
    feature_store = applied(at.config(store, guarded=False, name=f"{who}_{size}", number=slot), _table(size))
    days = itertools.count(first)

    def run() -> object:
        moment = end_of(shift(FIRST_DAY, next(days)))
        with _NOWHERE.open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            return feature_store.materialize(moment, moment, feature_views=[GROUP])

    return run


def floor(at: Servers, store: str, who: str, size: int, slot: int, first: int) -> Callable[[], object]:
    """Send what was encoded before."""
    described = applied(at.config("sqlite", guarded=True, name=f"{who}_{store}_{size}", number=slot), _table(size))
    rows = list(
        encode_rows(
            described.get_feature_view(GROUP),
            feature_rows(size, first),
            size=_FLIGHT,
            in_key_order=True,
            with_texts=store != "redis",
        )
    )
    url = at.url(store, f"{who}_{size}", slot)
    return {"redis": _raw_redis, "postgres": _raw_postgres, "sqlite": _raw_sqlite}[store](url, rows)


def main(scale: float = 1.0, rounds: int = 3) -> list[Race]:
    """Race into an empty store, over yesterday's rows, and at three sizes; 1 is 100k and 1M entities."""
    few, most = max(int(_ENTITIES * scale), 1000), max(int(10 * _ENTITIES * scale), 2000)
    sizes = [max(few // 10, 500), few, most]
    finished = []
    with servers() as at:
        for size in sizes:
            write_days(at.folder, _table(size), size, 2 * rounds)
        for store in STORES:
            for size in sizes:
                for who in _WHO:
                    at.create(f"{who}_{size}")
            for size in (few, most):
                finished += _races(at, store, sizes, size, rounds)
            growth = [_contender(f"{size:,} entities", "ours", at, store, "growth", sizes, size, 0) for size in sizes]
            finished.append(race(f"{store}, growth", growth, rounds=rounds, baseline=growth[0].name))
    return finished


def _races(at: Servers, store: str, sizes: list[int], size: int, rounds: int) -> list[Race]:
    names = {_OURS: "ours", _FEAST: "feast", _FLOOR: "floor"}
    title = f"{store}, {size:,} entities"
    # Feast takes minutes and gigabytes for the largest size: once, into an empty store, is enough.
    is_largest = size == sizes[-1]
    filled = 1 if is_largest else rounds

    def contenders(first: int) -> list[Contender]:
        return [
            _contender(name, setup, at, store, setup, sizes, size, first)
            for name, setup in names.items()
            if not (is_largest and first and name == _FEAST)
        ]

    def empty() -> None:
        for who in names.values():
            at.empty(store, f"{who}_{size}", _slot(sizes, size, who))

    return [
        race(f"{title}, into an empty store", contenders(0), rounds=filled, baseline=_OURS, before_round=empty),
        race(f"{title}, over the day before", contenders(filled), rounds=rounds, baseline=_OURS),
    ]


def _contender(
    name: str, setup: str, at: Servers, store: str, who: str, sizes: list[int], size: int, first: int
) -> Contender:
    slot = _slot(sizes, size, who)
    kwargs = {"at": at, "store": store, "who": who, "size": size, "slot": slot, "first": first}
    return Contender(name, f"benchmarks.materialisation:{setup}", kwargs)


def _slot(sizes: list[int], size: int, who: str) -> int:
    """Return the Redis database of a contender and size, of its own: keys are the same."""
    return 1 + sizes.index(size) + len(sizes) * _WHO.index(who)


def _table(size: int) -> str:
    return f"features/bench_{size}"


def _raw_redis(url: str, rows: list[EncodedRows]) -> Callable[[], object]:
    layout = RedisLayout("bench", GROUP)
    flights = [(len(chunk), _hset_commands(layout, chunk)) for chunk in rows]
    pool = Redis.from_url(url).connection_pool

    def run() -> None:
        connection = pool.get_connection()
        for count, commands in flights:
            connection.send_packed_command([commands])
            for _ in range(count):
                connection.read_response()
        pool.release(connection)

    return run


def _hset_commands(layout: RedisLayout, rows: EncodedRows) -> bytes:
    columns = [(layout.stamp_field, encode_timestamps(rows.event_us))]
    columns += [(layout.feature_field(name), values) for name, values in rows.values.items()]
    commands = []
    for number, key in enumerate(join_bytes(rows.keys, pa.scalar(b"bench")).to_pylist()):
        parts = [b"HSET", key, *(part for field, values in columns for part in (field, values[number].as_py()))]
        commands.append(b"*%d\r\n" % len(parts) + b"".join(map(bulk, parts)))
    return b"".join(commands)


def _raw_postgres(url: str, rows: list[EncodedRows]) -> Callable[[], object]:
    streams = [b"".join(copy_stream(chunk)) for chunk in rows]
    connection = psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
    columns = "entity_key bytea, feature_name text, value bytea, value_text text, event_ts timestamptz"
    connection.execute(f"CREATE TABLE IF NOT EXISTS floor ({columns}, created_ts timestamptz)")  # type: ignore[arg-type]
    connection.execute("TRUNCATE floor")
    connection.commit()

    def run() -> None:
        for stream in streams:
            with connection.cursor().copy("COPY floor FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(stream)
            connection.commit()

    return run


def _raw_sqlite(url: str, rows: list[EncodedRows]) -> Callable[[], object]:
    chunks = [list(guarded_sqlite.parameters(chunk)) for chunk in rows]
    upsert = guarded_sqlite.upsert_statement("floor", rows[0])
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute(
        "CREATE TABLE IF NOT EXISTS floor (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT,"
        " event_ts timestamp, created_ts timestamp, PRIMARY KEY (entity_key, feature_name))"
    )

    def run() -> None:
        for chunk in chunks:
            with connection:
                connection.executemany(upsert, chunk)

    return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 100k and 1M entities")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.scale, arguments.rounds)
