"""Every online store keeps the newest (event, created) row, whoever writes, in whatever order, and at once.

A new store joins this suite, the reads and the layout by one entry in ``tests.online_stores.ONLINE_STORES``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.infra.online_stores.redis import RedisOnlineStore
from feast.repo_config import load_repo_config
from feast.utils import _convert_arrow_to_proto
from sqlalchemy import create_engine, text

from include.adapters.feature_store.feast_repo import _ONLINE_STORES, feast_environment
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online.guarded_redis import GuardedRedisOnlineStore
from include.errors import MlopsError, UsageError
from include.partitions import end_of, span
from include.settings import PROJECT_ROOT, Settings
from tests.everyday import members
from tests.online_stores import (
    FEATURE,
    GROUP,
    KEY,
    ONLINE_STORES,
    TABLE,
    clear,
    feature_rows,
    publish,
    store_settings,
    store_under_test,
    stored,
)

DAYS = span("2024-01-01", "2024-01-04")
AT = end_of(DAYS[-1])


@pytest.fixture
def store(settings: Settings) -> FeatureStoreAdapter:
    """A store on four days: `a` has a row on each of them, `b` on the second only."""
    publish(
        settings,
        *(
            feature_rows(["a", "b"] if n == 1 else ["a"], day, **{FEATURE: [n + 1, 1] if n == 1 else [n + 1]})
            for n, day in enumerate(DAYS)
        ),
    )
    return FeatureStoreAdapter.from_settings(settings)


def test_every_store_that_settings_allow_is_in_the_suite() -> None:
    # Redis over TLS is the same store.
    assert {_ONLINE_STORES[name] for name in ONLINE_STORES} == set(_ONLINE_STORES.values())


def total_orders(store: FeatureStoreAdapter, *keys: str) -> list[int | None]:
    found = store.online_group(GROUP, keys, at=end_of(DAYS[0]), features=[FEATURE])
    return found.values[FEATURE].to_pylist()


def push(store: FeatureStoreAdapter, orders_30d: int, event: datetime, created: datetime) -> None:
    """Write `a` by Feast's own push, as a producer outside this project would."""
    rows = feature_rows(["a"], DAYS[0], event_at=event, created_after=created - event, **{FEATURE: [orders_30d]})
    FeatureStore(config=store.config).write_to_online_store(GROUP, rows.drop_columns(["dt"]).to_pandas())


def test_exactly_the_partitions_asked_for_are_materialised(store: FeatureStoreAdapter) -> None:
    assert store.materialize(GROUP, start=DAYS[0], end=DAYS[0]) == 1
    assert total_orders(store, "a", "b") == [1, None]

    assert store.materialize(GROUP, start=DAYS[1], end=DAYS[2]) == 2
    assert total_orders(store, "a", "b") == [3, 1]


def test_a_partition_without_rows_writes_nothing(store: FeatureStoreAdapter, settings: Settings) -> None:
    assert store.materialize(GROUP, start="2023-06-01", end="2023-06-30") == 0
    assert stored(settings) == {}


def test_materialising_again_changes_nothing(store: FeatureStoreAdapter, settings: Settings) -> None:
    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])
    before = stored(settings)

    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])

    assert before
    assert stored(settings) == before


@pytest.mark.parametrize("order", members([(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)], daily=[(2, 0, 3, 1)]), ids=str)
def test_partitions_in_any_order_leave_the_newest(
    store: FeatureStoreAdapter, settings: Settings, order: tuple[int, ...]
) -> None:
    store.materialize(GROUP, start=DAYS[0], end=DAYS[-1])
    expected = stored(settings)
    clear(settings)

    for day in order:
        store.materialize(GROUP, start=DAYS[day], end=DAYS[day])

    assert stored(settings) == expected
    assert total_orders(store, "a", "b") == [4, 1]


