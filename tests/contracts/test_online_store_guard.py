"""Every online store: repeat, out of order, missing keys, and the guard whoever writes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.repo_config import load_repo_config
from sqlalchemy import create_engine, text

from include.adapters.feature_store import FeatureStoreAdapter, feast_environment
from include.adapters.guarded_online_stores import GuardedPostgreSQLOnlineStore
from include.errors import MlopsError
from include.partitions import end_of
from include.settings import PROJECT_ROOT, Settings
from include.steps.build_features import build_features
from tests.raw_orders import line, orders, publish_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, SERVICE = "customer_daily", "churn_v1"
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
TABLE = "mlops_customer_daily"


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        urls = {"feast_registry_url": f"sqlite:///{tmp_path}/feast/registry.db"}
        urls["feast_online_url"] = f"sqlite:///{tmp_path}/feast/online.db"
    else:
        url = request.getfixturevalue("postgres_database")
        urls = {"feast_registry_url": url, "feast_online_url": url}
    return replace(Settings.from_env({}), lake_uri=(tmp_path / "lake").as_uri(), **urls)


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> FeatureStoreAdapter:
    """A store on four built days: `a` orders on each of them, `b` on the second only."""
    adapter = FeatureStoreAdapter.from_settings(settings)
    adapter.apply()
    deployment: Any = FakeDeployment(tmp_path / "lake")
    raw = orders(*(line(f"{day}T10:00", customer="a") for day in DAYS), line(f"{DAYS[1]}T10:00", customer="b"))
    publish_orders(deployment.lake, raw)
    build_features(deployment, GROUP, start=DAYS[0], end=DAYS[-1])
    return adapter


def total_orders(store: FeatureStoreAdapter, *keys: str) -> list[int | None]:
    return store.online(SERVICE, keys)["total_orders_30d"].to_pylist()


def stored(settings: Settings) -> list[Any]:
    engine = create_engine(settings.feast_online_url)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT * FROM {TABLE} ORDER BY entity_key, feature_name")).fetchall()
    engine.dispose()
    return rows


def push(store: FeatureStoreAdapter, orders_30d: int, event: datetime, created: datetime) -> None:
    """Write `a` by Feast's own push, as a producer outside this project would."""
    dtypes = {field.name: field.type for field in store.online(SERVICE, []).schema}
    del dtypes["customer_id"]
    values = {name: pa.array([0]).cast(dtype) for name, dtype in dtypes.items()}
    row = {"customer_id": ["a"], "event_timestamp": [event], "created_timestamp": [created], **values}
    frame = pa.table({**row, "total_orders_30d": [orders_30d]}).to_pandas()
    FeatureStore(config=store.config).write_to_online_store(GROUP, frame)


def test_exactly_the_partitions_asked_for_are_materialised(store: FeatureStoreAdapter, settings: Settings) -> None:
    assert store.materialize(GROUP, start=DAYS[0], end=DAYS[0]) == 1
    assert total_orders(store, "a", "b") == [1, None]

    assert store.materialize(GROUP, start=DAYS[1], end=DAYS[2]) == 2
    assert total_orders(store, "a", "b") == [3, 1]


def test_a_partition_without_rows_writes_nothing(store: FeatureStoreAdapter, settings: Settings) -> None:
    assert store.materialize(GROUP, start="2023-06-01", end="2023-06-30") == 0
    assert stored(settings) == []


def test_materialising_again_changes_nothing(store: FeatureStoreAdapter, settings: Settings) -> None:
    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])
    before = stored(settings)

    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])

    assert len(before) == 2 * 12
    assert stored(settings) == before


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)], ids=str)
def test_partitions_in_any_order_leave_the_newest(
    store: FeatureStoreAdapter, settings: Settings, order: tuple[int, ...]
) -> None:
    store.materialize(GROUP, start=DAYS[0], end=DAYS[-1])
    expected = stored(settings)
    engine = create_engine(settings.feast_online_url)
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {TABLE}"))
    engine.dispose()

    for day in order:
        store.materialize(GROUP, start=DAYS[day], end=DAYS[day])

    assert stored(settings) == expected
    assert total_orders(store, "a", "b") == [4, 1]


