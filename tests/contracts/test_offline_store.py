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
from deltalake import write_deltalake
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64, String

from include.adapters.feature_store.delta_offline_store import DeltaOfflineStore, DeltaOfflineStoreConfig
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.row_digest import digest as lake_digest
from include.errors import MlopsError, UsageError
from include.settings import Settings
from tests.contracts.conftest import empty_lakes, on_each_lake
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


lake_settings = empty_lakes(daily=["file"])


@pytest.fixture
def config(lake_settings: Settings) -> Any:
    """Feast's settings of the store, on a folder and on S3."""
    return SimpleNamespace(offline_store=DeltaOfflineStoreConfig(lake_uri=lake_settings.lake_uri))


@pytest.fixture
def feast(config: Any, tmp_path: Path) -> Any:
    """Return a function that makes a real Feast store, with a registry of its own, know some objects."""

    def made(*objects: Any, **settings: Any) -> FeatureStore:
        offline = {"type": DeltaOfflineStoreConfig().type, "lake_uri": config.offline_store.lake_uri, **settings}
        store = FeatureStore(
            config=RepoConfig(
                project="p",
                provider="local",
                registry={"registry_type": "sql", "path": f"sqlite:///{tmp_path}/registry.db"},
                online_store={"type": "sqlite", "path": str(tmp_path / "online.db")},
                offline_store=offline,
                coerce_tz_aware=False,
                entity_key_serialization_version=3,
            )
        )
        store.apply(list(objects))
        return store

    return made


def publish(config: Any, table: str, rows: pa.Table) -> None:
    days = rows["event_timestamp"].cast(pa.timestamp("us")).cast(pa.date32())
    keys = sorted({str(day) for day in days.to_pylist()})
    lake = LakeAdapter.from_settings(replace(Settings.from_env(), lake_uri=config.offline_store.lake_uri))
    lake.replace(table, rows.append_column("dt", days), keys=keys)


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
    entities, expected = publish_real_log(config)

    fv = view("features/peer", REAL_COLUMNS, timedelta(days=ttl_days))
    rows = join(config, fv, list(REAL_COLUMNS), entities, known_at=known_at).to_pandas()

    assert_equals_peers(rows, expected, case)


def test_feast_itself_returns_what_other_libraries_return_for_the_real_log(config: Any, feast: Any) -> None:
    entities, expected = publish_real_log(config)
    views = {
        ttl: FeatureView(
            name=f"ttl{ttl}",
            entities=[CUSTOMER],
            ttl=timedelta(days=ttl),
            schema=[Field(name=n, dtype=t) for n, t in {"customer_id": String, **REAL_COLUMNS}.items()],
            source=source("features/peer"),
        )
        for ttl in (0, 7, 31)
    }
    of_all, of_known = feast(CUSTOMER, *views.values(), known_at=False), feast(known_at=True)

    for ttl, cases in {0: ("ttl0", "known_at"), 7: ("ttl7",), 31: ("ttl31",)}.items():
        for case in cases:
            store = of_known if case == "known_at" else of_all
            asked = [f"ttl{ttl}:{name}" for name in REAL_COLUMNS]
            rows = store.get_historical_features(entity_df=entities, features=asked).to_df()
            assert_equals_peers(rows, expected, case)
    asked = [f"ttl0:{name}" for name in REAL_COLUMNS]
    rows = of_all.get_historical_features(entities, asked, filter_by_created_timestamp=True).to_df()
    assert_equals_peers(rows, expected, "known_at")


REAL_COLUMNS = {"total_orders_30d": Int64, "avg_order_value": Float64, "days_since_last_order": Float64}