def test_a_correction_of_a_day_wins_over_the_row_that_it_corrects_and_over_no_later_day(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    corrected = [
        feature_rows(["a"], DAYS[n], created_after=timedelta(days=days, microseconds=5), **{FEATURE: [value]})
        for n, days, value in ((2, 0, 30), (2, 9, 31), (3, 0, 40))
    ]
    publish(settings, *corrected)
    # The newest known version of day 3 was created after day 4 was, and is still of day 3.
    store.materialize(GROUP, start=DAYS[2], end=DAYS[2])
    assert total_orders(store, "a") == [31]

    store.materialize(GROUP, start=DAYS[3], end=DAYS[3])
    store.materialize(GROUP, start=DAYS[2], end=DAYS[2])

    assert total_orders(store, "a") == [40]


def test_of_two_rows_of_an_entity_in_one_batch_the_newest_is_kept(store: FeatureStoreAdapter) -> None:
    rows = pa.concat_tables(
        feature_rows(["a", "c"], DAYS[n], **{FEATURE: [value, value]}) for n, value in ((1, 7), (0, 3))
    )

    FeatureStore(config=store.config).write_to_online_store(GROUP, rows.drop_columns(["dt"]).to_pandas())

    assert total_orders(store, "a", "c") == [7, 7]


def test_feasts_own_materialisation_is_guarded_too(store: FeatureStoreAdapter) -> None:
    store.materialize(GROUP, start=DAYS[3], end=DAYS[3])

    FeatureStore(config=store.config).materialize(end_of(DAYS[0]), end_of(DAYS[1]), feature_views=[GROUP])

    assert total_orders(store, "a", "b") == [4, 1]


@pytest.mark.parametrize(
    ("event", "created", "wins"),
    [
        (timedelta(0), timedelta(0), True),
        (timedelta(0), timedelta(days=1), True),
        (timedelta(0), timedelta(days=-1), False),
        (timedelta(0), timedelta(microseconds=1), True),
        (timedelta(0), timedelta(microseconds=-1), False),
        (timedelta(days=1), timedelta(days=-1), True),
        (timedelta(days=-1), timedelta(days=1), False),
        (timedelta(days=-1), timedelta(0), False),
    ],
    ids=[
        "same",
        "corrected",
        "before the correction",
        "corrected a microsecond later",
        "a microsecond before the correction",
        "newer event",
        "older event, created later",
        "older event",
    ],
)
def test_a_push_wins_by_event_time_and_then_by_created_time(
    store: FeatureStoreAdapter, event: timedelta, created: timedelta, wins: bool
) -> None:
    at = datetime(2024, 3, 1, tzinfo=UTC)
    push(store, 50, at, at + timedelta(days=5))

    push(store, 60, at + event, at + timedelta(days=5) + created)

    assert total_orders(store, "a") == [60 if wins else 50]


def test_parallel_writers_leave_the_newest_row_of_every_key(store: FeatureStoreAdapter, settings: Settings) -> None:
    keys = [f"k{n:03d}" for n in range(200)]
    days = span("2024-02-01", "2024-02-08")
    rng = np.random.default_rng(3)
    held = {day: sorted(rng.choice(keys, 120, replace=False)) for day in days}
    publish(settings, *(feature_rows(held[day], day, seed=1) for day in days))
    expected = {key: max(day for day in days if key in held[day]) for key in keys if any(key in held[d] for d in days)}

    def write(order: list[str]) -> None:
        writer = FeatureStoreAdapter.from_settings(settings)
        for day in order:
            writer.materialize(GROUP, start=day, end=day)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [list(rng.permutation(days)) for _ in range(4)]))

    found = store.online_group(GROUP, list(expected), at=end_of(days[0]))
    assert found.event_timestamps[FEATURE].to_pylist() == [end_of(day) for day in expected.values()]
    truth = pa.concat_tables(feature_rows(held[day], day, seed=1) for day in days).to_pylist()
    values = {(row[KEY], row["event_timestamp"]): row[FEATURE] for row in truth}
    assert found.values[FEATURE].to_pylist() == [values[key, end_of(day)] for key, day in expected.items()]


