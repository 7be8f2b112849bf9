"""The Delta offline store: point in time, ttl, ties, corrections; against a plain loop and against peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

from include.adapters.delta_offline_store import DeltaOfflineStore, DeltaOfflineStoreConfig
from include.adapters.feature_store import FeatureStoreAdapter
from include.adapters.lake import LakeAdapter
from include.errors import MlopsError, UsageError
from include.settings import Settings
from tests.real_data import real_data

INSTANT = pa.timestamp("us", tz="UTC")
CUSTOMER = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)

Join = Callable[..., pd.DataFrame]


def source(table: str) -> FileSource:
    return FileSource(
        name=table, path=table, timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
    )


def view(table: str, features: dict[str, Any], ttl: timedelta) -> FeatureView:
    schema = [Field(name="customer_id", dtype=String), *(Field(name=n, dtype=t) for n, t in features.items())]
    return FeatureView(name="v", entities=[CUSTOMER], ttl=ttl, schema=schema, source=source(table))


@pytest.fixture
def config(tmp_path: Path) -> Any:
    return SimpleNamespace(offline_store=DeltaOfflineStoreConfig(lake_uri=(tmp_path / "lake").as_uri()))


def publish(config: Any, table: str, rows: pa.Table) -> None:
    days = rows["event_timestamp"].cast(pa.timestamp("us")).cast(pa.date32())
    keys = sorted({str(day) for day in days.to_pylist()})
    LakeAdapter(config.offline_store.lake_uri).replace(table, rows.append_column("dt", days), keys=keys)


def feature_rows(*rows: tuple[str, datetime, datetime, int]) -> pa.Table:
    schema = {"customer_id": pa.string(), "event_timestamp": INSTANT, "created_timestamp": INSTANT, "f": pa.int64()}
    return pa.Table.from_pylist([dict(zip(schema, row, strict=True)) for row in rows], schema=pa.schema(schema))


def join(config: Any, fv: FeatureView, names: list[str], entities: pd.DataFrame, *, known_at: bool = False) -> pa.Table:
    registry = SimpleNamespace(list_on_demand_feature_views=lambda *args, **kwargs: [])
    refs = [f"v:{name}" for name in names]
    return DeltaOfflineStore.get_historical_features(
        config, [fv], refs, entities, registry, "p", filter_by_created_timestamp=known_at
    ).to_arrow()


def asked(*rows: tuple[str | None, datetime | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "event_timestamp"])
    return frame.assign(event_timestamp=pd.to_datetime(frame["event_timestamp"], utc=True), row=range(len(rows)))


def joined(
    config: Any, features: pa.Table, entities: pd.DataFrame, *, ttl: timedelta = timedelta(0), known_at: bool = False
) -> list[int | None]:
    publish(config, "features/v", features)
    rows = join(config, view("features/v", {"f": Int64}, ttl), ["f"], entities, known_at=known_at)
    assert rows["row"].to_pylist() == list(range(len(entities)))
    assert rows.schema.field("f").type == pa.int64()
    return rows["f"].to_pylist()


def test_a_feature_is_seen_from_its_own_instant_on(config: Any) -> None:
    tick = timedelta(microseconds=1)
    features = feature_rows(("a", NOON, NOON, 1))

    assert joined(config, features, asked(("a", NOON), ("a", NOON - tick), ("a", NOON + tick))) == [1, None, 1]


def test_ttl_is_inclusive(config: Any) -> None:
    features, ttl = feature_rows(("a", NOON, NOON, 1)), timedelta(days=1)
    entities = asked(("a", NOON + ttl), ("a", NOON + ttl + timedelta(microseconds=1)))

    assert joined(config, features, entities, ttl=ttl) == [1, None]


def test_of_equal_event_times_the_newest_created_counts_whatever_the_order(config: Any) -> None:
    hour = timedelta(hours=1)
    features = feature_rows(("a", NOON, NOON + hour, 2), ("a", NOON, NOON + 2 * hour, 3), ("a", NOON, NOON, 1))

    assert joined(config, features, asked(("a", NOON))) == [3]


def test_known_at_sees_a_correction_only_once_it_was_made(config: Any) -> None:
    late = NOON + timedelta(days=3)
    features = feature_rows(("a", NOON, NOON, 1), ("a", NOON, late, 2))
    entities = asked(("a", NOON), ("a", late - timedelta(microseconds=1)), ("a", late))

    assert joined(config, features, entities, known_at=True) == [1, 1, 2]


def test_known_at_a_late_correction_of_an_old_row_does_not_hide_a_newer_row(config: Any) -> None:
    day = timedelta(days=1)
    features = feature_rows(("a", NOON, NOON, 1), ("a", NOON + day, NOON + day, 2), ("a", NOON, NOON + 2 * day, 9))

    assert joined(config, features, asked(("a", NOON + 3 * day)), known_at=True) == [2]


def test_every_entity_row_is_kept_in_its_order_also_repeated_unknown_and_null_ones(config: Any) -> None:
    features = feature_rows(("a", NOON, NOON, 1), ("b", NOON, NOON, 2))
    entities = asked(("b", NOON), ("a", NOON), ("b", NOON), ("nobody", NOON), (None, NOON), ("a", None))

    assert joined(config, features, entities) == [2, 1, 2, None, None, None]


def test_no_entity_rows_give_no_rows(config: Any) -> None:
    assert joined(config, feature_rows(("a", NOON, NOON, 1)), asked()) == []


@pytest.mark.parametrize("known_at", [False, True], ids=["true at", "known at"])
@pytest.mark.parametrize("ttl_hours", [0, 5, 40])
def test_a_seeded_join_equals_a_plain_loop(config: Any, known_at: bool, ttl_hours: int) -> None:
    rng = np.random.default_rng(ttl_hours)
    hours = lambda: timedelta(hours=int(rng.integers(0, 60)))  # noqa: E731
    key = lambda: f"c{rng.integers(6)}"  # noqa: E731
    unique = {}
    for value in range(300):
        event = NOON + hours()
        unique[key(), event, event + (hours() if rng.random() < 0.3 else timedelta(0))] = value
    stored = [(*k, value) for k, value in unique.items()]
    entities = asked(*((key(), NOON + hours()) for _ in range(200)))

    found = joined(config, feature_rows(*stored), entities, ttl=timedelta(hours=ttl_hours), known_at=known_at)

    for customer, at, answer in zip(entities["customer_id"], entities["event_timestamp"], found, strict=True):
        seen = [
            (event, created, value)
            for owner, event, created, value in stored
            if owner == customer and event <= at and (not known_at or created <= at)
        ]
        newest = max(seen, default=None)
        fresh = newest is not None and (ttl_hours == 0 or newest[0] >= at - timedelta(hours=ttl_hours))
        assert answer == (newest[2] if newest is not None and fresh else None)


@pytest.mark.parametrize(
    ("case", "ttl_days", "known_at"),
    [("ttl0", 0, False), ("ttl31", 31, False), ("ttl7", 7, False), ("known_at", 0, True)],
)
def test_joins_of_the_real_log_equal_those_of_other_libraries(
    config: Any, case: str, ttl_days: int, known_at: bool
) -> None:
    prefix = "peer_runs/online_retail_pit_"
    features = pq.read_table(real_data(f"{prefix}features.parquet"))
    features = features.rename_columns([{"created": "created_timestamp"}.get(n, n) for n in features.column_names])
    for name in ("event_timestamp", "created_timestamp"):
        features = features.set_column(features.column_names.index(name), name, features[name].cast(INSTANT))
    features = features.set_column(
        features.column_names.index("total_orders_30d"), "total_orders_30d", features["total_orders_30d"].cast("int64")
    )
    publish(config, "features/peer", features)
    entities = pd.read_parquet(real_data(f"{prefix}entities.parquet"))
    expected = pd.read_parquet(real_data(f"{prefix}expected.parquet"))
    dtypes = {"total_orders_30d": Int64, "avg_order_value": Float64, "days_since_last_order": Float64}

    fv = view("features/peer", dtypes, timedelta(days=ttl_days))
    rows = join(config, fv, list(dtypes), entities, known_at=known_at).to_pandas()

    assert rows["row_id"].tolist() == expected["row_id"].tolist()
    for name in dtypes:
        np.testing.assert_array_equal(rows[name].to_numpy(float), expected[f"{name}__{case}"].to_numpy(float), name)


def test_an_entity_column_named_like_a_feature_is_refused(config: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))

    with pytest.raises(UsageError, match=r"already have the columns \['f'\]"):
        join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], asked(("a", NOON)).assign(f=0))


def test_entities_by_sql_are_refused(config: Any) -> None:
    with pytest.raises(UsageError, match="pass entity rows"):
        join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], "SELECT 1")  # type: ignore[arg-type]


def test_a_table_that_was_never_written_is_named(config: Any) -> None:
    with pytest.raises(MlopsError, match="there is no lake table features/v"):
        join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], asked(("a", NOON)))


@pytest.mark.parametrize("latest", [True, False])
def test_both_bounds_of_a_pull_are_inclusive_and_the_latest_is_by_event_then_created(config: Any, latest: bool) -> None:
    day = timedelta(days=1)
    publish(
        config,
        "features/v",
        feature_rows(
            ("a", NOON - day, NOON, 0),
            ("a", NOON, NOON + day, 1),
            ("a", NOON, NOON, 2),
            ("b", NOON + day, NOON + day, 3),
            ("b", NOON + 2 * day, NOON + 2 * day, 4),
        ),
    )
    pull = (
        DeltaOfflineStore.pull_latest_from_table_or_query if latest else DeltaOfflineStore.pull_all_from_table_or_query
    )

    job = pull(
        config, source("features/v"), ["customer_id"], ["f"], "event_timestamp", "created_timestamp", NOON, NOON + day
    )

    assert sorted(job.to_arrow()["f"].to_pylist()) == ([1, 3] if latest else [1, 2, 3])


def test_a_service_is_applied_before_its_table_exists_and_then_joins_with_every_column_kept(tmp_path: Path) -> None:
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("feast_registry_url", "feast_online_url")}
    settings = replace(Settings.from_env({}), lake_uri=(tmp_path / "lake").as_uri(), **urls)
    store = FeatureStoreAdapter.from_settings(settings)
    store.apply()
    entities = pa.table(
        {"label": [1, 0], "customer_id": ["a", "b"], "event_timestamp": pa.array([NOON, NOON], INSTANT)}
    )
    with pytest.raises(MlopsError, match="there is no lake table features/customer_daily"):
        store.historical("churn_v1", entities)

    columns = {name: pa.array([5]) for name in store.service_features("churn_v1")}
    times = {name: pa.array([NOON], INSTANT) for name in ("event_timestamp", "created_timestamp")}
    publish(
        SimpleNamespace(offline_store=SimpleNamespace(lake_uri=settings.lake_uri)),
        "features/customer_daily",
        pa.table({"customer_id": ["a"], **times, **columns}),
    )
    rows = store.historical("churn_v1", entities)

    assert rows.column_names == ["label", "customer_id", "event_timestamp", *store.service_features("churn_v1")]
    assert rows["tenure_days"].to_pylist() == [5, None]
    assert rows["total_spend_30d"].type == pa.float32()
    with pytest.raises(UsageError, match=r"lack the columns \['customer_id'\]"):
        store.historical("churn_v1", entities.drop(["customer_id"]))