def publish_real_log(config: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    prefix = "peer_runs/online_retail_pit_"
    features = pq.read_table(real_data(f"{prefix}features.parquet"))
    features = features.rename_columns([{"created": "created_timestamp"}.get(n, n) for n in features.column_names])
    for name in ("event_timestamp", "created_timestamp"):
        features = features.set_column(features.column_names.index(name), name, features[name].cast(INSTANT))
    publish(config, "features/peer", features)
    expected = pd.read_parquet(real_data(f"{prefix}expected.parquet"))
    return pd.read_parquet(real_data(f"{prefix}entities.parquet")), expected


def assert_equals_peers(rows: pd.DataFrame, expected: pd.DataFrame, case: str) -> None:
    assert len(rows) == 3_000
    assert rows["row_id"].tolist() == expected["row_id"].tolist()
    for name in REAL_COLUMNS:
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


def two_versions() -> tuple[pa.Table, pa.Table]:
    """Daily rows of thirty customers, and the corrections that some of them get days later."""
    rng = np.random.default_rng(3)
    first, later = [], []
    for day in range(12):
        for customer in range(30):
            at = NOON + timedelta(days=day)
            first.append((f"c{customer:02d}", at, at, int(rng.integers(1_000))))
            if rng.random() < 0.2:
                later.append((f"c{customer:02d}", at, NOON + timedelta(days=14), int(rng.integers(1_000, 2_000))))
    return feature_rows(*first), feature_rows(*later)


@on_each_lake
def test_a_training_set_as_known_at_an_earlier_time_is_the_same_bytes_after_corrections(
    config: Any, feast: Any
) -> None:
    first, later = two_versions()
    rng = np.random.default_rng(4)
    hours = rng.integers(0, 14 * 24, 500)
    entities = asked(*((f"c{rng.integers(32):02d}", NOON + timedelta(hours=int(h))) for h in hours))
    store = feast(CUSTOMER, view("features/v", {"f": Int64}, timedelta(days=3)))

    def digest(frame: pd.DataFrame) -> str:
        return lake_digest(store.get_historical_features(frame, ["v:f"]).to_arrow())

    publish(config, "features/v", first)
    before = digest(entities)
    publish(config, "features/v", pa.concat_tables([first, later]).sort_by("event_timestamp"))

    assert digest(entities) == before
    seen_after = entities.assign(event_timestamp=entities["event_timestamp"] + timedelta(days=14))
    assert set(store.get_historical_features(seen_after, ["v:f"]).to_df()["f"].dropna()) & set(later["f"].to_pylist())


@on_each_lake
def test_several_views_of_different_entities_join_in_one_service(config: Any, feast: Any) -> None:
    instants = {name: pa.array([NOON] * 2, INSTANT) for name in ("event_timestamp", "created_timestamp")}
    publish(config, "features/pair", pa.table({"customer_id": ["a", "a"], "shop": [1, 2], "n": [10, 20], **instants}))
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1), ("b", NOON, NOON, 2)))
    shop = Entity(name="shop_entity", join_keys=["shop"], value_type=ValueType.INT64)
    pair = FeatureView(
        name="pair",
        entities=[CUSTOMER, shop],
        ttl=timedelta(0),
        schema=[Field(name=n, dtype=t) for n, t in {"customer_id": String, "shop": Int64, "n": Int64}.items()],
        source=source("features/pair"),
    )
    of_customer = view("features/v", {"f": Int64}, timedelta(0))
    friend = of_customer.with_name("friend").with_join_key_map({"customer_id": "friend_id"})
    # Feast can't compare a view with and without another name in one service.
    service = FeatureService(name="s", features=[pair, of_customer.with_name("owner"), friend])
    store = feast(CUSTOMER, shop, pair, of_customer, service)
    entities = asked(("a", NOON), ("b", NOON), ("a", NOON)).assign(shop=[2, 2, 9], friend_id=["b", None, "a"])

    rows = store.get_historical_features(entities, store.get_feature_service("s"), full_feature_names=True).to_df()

    assert rows.columns.tolist() == [*entities.columns, "pair__n", "owner__f", "friend__f"]
    assert rows["row"].tolist() == [0, 1, 2]
    assert [rows[name].astype(object).where(rows[name].notna(), None).tolist() for name in rows.columns[-3:]] == [
        [20, None, None],
        [1, 2, 1],
        [2, None, 1],
    ]


def test_an_on_demand_view_is_computed_from_what_was_joined(config: Any, feast: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 4)))
    stored = view("features/v", {"f": Int64}, timedelta(0))

    @on_demand_feature_view(sources=[stored], schema=[Field(name="doubled", dtype=Float64)])
    def twice(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"doubled": inputs["f"] * 2.0})

    store = feast(CUSTOMER, stored, twice)

    rows = store.get_historical_features(asked(("a", NOON), ("b", NOON)), ["v:f", "twice:doubled"]).to_df()

    assert rows["doubled"].iloc[0] == 8.0
    assert np.isnan(rows["doubled"].iloc[1])