@pytest.mark.parametrize(("theirs", "expected"), [(3, 4), (0, 2)], ids=["newer", "older"])
def test_postgres_guards_a_row_that_another_writer_adds_while_it_is_written(
    tmp_path: Path, postgres_database: str, theirs: int, expected: int
) -> None:
    settings = store_settings(tmp_path, postgres_database)
    store = FeatureStoreAdapter.from_settings(settings)
    store.apply()
    publish(settings, *(feature_rows(["a", "b"], day, **{FEATURE: [n + 1, n + 1]}) for n, day in enumerate(DAYS)))
    store.materialize(GROUP, start=DAYS[theirs], end=DAYS[theirs])
    engine = create_engine(postgres_database)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE kept AS SELECT * FROM {TABLE}"))
    clear(settings)

    with ThreadPoolExecutor(1) as pool, engine.connect() as connection:
        # The last key of the range: what was added before the meeting must not be lost with it.
        connection.execute(
            text(f"INSERT INTO {TABLE} SELECT * FROM kept WHERE entity_key = (SELECT max(entity_key) FROM kept)")
        )
        writing = pool.submit(
            FeatureStoreAdapter.from_settings(settings).materialize, GROUP, start=DAYS[1], end=DAYS[1]
        )
        deadline = time.monotonic() + 60
        with engine.connect() as watching:
            while not watching.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                assert time.monotonic() < deadline, "the writer didn't wait for the other"
                assert not writing.done()
                time.sleep(0.01)
        connection.commit()
        assert writing.result() == 2
    engine.dispose()

    assert total_orders(store, "a", "b") == [2, expected]


def test_the_guard_survives_another_apply(store: FeatureStoreAdapter, settings: Settings) -> None:
    store.materialize(GROUP, start=DAYS[3], end=DAYS[3])
    before = stored(settings)

    FeatureStoreAdapter.from_settings(settings).apply()
    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])

    assert stored(settings) == before


