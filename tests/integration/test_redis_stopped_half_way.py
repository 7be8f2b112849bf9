"""Redis goes away half-way through a materialisation: one clear message, and the repeat completes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from feast import FeatureStore
from redis import Redis

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online import guarded_redis
from include.errors import MlopsError
from include.partitions import end_of
from include.settings import Settings
from tests.engines import RedisServer, redis_server
from tests.online_stores import FEATURE, GROUP, feature_rows, publish, store_settings

DAY = "2024-01-01"
KEYS = [f"c{n:04d}" for n in range(1000)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@pytest.fixture
def settings(server: RedisServer, tmp_path: Path) -> Settings:
    return store_settings(tmp_path, server.url)


@pytest.fixture
def store(settings: Settings) -> FeatureStoreAdapter:
    """A store that holds a row of `c0001` which is newer than the day to be materialised."""
    adapter = FeatureStoreAdapter.from_settings(settings)
    adapter.apply()
    publish(settings, feature_rows(KEYS, DAY, **{FEATURE: range(1000)}))
    put_newer(adapter)
    return adapter


def put_newer(store: FeatureStoreAdapter) -> None:
    newer = feature_rows(["c0001"], DAY, event_at=end_of(DAY) + timedelta(hours=1), **{FEATURE: [5000]})
    FeatureStore(config=store.config).write_to_online_store(GROUP, newer.drop_columns(["dt"]).to_pandas())


def interrupt(monkeypatch: pytest.MonkeyPatch, *, at_flight: int, by: Callable[[], object]) -> None:
    """Do something to the server when a flight of a hundred rows is about to leave."""
    monkeypatch.setattr(guarded_redis, "_ROWS_PER_FLIGHT", 100)
    write_calls = guarded_redis.write_calls
    flights: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        flights.append(1)
        if len(flights) == at_flight:
            by()
        return write_calls(*args, **kwargs)

    monkeypatch.setattr(guarded_redis, "write_calls", counted)


def read(store: FeatureStoreAdapter) -> list[object]:
    values: list[object] = store.online_group(GROUP, KEYS, at=end_of(DAY)).values[FEATURE].to_pylist()
    return values


def test_a_server_that_died_is_one_message_and_the_repeat_on_another_completes_it(
    store: FeatureStoreAdapter, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, at_flight=5, by=server.kill)

    with pytest.raises(
        MlopsError,
        match=rf"materialising {GROUP} of {DAY} … {DAY} stopped after 400 of 1,000 entities: .*"
        r"MLOPS_FEAST_ONLINE_URL\), then repeat this call to complete it",
    ):
        store.materialize(GROUP, start=DAY, end=DAY)
    with pytest.raises(MlopsError, match="stopped after 0 of 1,000 entities"):
        store.materialize(GROUP, start=DAY, end=DAY)

    server.start()
    assert store.materialize(GROUP, start=DAY, end=DAY) == 1000
    assert read(store) == list(range(1000))


def test_a_cut_connection_loses_nothing_newer_and_the_repeat_completes_it(
    store: FeatureStoreAdapter, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut() -> None:
        with Redis.from_url(server.url) as client:
            client.client_kill_filter(_type="normal", skipme=True)

    interrupt(monkeypatch, at_flight=5, by=cut)

    with pytest.raises(MlopsError, match="stopped after 400 of 1,000 entities"):
        store.materialize(GROUP, start=DAY, end=DAY)
    written = [value for value in read(store) if value is not None]
    assert 400 <= len(written) < 1000

    assert store.materialize(GROUP, start=DAY, end=DAY) == 1000
    assert read(store) == [0, 5000, *range(2, 1000)]


def test_a_server_without_memory_says_so_and_the_repeat_completes_it(
    store: FeatureStoreAdapter, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Redis.from_url(server.url) as client:
        interrupt(monkeypatch, at_flight=5, by=lambda: client.config_set("maxmemory", "1"))

        with pytest.raises(MlopsError, match=r"stopped after 400 of 1,000 entities: .*maxmemory"):
            store.materialize(GROUP, start=DAY, end=DAY)

        client.config_set("maxmemory", "0")
    assert store.materialize(GROUP, start=DAY, end=DAY) == 1000
    assert read(store) == [0, 5000, *range(2, 1000)]


def test_a_script_that_the_server_has_forgotten_is_loaded_again(
    store: FeatureStoreAdapter, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Redis.from_url(server.url) as client:
        interrupt(monkeypatch, at_flight=5, by=client.script_flush)
        assert store.materialize(GROUP, start=DAY, end=DAY) == 1000
    assert read(store) == [0, 5000, *range(2, 1000)]


def test_a_read_without_a_server_is_one_message(store: FeatureStoreAdapter, server: RedisServer) -> None:
    store.warm("churn_v1")
    server.kill()
    with pytest.raises(MlopsError, match=r"the feature store can't be used: .*MLOPS_FEAST_ONLINE_URL"):
        store.online("churn_v1", ["c0001"], at=end_of(DAY))

    server.start()
    put_newer(store)
    found = store.online("churn_v1", ["c0001"], at=end_of(DAY))
    assert found.values[FEATURE].to_pylist() == [5000]