@on_each_lake
def test_only_the_files_of_the_asked_time_are_read(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = two_versions()
    publish(config, "features/v", first)
    read: list[int] = []
    whole = LakeAdapter.dataset

    def counted(self: LakeAdapter, table: str, **options: Any) -> Any:
        found = whole(self, table, **options)
        read.append(len(list(found.get_fragments())))
        return found

    monkeypatch.setattr(LakeAdapter, "dataset", counted)
    entities = asked(("c01", NOON + timedelta(days=5, hours=1)), ("c02", NOON + timedelta(days=6)))
    rows = join(config, view("features/v", {"f": Int64}, timedelta(days=1)), ["f"], entities)

    assert rows["f"].null_count == 0
    assert read == [2]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda f: f.drop(["f"]), r"features/v has no column 'f', which feature view v declares as int64; it has"),
        (
            lambda f: f.set_column(3, "f", f["f"].cast(pa.float64())),
            r"column 'f' is double, feature view v expects int64",
        ),
        (
            lambda f: f.set_column(0, "customer_id", pa.array([17850])),
            r"column 'customer_id' is int64, feature view v expects string",
        ),
        (lambda f: f.drop(["created_timestamp"]), r"has no column 'created_timestamp'.* declares as a timestamp"),
        (
            lambda f: f.set_column(2, "created_timestamp", pa.array(["now"])),
            r"column 'created_timestamp' is string, feature view v expects a timestamp",
        ),
    ],
    ids=["column gone", "lossy type", "key of another type", "time gone", "time of another type"],
)
def test_a_table_whose_schema_has_changed_names_table_column_and_types(config: Any, made: Any, message: str) -> None:
    publish(config, "features/v", made(feature_rows(("a", NOON, NOON, 1))))

    with pytest.raises(MlopsError, match=message) as failed:
        join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], asked(("a", NOON)))

    assert "lake table features/v" in str(failed.value)
    assert "rebuild the table" in str(failed.value)
    assert failed.value.exit_code == 3


def test_a_narrower_stored_type_is_given_as_declared_and_a_value_that_does_not_fit_is_named(config: Any) -> None:
    stored = feature_rows(("a", NOON, NOON, 7))
    publish(config, "features/v", stored.set_column(3, "f", stored["f"].cast(pa.int16())))
    narrow = join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], asked(("a", NOON)))
    assert (narrow["f"].type, narrow["f"].to_pylist()) == (pa.int64(), [7])

    publish(config, "features/w", feature_rows(("a", NOON, NOON, 2**24 + 1)))
    with pytest.raises(MlopsError, match=r"features/w: column 'f' is int64, and a value of it is no float"):
        join(config, view("features/w", {"f": Float32}, timedelta(0)), ["f"], asked(("a", NOON)))


def test_rows_from_before_a_column_was_added_are_null_there(config: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))
    later = NOON + timedelta(days=1)
    lake = LakeAdapter.from_settings(replace(Settings.from_env(), lake_uri=config.offline_store.lake_uri))
    grown = feature_rows(("b", later, later, 2)).append_column("g", pa.array([0.5]))
    write_deltalake(
        lake.table_uri("features/v"),
        grown.append_column("dt", pa.array([later.date()])),
        mode="append",
        schema_mode="merge",
        storage_options=lake.storage_options or None,
    )

    rows = join(
        config,
        view("features/v", {"f": Int64, "g": Float64}, timedelta(0)),
        ["f", "g"],
        asked(("a", later), ("b", later)),
    )

    assert (rows["f"].to_pylist(), rows["g"].to_pylist()) == ([1, 2], [None, 0.5])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([17850], r"entity column 'customer_id' is int64, but the key of features/v is string.*\.astype\(str\)"),
        ([17850.0], r"customer_id' is double.*17850\.0 is not '17850'.*\.astype\('int64'\)\.astype\(str\)"),
        (["a", 17850], r"customer_id.*give each column one type"),
    ],
    ids=["int", "float", "mixed"],
)
def test_entity_keys_of_another_type_are_refused_not_cast(config: Any, keys: list[Any], message: str) -> None:
    publish(config, "features/v", feature_rows(("17850", NOON, NOON, 1)))
    entities = pd.DataFrame({"customer_id": keys, "event_timestamp": pd.to_datetime([NOON] * len(keys), utc=True)})

    with pytest.raises(UsageError, match=message):
        join(config, view("features/v", {"f": Int64}, timedelta(0)), ["f"], entities)