def test_rows_are_laid_out_as_feast_lays_them_out(
    store: FeatureStoreAdapter, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])
    ours = stored(settings)
    engine = create_engine(settings.feast_online_url)
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {TABLE}"))
    engine.dispose()
    monkeypatch.setattr(GuardedPostgreSQLOnlineStore, "online_write_batch", PostgreSQLOnlineStore.online_write_batch)
    store.materialize(GROUP, start=DAYS[0], end=DAYS[2])
    assert len(ours) == 2 * 12
    assert ours == stored(settings)


def test_of_two_rows_of_an_entity_in_one_batch_the_newest_is_kept(store: FeatureStoreAdapter) -> None:
    dtypes = {field.name: field.type for field in store.online(SERVICE, []).schema}
    del dtypes["customer_id"]
    times = [end_of(DAYS[1]), end_of(DAYS[0])]
    values = {name: pa.array([0, 0]).cast(dtype) for name, dtype in dtypes.items()}
    rows = {"customer_id": ["a", "a"], "event_timestamp": times, "created_timestamp": times, **values}
    frame = pa.table({**rows, "total_orders_30d": [7, 3]}).to_pandas()
    FeatureStore(config=store.config).write_to_online_store(GROUP, frame)
    assert total_orders(store, "a") == [7]


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
        (timedelta(days=1), timedelta(days=-1), True),
        (timedelta(days=-1), timedelta(days=1), False),
        (timedelta(days=-1), timedelta(0), False),
    ],
    ids=["same", "corrected", "before the correction", "newer event", "older event, created later", "older event"],
)
def test_a_push_wins_by_event_time_and_then_by_created_time(
    store: FeatureStoreAdapter, event: timedelta, created: timedelta, wins: bool
) -> None:
    at = datetime(2024, 3, 1, tzinfo=UTC)
    push(store, 50, at, at + timedelta(days=5))

    push(store, 60, at + event, at + timedelta(days=5) + created)

    assert total_orders(store, "a") == [60 if wins else 50]


def test_keys_come_back_in_the_order_asked_and_unknown_ones_are_null(store: FeatureStoreAdapter) -> None:
    store.materialize(GROUP, start=DAYS[3], end=DAYS[3])

    found = store.online(SERVICE, ["b", "nobody", "a", "b"])

    assert found["customer_id"].to_pylist() == ["b", "nobody", "a", "b"]
    assert found["total_orders_30d"].to_pylist() == [1, None, 4, 1]
    assert found["avg_order_gap_days"].to_pylist() == [None, None, 1.0, None]
    assert found.column_names == ["customer_id", *store.service_features(SERVICE)]
    assert store.online(SERVICE, []).schema == found.schema


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


def test_feast_apply_on_the_command_line_installs_the_guard(settings: Settings, store: FeatureStoreAdapter) -> None:
    engine = create_engine(settings.feast_online_url)
    with engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {TABLE}"))
    engine.dispose()

    environment = {**os.environ, **feast_environment(settings), "PYTHONPATH": str(PROJECT_ROOT)}
    feast = subprocess.run(
        [Path(sys.executable).with_name("feast"), "apply"],
        cwd=PROJECT_ROOT / "feature_repo",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert feast.returncode == 0, feast.stderr

    fresh = FeatureStoreAdapter.from_settings(settings)
    fresh.materialize(GROUP, start=DAYS[3], end=DAYS[3])
    fresh.materialize(GROUP, start=DAYS[0], end=DAYS[0])
    assert total_orders(fresh, "a") == [4]


def test_a_store_that_was_never_applied_says_so(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir(exist_ok=True)

    with pytest.raises(MlopsError, match="apply feature_repo first"):
        FeatureStoreAdapter.from_settings(settings).materialize(GROUP, start=DAYS[0], end=DAYS[0])


def test_a_server_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    absent = f"postgresql+psycopg://postgres:@/x?host={tmp_path}"
    settings = replace(Settings.from_env({}), feast_registry_url=absent, feast_online_url=absent)

    with pytest.raises(MlopsError, match=r"the feature store can't be used: .*check that its database runs"):
        FeatureStoreAdapter.from_settings(settings).apply()