def test_the_file_that_feasts_commands_read_describes_the_same_store(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in feast_environment(settings).items():
        monkeypatch.setenv(name, value)

    theirs = load_repo_config(PROJECT_ROOT / "feature_repo", PROJECT_ROOT / "feature_repo" / "feature_store.yaml")
    ours = FeatureStoreAdapter.from_settings(settings).config

    assert theirs.project == ours.project == "mlops"
    assert theirs.registry == ours.registry
    assert theirs.online_store == ours.online_store
    assert theirs.offline_store == ours.offline_store
    assert theirs.materialization_config == ours.materialization_config


@pytest.mark.parametrize("applied", members(ONLINE_STORES, daily=["postgresql"]), indirect=True)
def test_feasts_commands_apply_the_guard_and_materialise_through_it(
    settings: Settings, store: FeatureStoreAdapter
) -> None:
    store_under_test(settings).dropped(settings.feast_online_url, GROUP)
    environment = {**os.environ, **feast_environment(settings), "PYTHONPATH": str(PROJECT_ROOT)}

    # Both commands in one process: Feast's import takes longer than either.
    program = f"""
from feast.cli.cli import cli
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.settings import Settings
cli(["apply"], standalone_mode=False)
FeatureStoreAdapter.from_settings(Settings.from_env()).materialize({GROUP!r}, start={DAYS[3]!r}, end={DAYS[3]!r})
cli(["materialize", "--views", {GROUP!r}, "{DAYS[0]}T00:00:00", "{DAYS[2]}T00:00:00"], standalone_mode=False)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT_ROOT / "feature_repo",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    assert total_orders(FeatureStoreAdapter.from_settings(settings), "a", "b") == [4, 1]


def test_redis_compares_with_a_row_of_plain_feast_by_feasts_own_time(tmp_path: Path, redis_database: str) -> None:
    settings = store_settings(tmp_path, redis_database)
    store = FeatureStoreAdapter.from_settings(settings)
    store.apply()
    publish(settings, feature_rows(["a"], DAYS[0], **{FEATURE: [1]}), feature_rows(["a"], DAYS[2], **{FEATURE: [3]}))
    feast = FeatureStore(config=store.config)
    view = feast.get_feature_view(GROUP)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    # With microseconds: Feast writes seconds and nanoseconds, each a varint that may be absent.
    event = end_of(DAYS[1]) + timedelta(microseconds=123_456)
    plain = feature_rows(["a"], DAYS[1], event_at=event, **{FEATURE: [2]}).combine_chunks()
    RedisOnlineStore.online_write_batch(
        GuardedRedisOnlineStore(), store.config, view, _convert_arrow_to_proto(plain, view, keys), None
    )

    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])
    assert total_orders(store, "a") == [2]
    store.materialize(GROUP, start=DAYS[2], end=DAYS[2])
    assert total_orders(store, "a") == [3]


def test_redis_forgets_a_guard_that_plain_feast_has_written_past(tmp_path: Path, redis_database: str) -> None:
    settings = store_settings(tmp_path, redis_database)
    store = FeatureStoreAdapter.from_settings(settings)
    store.apply()
    push(store, 1, end_of(DAYS[0]), end_of(DAYS[0]) + timedelta(days=90))
    feast = FeatureStore(config=store.config)
    view = feast.get_feature_view(GROUP)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    plain = feature_rows(["a"], DAYS[1], **{FEATURE: [2]}).combine_chunks()
    RedisOnlineStore.online_write_batch(
        GuardedRedisOnlineStore(), store.config, view, _convert_arrow_to_proto(plain, view, keys), None
    )

    # Created before the row that plain Feast replaced, but after the one that it wrote.
    push(store, 3, end_of(DAYS[1]), end_of(DAYS[1]) + timedelta(days=1))

    assert total_orders(store, "a") == [3]


def test_redis_guards_feasts_asynchronous_writes(tmp_path: Path, redis_database: str) -> None:
    store = FeatureStoreAdapter.from_settings(store_settings(tmp_path, redis_database))
    store.apply()
    push(store, 4, AT, AT)
    older = feature_rows(["a"], DAYS[0], **{FEATURE: [1]}).drop_columns(["dt"]).to_pandas()

    asyncio.run(FeatureStore(config=store.config).write_to_online_store_async(GROUP, older))

    assert total_orders(store, "a") == [4]


def test_redis_keys_live_as_long_as_feast_is_told(tmp_path: Path, redis_database: str) -> None:
    from redis import Redis

    store = FeatureStoreAdapter.from_settings(store_settings(tmp_path, redis_database))
    store.apply()
    store.config.online_store.key_ttl_seconds = 1000

    push(store, 4, AT, AT)

    with Redis.from_url(redis_database) as client:
        [key] = client.keys("*")
        assert 990 < client.ttl(key) <= 1000


def test_a_store_that_was_never_applied_says_so(tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir(exist_ok=True)
    settings = store_settings(tmp_path, f"sqlite:///{tmp_path}/feast/online.db")

    with pytest.raises(MlopsError, match="apply feature_repo first"):
        FeatureStoreAdapter.from_settings(settings).materialize(GROUP, start=DAYS[0], end=DAYS[0])
    with pytest.raises(MlopsError, match="apply feature_repo first"):
        FeatureStoreAdapter.from_settings(settings).online("churn_v1", ["a"])


def test_a_server_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    absent = f"postgresql+psycopg://postgres:@/x?host={tmp_path}"
    settings = replace(Settings.from_env({}), feast_registry_url=absent, feast_online_url=absent)

    with pytest.raises(MlopsError, match=r"the feature store can't be used: .*check that its database runs"):
        FeatureStoreAdapter.from_settings(settings).apply()


def test_a_url_of_another_kind_of_store_names_those_that_are_supported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mysql://… is not supported; write sqlite, postgresql, redis, rediss"):
        FeatureStoreAdapter.from_settings(store_settings(tmp_path, "mysql://localhost/x"))