def test_keys_that_are_all_null_find_nothing(config: Any) -> None:
    assert joined(config, feature_rows(("a", NOON, NOON, 1)), asked((None, NOON), (None, NOON))) == [None, None]
    nan = asked(("a", NOON)).assign(customer_id=float("nan"))
    assert joined(config, feature_rows(("a", NOON, NOON, 1)), nan) == [None]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (lambda at: at.dt.tz_localize(None), r"naive.*tz_localize\('UTC'\)"),
        (lambda at: at.astype(str), r"is (large_)?string; it must hold times with a time zone"),
    ],
    ids=["naive", "text"],
)
def test_entity_times_without_a_zone_are_refused(config: Any, feast: Any, times: Any, message: str) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))
    entities = asked(("a", NOON))
    entities["event_timestamp"] = times(entities["event_timestamp"])
    fv = view("features/v", {"f": Int64}, timedelta(0))

    with pytest.raises(UsageError, match=message):
        join(config, fv, ["f"], entities)
    with pytest.raises(UsageError, match=message):
        feast(CUSTOMER, fv).get_historical_features(entities, ["v:f"])


def test_entity_rows_without_their_columns_are_told_what_is_missing(config: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))
    fv, entities = view("features/v", {"f": Int64}, timedelta(0)), asked(("a", NOON))
    with pytest.raises(UsageError, match=r"lack the columns \['customer_id'\]; v joins on"):
        join(config, fv, ["f"], entities.drop(columns="customer_id"))
    with pytest.raises(UsageError, match=r"no column 'event_timestamp'.*did you mean 'event_timestamps'"):
        join(config, fv, ["f"], entities.rename(columns={"event_timestamp": "event_timestamps"}))


def test_an_unknown_feature_is_named_with_the_nearest(config: Any, feast: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))
    fv = view("features/v", {"total_orders": Int64, "f": Int64}, timedelta(0))
    message = r"feature view v has no feature 'total_order'; it has .*; did you mean 'total_orders'\?"

    with pytest.raises(UsageError, match=message):
        join(config, fv, ["total_order"], asked(("a", NOON)))
    # Feast looks the name up itself before it asks a store.
    with pytest.raises(KeyError, match="Feature total_order not found in projection v"):
        feast(CUSTOMER, fv).get_historical_features(asked(("a", NOON)), ["v:total_order"])


def test_an_empty_frame_gives_the_columns_and_their_types(config: Any, feast: Any) -> None:
    publish(config, "features/v", feature_rows(("a", NOON, NOON, 1)))
    fv = view("features/v", {"f": Int64}, timedelta(days=1))
    untyped = pd.DataFrame(columns=["customer_id", "event_timestamp", "label"])

    for frame in (untyped, asked().drop(columns="row").assign(label=[])):
        rows = feast(CUSTOMER, fv).get_historical_features(frame, ["v:f"]).to_arrow()
        assert rows.column_names == ["customer_id", "event_timestamp", "label", "f"]
        assert rows.num_rows == 0
        assert rows.schema.field("f").type == pa.int64()
        assert pa.types.is_timestamp(rows.schema.field("event_timestamp").type)


def test_a_service_is_applied_before_its_table_exists_and_then_joins_with_every_column_kept(
    lake_settings: Settings, tmp_path: Path
) -> None:
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("feast_registry_url", "feast_online_url")}
    settings = replace(lake_settings, **urls)
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
    naive = entities.set_column(2, "event_timestamp", entities["event_timestamp"].cast(pa.timestamp("us")))
    with pytest.raises(UsageError, match="naive"):
        store.historical("churn_v1", naive)


def test_the_adapter_sees_what_was_known_unless_it_is_told_otherwise(lake_settings: Settings, tmp_path: Path) -> None:
    urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("feast_registry_url", "feast_online_url")}
    store = FeatureStoreAdapter.from_settings(replace(lake_settings, **urls))
    store.apply()
    names = store.service_features("churn_v1")
    created = pa.array([NOON, NOON + timedelta(days=2)], INSTANT)
    publish(
        SimpleNamespace(offline_store=SimpleNamespace(lake_uri=lake_settings.lake_uri)),
        "features/customer_daily",
        pa.table(
            {
                "customer_id": ["a", "a"],
                "event_timestamp": pa.array([NOON, NOON], INSTANT),
                "created_timestamp": created,
                **{name: pa.array([1, 2]) for name in names},
            }
        ),
    )
    entities = pa.table({"customer_id": ["a"], "event_timestamp": pa.array([NOON + timedelta(days=1)], INSTANT)})

    found = [
        store.historical("churn_v1", entities, known_at=known)["tenure_days"].to_pylist() for known in (True, False)
    ]

    assert found == [[1], [2]]
    assert store.historical("churn_v1", entities)["tenure_days"].to_pylist() == [1]
