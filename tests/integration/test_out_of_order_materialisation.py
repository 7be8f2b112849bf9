"""Thirty days materialised in order, again, at random, in parallel and after a kill: online is the newest row.

The same script with plain Feast ends with older rows on SQLite and PostgreSQL: what the guard is for.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.repo_config import RepoConfig
from sqlalchemy.engine import make_url

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.partitions import end_of, span
from include.settings import Settings
from tests.everyday import members
from tests.online_stores import FEATURE, GROUP, KEY, ONLINE_STORES, clear, feature_rows, publish, store_settings

pytestmark = pytest.mark.timeout(300)

DAYS = span("2024-01-01", "2024-01-30")
WORKERS = 4
KEYS = [f"c{n:03d}" for n in range(300)]


@dataclass(frozen=True)
class Lake:
    """A lake with thirty days of the group, and by a plain loop the newest row of every key."""

    folder: Path
    newest: Mapping[str, Mapping[str, object]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("days")
    rng = np.random.default_rng(11)
    tables: list[pa.Table] = []
    for number, day in enumerate(DAYS, start=1):
        keys = sorted(rng.choice(KEYS, 180, replace=False))
        tables.append(feature_rows(keys, day, **{FEATURE: [number] * len(keys)}))
        # Corrections of a day, created after later days were.
        corrected = sorted(rng.choice(keys, 20, replace=False))
        late = timedelta(days=int(rng.integers(1, 20)), microseconds=1)
        tables.append(feature_rows(corrected, day, created_after=late, seed=1, **{FEATURE: [number + 1000] * 20}))
    publish(store_settings(folder, "sqlite://"), *tables)
    newest: dict[str, dict[str, Any]] = {}
    for row in pa.concat_tables(tables).to_pylist():
        held = newest.get(row[KEY])
        if held is None or version(row) > version(held):
            newest[row[KEY]] = row
    return Lake(folder, newest)


def version(row: Mapping[str, Any]) -> tuple[datetime, datetime]:
    return row["event_timestamp"], row["created_timestamp"]


@pytest.fixture(params=members(ONLINE_STORES, daily=["postgresql", "redis"]))
def settings(request: pytest.FixtureRequest, lake: Lake, tmp_path: Path) -> Settings:
    url = ONLINE_STORES[request.param].settings(request, tmp_path).feast_online_url
    return store_settings(lake.folder, url, f"sqlite:///{tmp_path}/feast/registry.db")


def run_in_order_and_one_again(materialize: Callable[[str], object]) -> None:
    for day in DAYS:
        materialize(day)
    materialize(DAYS[9])


def differing(store: FeatureStoreAdapter, lake: Lake) -> list[str]:
    """Return the keys whose online row isn't the newest of the table, in any column or time."""
    keys = sorted(lake.newest)
    found = store.online_group(GROUP, keys, at=end_of(DAYS[0]))
    held = zip(
        keys, found.values.to_pylist(), found.event_timestamps.to_pylist(), found.created_timestamps.to_pylist(),
        strict=True,
    )  # fmt: skip
    wrong = []
    for key, values, events, created in held:
        truth = lake.newest[key]
        times = {(events[name], created[name]) for name in events if name != KEY}
        if times != {version(truth)} or values != {name: truth[name] for name in values}:
            wrong.append(key)
    return wrong


def work(settings: Settings, days: list[str], announce: Connection) -> None:
    """Materialise some days, announcing each before it begins."""
    store = FeatureStoreAdapter.from_settings(settings)
    for day in days:
        announce.send(day)
        store.materialize(GROUP, start=day, end=day)
    announce.send("done")


def run_workers(settings: Settings, dealt: list[list[str]], *, killed_at: int | None) -> list[int | None]:
    """Run one worker per list of days; kill the first when it has begun that many; return their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["include.adapters.feature_store.feast_store", "tests.online_stores"])
    running = []
    for days in dealt:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(settings, days, theirs))
        process.start()
        theirs.close()
        running.append((process, ours))
    if killed_at is not None:
        victim, announced = running[0]
        for _ in range(killed_at):
            announced.recv()
        os.kill(victim.pid or 0, signal.SIGKILL)
    for process, _ in running:
        process.join(timeout=120)
    return [process.exitcode for process, _ in running]


def test_online_is_the_newest_offline_row_whatever_the_order(settings: Settings, lake: Lake) -> None:
    store = FeatureStoreAdapter.from_settings(settings)
    store.apply()
    run_in_order_and_one_again(lambda day: store.materialize(GROUP, start=day, end=day))
    assert len(lake.newest) > 250
    assert differing(store, lake) == []

    clear(settings)
    rng = np.random.default_rng(5)
    order = [str(day) for day in rng.permutation(DAYS[:-1])]
    dealt = [order[worker::WORKERS] for worker in range(WORKERS)]
    # The one that is killed never came to the last day: else the kill would prove nothing.
    dealt[0].append(DAYS[-1])
    codes = run_workers(settings, dealt, killed_at=4)
    assert codes == [-signal.SIGKILL, 0, 0, 0]
    assert differing(store, lake) != []

    assert run_workers(settings, dealt[:1], killed_at=None) == [0]
    assert differing(store, lake) == []


@pytest.mark.parametrize("kind", members(["sqlite", "postgres"], daily=["sqlite"]))
def test_plain_feast_ends_with_older_rows_by_the_same_script(
    kind: str, lake: Lake, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = FeatureStore(config=plain_config(kind, lake, tmp_path, request))
    declared = importlib.import_module("feature_repo.feature_views").VIEWS[GROUP]
    entity = importlib.import_module("feature_repo.entities").ENTITIES[declared.entities[0]]
    store.apply([entity, declared.batch_source, declared])

    run_in_order_and_one_again(lambda day: store.materialize(end_of(day), end_of(day), feature_views=[GROUP]))

    keys = sorted(lake.newest)
    found = store.get_online_features(
        features=[f"{GROUP}:{FEATURE}"], entity_rows=[{KEY: key} for key in keys]
    ).to_dict()[FEATURE]
    older = [
        key
        for key, value in zip(keys, found, strict=True)
        # The tens are the day's number, a thousand more where it was corrected.
        if value % 1000 < lake.newest[key][FEATURE] % 1000  # type: ignore[operator]
    ]
    assert all(value is not None for value in found)
    assert len(older) > 50


def plain_config(kind: str, lake: Lake, folder: Path, request: pytest.FixtureRequest) -> RepoConfig:
    online: dict[str, object] = {"type": "sqlite", "path": str(folder / "plain.db")}
    if kind == "postgres":
        url = make_url(request.getfixturevalue("postgres_url"))
        online = {
            "type": "postgres",
            "host": url.query["host"],
            "database": url.database,
            "user": url.username,
            "password": url.password or "",
            "sslmode": "prefer",
        }
    return RepoConfig(
        project="plain",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{folder}/registry.db"},
        online_store=online,
        offline_store={
            "type": "include.adapters.feature_store.delta_offline_store.DeltaOfflineStore",
            "lake_uri": (lake.folder / "lake").as_uri(),
        },
        materialization={"pull_latest_features": True},
        entity_key_serialization_version=3,
    )
