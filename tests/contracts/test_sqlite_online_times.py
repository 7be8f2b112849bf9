"""Times on SQLite, which Feast reads by the machine's clock: the guard and created times do not depend on its zone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feast import FeatureStore
from feast.utils import _convert_arrow_to_proto

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online import guarded_sqlite, sqlite_reads
from include.specs.groups import load_feature_group
from tests.online_stores import FEATURE, GROUP, KEY, feature_rows, store_settings

DAY = "2026-03-28"
NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
AT = datetime(2018, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
# Each zone's clocks skip the hour from here on, read as local time.
SKIPPED = {
    "Europe/Berlin": datetime(2026, 3, 29, 2, tzinfo=UTC),
    "America/New_York": datetime(2026, 3, 8, 2, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2018, 11, 4, tzinfo=UTC),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStoreAdapter:
    folder: Path = tmp_path_factory.mktemp("times")
    made = FeatureStoreAdapter.from_settings(store_settings(folder, f"sqlite:///{folder}/feast/online.db"))
    made.apply()
    return made


@pytest.fixture(params=["UTC", *SKIPPED])
def zone(request: pytest.FixtureRequest, store: FeatureStoreAdapter) -> Iterator[str]:
    """A zone of the machine's clock, with no row of `a` in the store."""
    store.forget("customer_id", "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        _reset_clock()
        yield request.param
    _reset_clock()


def _reset_clock() -> None:
    time.tzset()
    guarded_sqlite._event_seconds.cache_clear()
    sqlite_reads._event_us.cache_clear()


def write(
    store: FeatureStoreAdapter,
    value: int,
    event: datetime,
    created: datetime | None,
    *,
    features: Sequence[str] | None = None,
) -> None:
    """Write `a` as Feast hands rows to its online store, all its features or some."""
    view = FeatureStore(config=store.config).get_feature_view(GROUP)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    rows = feature_rows(["a"], DAY, event_at=event, **{FEATURE: [value]}).combine_chunks()
    messages = [
        (key, {name: values[name] for name in (values if features is None else features)}, event, created)
        for key, values, *_ in _convert_arrow_to_proto(rows, view, keys)
    ]
    store._online_store.online_write_batch(store.config, view, messages, None)


def held(store: FeatureStoreAdapter) -> tuple[object, object, object]:
    """Return the value, the event time and the created time that `a` has."""
    found = store.online_group(GROUP, ["a"], at=AT, features=[FEATURE])
    return tuple(
        table[FEATURE][0].as_py() for table in (found.values, found.event_timestamps, found.created_timestamps)
    )


def feast_reads_event(store: FeatureStoreAdapter) -> datetime:
    asked = FeatureStore(config=store.config).get_online_features([f"{GROUP}:{FEATURE}"], [{KEY: "a"}])
    at: datetime = asked.proto.results[1].event_timestamps[0].ToDatetime(tzinfo=UTC)
    return at


def test_of_equal_events_the_one_created_later_wins_whatever_hour_local_clocks_skip(
    store: FeatureStoreAdapter, zone: str
) -> None:
    skipped = SKIPPED.get(zone, NOON)
    before, after = skipped + 30 * MINUTE, skipped + 60 * MINUTE + timedelta(microseconds=7)

    write(store, 1, skipped - MINUTE, before)
    assert held(store) == (1, skipped - MINUTE, before)
    write(store, 2, skipped - MINUTE, after)
    assert held(store) == (2, skipped - MINUTE, after)
    write(store, 3, skipped - MINUTE, before)
    assert held(store) == (2, skipped - MINUTE, after)


def test_an_event_in_an_hour_that_local_clocks_skip_is_older_than_what_follows(
    store: FeatureStoreAdapter, zone: str
) -> None:
    skipped = SKIPPED.get(zone, NOON)
    write(store, 1, skipped + 30 * MINUTE, NOON)
    expected = skipped - timedelta(seconds=1) if zone in SKIPPED else skipped + 30 * MINUTE
    assert held(store)[1] == feast_reads_event(store) == expected

    write(store, 2, skipped + 60 * MINUTE, NOON)
    write(store, 3, skipped + 59 * MINUTE, NOON + MINUTE)

    assert held(store)[:2] == (2, skipped + 60 * MINUTE)
    assert feast_reads_event(store) == skipped + 60 * MINUTE


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_events_in_an_hour_that_local_clocks_repeat_are_apart(store: FeatureStoreAdapter, zone: str, hour: int) -> None:
    event = datetime(2026, 10, 25, 1 + hour, 30, tzinfo=UTC)

    write(store, 1, event, event)

    assert held(store)[1] == feast_reads_event(store) == event


def test_feast_reads_the_second_of_an_event_between_two(store: FeatureStoreAdapter, zone: str) -> None:
    write(store, 1, NOON + timedelta(microseconds=250_000), NOON + MINUTE)

    assert held(store) == (1, NOON, NOON + MINUTE)
    assert feast_reads_event(store) == NOON


def test_a_row_that_says_not_when_it_was_created_is_known_from_its_event_on(
    store: FeatureStoreAdapter, zone: str
) -> None:
    write(store, 1, NOON, NOON)
    write(store, 2, NOON, None)
    assert held(store) == (2, NOON, None)

    write(store, 3, NOON, NOON + MINUTE)
    write(store, 4, NOON, None)

    assert held(store) == (3, NOON, NOON + MINUTE)


@pytest.mark.parametrize("created", [NOON + MINUTE, None], ids=["created", "no created time"])
def test_what_feasts_own_code_writes_is_timed_alike(
    store: FeatureStoreAdapter, zone: str, created: datetime | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.config.online_store, "vector_enabled", True)

    write(store, 1, NOON, created)

    assert held(store) == (1, NOON, created)
    assert feast_reads_event(store) == NOON


def test_a_feature_that_is_newer_keeps_none_of_its_entitys_others_back(store: FeatureStoreAdapter, zone: str) -> None:
    names = [column.name for column in load_feature_group(GROUP).columns]
    write(store, 1, NOON, NOON)
    write(store, 2, NOON + 2 * MINUTE, NOON + 2 * MINUTE, features=[FEATURE])

    write(store, 3, NOON + MINUTE, NOON + MINUTE)

    found = store.online_group(GROUP, ["a"], at=AT, features=names).event_timestamps.select(names).to_pydict()
    assert found == {name: [NOON + (2 if name == FEATURE else 1) * MINUTE] for name in names}


def test_a_row_without_features_writes_nothing(store: FeatureStoreAdapter, zone: str) -> None:
    write(store, 1, NOON, NOON)

    write(store, 2, NOON + MINUTE, NOON + MINUTE, features=[])

    assert held(store) == (1, NOON, NOON)
