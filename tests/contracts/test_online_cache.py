"""What was read online answers again for a while, in the process and in a Redis for all: the same rules."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pytest
from redis import Redis

from include.adapters.online.open_store import open_shared_cache
from include.adapters.online.reading import OnlineColumn, OnlineFeatures
from include.adapters.online.shared_cache import SharedCache
from include.errors import UsageError
from include.serving.feature_rows import FeatureRow
from include.serving.online_features import OnlineFeatureReader, ReadPlan
from include.serving.shared_rows import SharedRows
from include.specs.serving_section import ServingSpec
from tests.engines import RedisServer

TTL_US = 3_600_000_000
WHERE = ("process", "redis")


@dataclass
class Store:
    """A store that knows everybody but `nobody`, since a time, and counts what it is asked."""

    since_us: int = field(default_factory=lambda: now_us() - 1000)
    asked: list[str] = field(default_factory=list)

    def read(self, keys: Sequence[str], *, at: datetime) -> OnlineFeatures:
        self.asked += keys
        events = [None if key == "nobody" else self.since_us for key in keys]
        status = ["missing" if event is None else "present" for event in events]
        values = {"a": [None if key == "nobody" else -0.0 for key in keys], "b": [None for _ in keys]}
        columns = {name: OnlineColumn(pa.float64(), each, status, events, events) for name, each in values.items()}
        return OnlineFeatures(("customer_id",), tuple(keys), columns, ())


def now_us() -> int:
    return time.time_ns() // 1000


@contextmanager
def reading(
    store: Store, where: str, url: str, *, seconds: float = 60.0, kind: str = "k", wait_s: float = 30.0, **more: bool
) -> Iterator[OnlineFeatureReader]:
    plan = ReadPlan(lambda: store, ("a", "b"), ("a", "b"), None, {"a": TTL_US, "b": 2 * TTL_US}, kind)
    shared = SharedRows(SharedCache(url, timeout_s=wait_s), kind, seconds)
    kept = {"cache_s": seconds} if where == "process" else {"shared": shared}
    reader = OnlineFeatureReader(plan, **kept, **more)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()


def read(reader: OnlineFeatureReader, *keys: str, at: datetime | None = None) -> list[FeatureRow]:
    return asyncio.run(reader.read(keys, at=at, timeout_s=30))


@pytest.mark.parametrize("where", WHERE)
def test_a_row_that_was_read_answers_again_as_it_was(redis_database: str, where: str) -> None:
    store = Store()
    with reading(store, where, redis_database) as reader:
        (first,) = read(reader, "x")
        again, other, once_more = read(reader, "x", "y", "x")

    assert store.asked == ["x", "y"]
    assert [row.source for row in (first, again, other, once_more)] == ["store", "cache", "store", "cache"]
    assert math.copysign(1, again.values[0]) == -1
    assert math.isnan(again.values[1])
    told = ("standing", "event_us", "status", "events")
    assert [getattr(again, name) for name in told] == [getattr(first, name) for name in told]


@pytest.mark.parametrize("where", WHERE)
def test_a_row_answers_no_longer_than_the_spec_and_its_ttl_say(redis_database: str, where: str) -> None:
    young = Store()
    with reading(young, where, redis_database, seconds=0.03) as reader:
        read(reader, "x")
        time.sleep(0.04)
        (row,) = read(reader, "x")
    old = Store(since_us=now_us() - TTL_US + 100_000)
    with reading(old, where, redis_database, kind="another") as reader:
        read(reader, "x")
        time.sleep(0.11)
        read(reader, "x")

    assert (row.source, young.asked) == ("store", ["x", "x"])
    assert old.asked == ["x", "x"]


@pytest.mark.parametrize("where", WHERE)
def test_another_time_and_who_is_not_known_are_always_read(redis_database: str, where: str) -> None:
    store = Store()
    with reading(store, where, redis_database) as reader:
        for at in (None, datetime(2026, 1, 1, tzinfo=UTC)):
            read(reader, "x", at=at)
        for _ in range(2):
            read(reader, "nobody")

    assert store.asked == ["x", "x", "nobody", "nobody"]
    with Redis.from_url(redis_database) as client:
        assert client.keys("*nobody") == []


def test_processes_share_rows_that_are_read_alike_and_no_others(redis_database: str) -> None:
    first, second, other = Store(), Store(), Store()
    with reading(first, "redis", redis_database) as reader:
        read(reader, "x", "y")
    with reading(second, "redis", redis_database, keeps_last=True) as reader:
        (row,) = read(reader, "x")
        last = reader.last(["x"])
    with reading(other, "redis", redis_database, kind="another") as reader:
        read(reader, "x")

    assert (row.source, second.asked, other.asked) == ("cache", [], ["x"])
    assert last is not None
    assert last[0].source == "last"


def test_a_row_is_as_old_as_the_question_it_was_read_for(redis_database: str) -> None:
    row = FeatureRow(*read_once(redis_database), "cache")
    cache = SharedCache(redis_database, timeout_s=30)

    def found_after(read_us: int, seconds: float) -> bool:
        SharedRows(cache, "age", 3600).keep({"x": row}, read_us=read_us)
        return "x" in SharedRows(cache, "age", seconds).find(["x"])

    assert found_after(now_us() - 50_000_000, 100)
    # Written late, by whatever clock Redis has; and by a clock that is ahead.
    assert not found_after(now_us() - 50_000_000, 10)
    assert not found_after(now_us() + 50_000_000, 100)
    with Redis.from_url(redis_database) as client:
        (key,) = client.keys("*:age:*")
        SharedRows(cache, "age", 20).keep({"x": row}, read_us=now_us() - 15_000_000)
        assert 0 < client.pttl(key) <= 5_000
        client.set(key, b"of somebody else")
    assert SharedRows(cache, "age", 100).find(["x"]) == {}


def read_once(url: str) -> tuple:
    with reading(Store(), "redis", url, kind="once") as reader:
        (row,) = read(reader, "x")
    return row.values, row.standing, row.event_us, row.status, row.events


def test_a_redis_that_hangs_is_done_without(redis: RedisServer, redis_database: str, caplog) -> None:
    store = Store()
    with reading(store, "redis", redis_database, wait_s=0.02) as reader:
        read(reader, "x")
        redis.process.send_signal(signal.SIGSTOP)
        try:
            rows = [row for _ in range(3) for row in read(reader, "x")]
        finally:
            redis.process.send_signal(signal.SIGCONT)

    assert [row.source for row in rows] == ["store"] * 3
    assert caplog.text.count("is done without") == 1


def test_it_is_refused_where_the_store_is_a_redis_or_there_is_none(redis_database: str) -> None:
    def of(online: str, cache: str | None) -> SimpleNamespace:
        return SimpleNamespace(feast_online_url=online, serving_cache_url=cache)

    with pytest.raises(UsageError, match="MLOPS_FEAST_ONLINE_URL is a Redis itself; write cache_in: process"):
        open_shared_cache(of(redis_database, redis_database))
    with pytest.raises(UsageError, match="MLOPS_SERVING_CACHE_URL, which is not set"):
        open_shared_cache(of("sqlite:///x", None))
    with pytest.raises(ValueError, match="nothing is kept; write seconds above 0"):
        ServingSpec(cache_in="redis")
    assert open_shared_cache(of("sqlite:///x", redis_database)).find([b"x"]) == [None]
