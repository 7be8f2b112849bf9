"""Bulk writes are Feast's own layout: byte for byte what Feast writes, and read by Feast alike.

A new store joins by one entry in ``tests.online_stores.ONLINE_STORES``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pyarrow as pa
import pytest
from feast import FeatureStore, FeatureView
from feast.utils import _convert_arrow_to_proto

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.errors import MlopsError
from include.partitions import end_of
from include.settings import Settings
from tests.online_stores import FEATURE, GROUP, KEY, SERVICE, clear, feature_rows, publish, store_under_test, stored

DAY = "2024-01-01"
# Not sorted, of several lengths, not only ASCII, and one that is a prefix of another.
KEYS = ["17850", "a", "ab", "", "Ω", "b" * 300, *(f"k{n}" for n in range(500))]


@pytest.fixture
def store(settings: Settings) -> FeatureStoreAdapter:
    return FeatureStoreAdapter.from_settings(settings)


def write_as_plain_feast(store: FeatureStoreAdapter, settings: Settings, rows: pa.Table) -> None:
    """Write by Feast's own conversion and its own store's code, on the guarded store's connection."""
    feast = FeatureStore(config=store.config)
    view: FeatureView = feast.get_feature_view(GROUP)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    messages = _convert_arrow_to_proto(rows.combine_chunks(), view, keys)
    plain = store_under_test(settings).plain
    plain.online_write_batch(feast._get_provider().online_store, store.config, view, messages, None)


def feast_reads(store: FeatureStoreAdapter, keys: Sequence[str]) -> dict[str, list[object]]:
    feast = FeatureStore(config=store.config)
    found: dict[str, list[object]] = feast.get_online_features(
        features=feast.get_feature_service(SERVICE), entity_rows=[{KEY: key} for key in keys]
    ).to_dict()
    return found


def test_bulk_written_bytes_are_feasts(store: FeatureStoreAdapter, settings: Settings) -> None:
    rows = feature_rows(KEYS, DAY, created_after=timedelta(hours=5))
    publish(settings, rows)

    assert store.materialize(GROUP, start=DAY, end=DAY) == len(KEYS)

    ours = stored(settings, with_guard=False)
    clear(settings)
    write_as_plain_feast(store, settings, rows)
    assert len(ours) >= len(KEYS)
    assert ours == stored(settings)


def test_pushed_bytes_are_feasts(store: FeatureStoreAdapter, settings: Settings) -> None:
    rows = feature_rows(KEYS, DAY)
    FeatureStore(config=store.config).write_to_online_store(GROUP, rows.drop_columns(["dt"]).to_pandas())

    ours = stored(settings, with_guard=False)
    clear(settings)
    write_as_plain_feast(store, settings, rows)
    assert ours == stored(settings)


def test_what_is_bulk_written_reads_the_same_by_feast_and_by_us_and_is_the_table(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    rows = feature_rows(KEYS, DAY)
    publish(settings, rows)
    store.materialize(GROUP, start=DAY, end=DAY)
    asked = [*reversed(KEYS), "nobody", KEYS[1]]

    ours = store.online(SERVICE, asked, at=end_of(DAY)).values

    theirs = feast_reads(store, asked)
    assert ours.to_pydict() == {name: theirs[name] for name in ours.column_names}
    truth = {row[KEY]: row for row in rows.to_pylist()}
    names = store.service_features(SERVICE)
    assert ours.drop_columns([KEY]).to_pylist() == [
        {name: truth[key][name] if key in truth else None for name in names} for key in asked
    ]


def test_more_rows_than_one_chunk_holds_are_all_written(
    store: FeatureStoreAdapter, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        ("guarded_sqlite", "GuardedSqliteOnlineStore.rows_per_chunk"),
        ("guarded_postgres", "GuardedPostgreSQLOnlineStore.rows_per_chunk"),
        ("guarded_redis", "_ROWS_PER_FLIGHT"),
        ("redis_guard", "_KEYS_PER_CALL"),
        ("sqlite_reads", "_KEYS_PER_QUERY"),
    ):
        monkeypatch.setattr(f"include.adapters.online.{module}.{name}", 7)
    keys = KEYS[:100]
    publish(settings, feature_rows(keys, DAY, **{FEATURE: range(100)}))

    store.materialize(GROUP, start=DAY, end=DAY)

    found = store.online_group(GROUP, keys, at=end_of(DAY), features=[FEATURE])
    assert found.values[FEATURE].to_pylist() == list(range(100))


def test_a_row_whose_features_are_all_null_is_written_as_any_other(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    rows = feature_rows(["gone"], DAY)
    publish(settings, rows)
    store.materialize(GROUP, start=DAY, end=DAY)
    features = [name for name in rows.column_names if name not in (KEY, "event_timestamp", "created_timestamp", "dt")]
    retraction = feature_rows(["gone"], DAY, created_after=timedelta(days=1), **{name: [None] for name in features})
    publish(settings, rows, retraction)

    store.materialize(GROUP, start=DAY, end=DAY)

    found = store.online_group(GROUP, ["gone"], at=end_of(DAY))
    assert set(found.values.drop_columns([KEY]).to_pylist()[0].values()) == {None}
    assert set(found.status.drop_columns([KEY]).to_pylist()[0].values()) == {"present"}
    assert found.created_timestamps[FEATURE].to_pylist() == [end_of(DAY) + timedelta(days=1)]


def test_a_row_without_a_key_is_refused_and_nothing_is_written(store: FeatureStoreAdapter, settings: Settings) -> None:
    publish(settings, feature_rows(["a"], DAY), feature_rows([None], DAY))  # type: ignore[list-item]

    with pytest.raises(MlopsError, match=rf"rows of {GROUP} hold null in \['{KEY}'\]"):
        store.materialize(GROUP, start=DAY, end=DAY)

    assert stored(settings) == {}
