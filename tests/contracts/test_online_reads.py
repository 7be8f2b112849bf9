"""Reading online on every store: each feature with its event time, and present, stale or missing.

A new store joins by one entry in ``tests.online_stores.ONLINE_STORES``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pyarrow as pa
import pytest
from feast import FeatureService, FeatureStore

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online.open_store import open_online_store
from include.adapters.online.reading import OnlineReader
from include.adapters.online.stored_columns import ViewColumns
from include.errors import UsageError
from include.partitions import end_of
from include.serving.read_plan import feast_project
from include.settings import PROJECT_ROOT, Settings
from include.specs.groups import load_feature_group
from include.specs.services import load_feature_service
from tests.everyday import members
from tests.online_stores import FEATURE, GROUP, KEY, ONLINE_STORES, SERVICE, feature_rows, publish, stored

DAY = "2024-01-01"
AT = end_of(DAY)
TTL = timedelta(days=load_feature_group(GROUP).ttl_days)


@pytest.fixture
def store(settings: Settings) -> FeatureStoreAdapter:
    """A store that knows `a` and `b` of one day; the average of `b` is null."""
    adapter = FeatureStoreAdapter.from_settings(settings)
    rows = feature_rows(
        ["a", "b"], DAY, created_after=timedelta(hours=7), **{FEATURE: [4, 1], "avg_order_value": [2.5, None]}
    )
    publish(settings, rows)
    adapter.materialize(GROUP, start=DAY, end=DAY)
    return adapter


def test_keys_come_back_in_the_order_asked_repeated_where_they_were(store: FeatureStoreAdapter) -> None:
    found = store.online(SERVICE, ["b", "nobody", "a", "b"], at=AT)

    assert found.values[KEY].to_pylist() == ["b", "nobody", "a", "b"]
    assert found.values[FEATURE].to_pylist() == [1, None, 4, 1]
    assert found.values.column_names == [KEY, *store.service_features(SERVICE)]


def test_unknown_keys_are_named_and_all_their_features_are_missing(store: FeatureStoreAdapter) -> None:
    found = store.online(SERVICE, ["x", "a", "y", "x"], at=AT)

    assert found.unknown == ("x", "y")
    assert found.status[FEATURE].to_pylist() == ["missing", "present", "missing", "missing"]
    assert found.event_timestamps[FEATURE].to_pylist() == [None, AT, None, None]
    assert found.created_timestamps[FEATURE].to_pylist() == [None, AT + timedelta(hours=7), None, None]


def test_a_known_null_is_present(store: FeatureStoreAdapter) -> None:
    found = store.online(SERVICE, ["a", "b"], at=AT)

    assert found.values["avg_order_value"].to_pylist() == [2.5, None]
    assert found.status["avg_order_value"].to_pylist() == ["present", "present"]
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("late", "status"),
    [(timedelta(0), "present"), (timedelta(microseconds=1), "stale"), (timedelta(days=400), "stale")],
    ids=["exactly the ttl old", "a microsecond older", "long ago"],
)
def test_a_value_older_than_its_ttl_is_withheld(store: FeatureStoreAdapter, late: timedelta, status: str) -> None:
    found = store.online(SERVICE, ["a"], at=AT + TTL + late)

    assert found.status[FEATURE].to_pylist() == [status]
    assert found.values[FEATURE].to_pylist() == [4 if status == "present" else None]
    assert found.event_timestamps[FEATURE].to_pylist() == [AT]
    assert found.unknown == ()


def test_of_keys_read_together_only_the_old_ones_are_stale(store: FeatureStoreAdapter, settings: Settings) -> None:
    later = "2024-01-03"
    publish(settings, feature_rows(["b"], later, **{FEATURE: [9]}))
    store.materialize(GROUP, start=later, end=later)

    found = store.online(SERVICE, ["a", "b", "c"], at=end_of(later))

    assert found.status[FEATURE].to_pylist() == ["stale", "present", "missing"]
    assert found.values[FEATURE].to_pylist() == [None, 9, None]


def test_without_a_time_ttl_is_judged_now(store: FeatureStoreAdapter) -> None:
    now = datetime.now(UTC)
    rows = feature_rows(["a"], DAY, event_at=now, **{FEATURE: [8]}).drop_columns(["dt"]).to_pandas()
    FeatureStore(config=store.config).write_to_online_store(GROUP, rows)

    found = store.online(SERVICE, ["a", "b"])

    assert found.status[FEATURE].to_pylist() == ["present", "stale"]


def test_a_row_of_after_the_time_of_the_read_is_present(store: FeatureStoreAdapter) -> None:
    assert store.online(SERVICE, ["a"], at=AT - timedelta(days=100)).values[FEATURE].to_pylist() == [4]


def test_each_feature_has_the_time_and_the_ttl_of_its_own_view(store: FeatureStoreAdapter, settings: Settings) -> None:
    feast = FeatureStore(config=store.config)
    scores = feast.get_feature_view("churn_scores")
    feast.apply(FeatureService(name="both", features=[feast.get_feature_view(GROUP)[[FEATURE]], scores]))
    values = {f.name: [0.5] if "Float" in str(f.dtype) else ["1"] for f in scores.features}
    scored = {KEY: ["a"], "event_timestamp": [AT - TTL], "created_timestamp": [AT], **values}
    feast.write_to_online_store("churn_scores", pa.table(scored).to_pandas())
    store = FeatureStoreAdapter.from_settings(settings)
    name = scores.features[0].name
    assert scores.ttl > TTL

    found = store.online("both", ["a", "b"], at=AT + TTL + timedelta(hours=1))

    assert found.status.select([FEATURE, name]).to_pylist() == [
        {FEATURE: "stale", name: "present"},
        {FEATURE: "stale", name: "missing"},
    ]
    assert found.event_timestamps.select([FEATURE, name]).to_pylist()[0] == {FEATURE: AT, name: AT - TTL}
    assert found.unknown == ()


def test_a_reader_without_feast_reads_the_same(store: FeatureStoreAdapter, settings: Settings) -> None:
    service = load_feature_service(SERVICE)
    views = [
        ViewColumns(
            group,
            spec.entity.keys,
            {name: pa.type_for_alias(spec.column_types[name]) for name in names},
            timedelta(days=spec.ttl_days),
        )
        for group, names in service.features.items()
        for spec in [load_feature_group(group)]
    ]
    opened = open_online_store(settings.feast_online_url, project=feast_project(), timeout_s=5)
    keys = ["b", "nobody", "a", "b"]

    for at in (AT, AT + TTL + timedelta(hours=1)):
        found, expected = OnlineReader(opened, views).read(keys, at=at), store.online(SERVICE, keys, at=at)
        for of in ("values", "status", "event_timestamps", "created_timestamps"):
            assert getattr(found, of).equals(getattr(expected, of))
        assert found.unknown == expected.unknown


def test_feasts_own_reads_go_on_while_it_materialises_and_after_that_was_killed(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    context = get_context("fork")
    is_writing = context.Event()

    def materialise() -> None:
        def wait(*_: object, **__: object) -> None:
            is_writing.set()
            time.sleep(60)

        feast = FeatureStore(config=FeatureStoreAdapter.from_settings(settings).config)
        # Not the store's write: what reads the lake has threads of its own, which no fork brings along.
        feast._get_provider().materialize_single_feature_view = wait
        feast.materialize(AT - timedelta(days=1), AT, feature_views=[GROUP])

    process = context.Process(target=materialise)
    process.start()
    assert is_writing.wait(30)
    feast = FeatureStore(config=FeatureStoreAdapter.from_settings(settings).config)

    def read(times: int) -> list[int]:
        rows = [{KEY: "a"}]
        answers = [feast.get_online_features(features=[f"{GROUP}:{FEATURE}"], entity_rows=rows) for _ in range(times)]
        return [answer.to_dict()[FEATURE][0] for answer in answers]

    assert read(500) == [4] * 500
    process.kill()
    process.join()
    assert read(500) == [4] * 500


def test_no_keys_give_empty_tables_of_the_same_types(store: FeatureStoreAdapter) -> None:
    none, some = store.online(SERVICE, [], at=AT), store.online(SERVICE, ["a"], at=AT)

    assert none.unknown == ()
    for empty, full in (
        (none.values, some.values),
        (none.status, some.status),
        (none.event_timestamps, some.event_timestamps),
    ):
        assert (empty.num_rows, full.num_rows) == (0, 1)
        assert empty.schema == full.schema


def test_a_group_is_read_with_all_its_features_and_a_part_with_those_named(store: FeatureStoreAdapter) -> None:
    whole = store.online_group(GROUP, ["a"], at=AT)
    assert set(whole.values.column_names) == {KEY, *(c.name for c in load_feature_group(GROUP).columns)}

    part = store.online_group(GROUP, ["a"], at=AT, features=["avg_order_value", FEATURE])
    assert part.values.to_pylist() == [{KEY: "a", "avg_order_value": 2.5, FEATURE: 4}]


@pytest.mark.parametrize(
    ("key", "said"),
    [(17850, r"17850 is of type int"), (17850.0, r"17850\.0 is of type float"), (None, r"None is of type NoneType")],
    ids=["int", "float", "None"],
)
def test_a_key_of_the_wrong_type_is_named_with_its_type(store: FeatureStoreAdapter, key: object, said: str) -> None:
    with pytest.raises(UsageError, match=rf"{KEY} {said}; keys are opaque strings"):
        store.online(SERVICE, ["a", key], at=AT)  # type: ignore[list-item]
    with pytest.raises(UsageError, match=said):
        store.forget("customer_id", key)  # type: ignore[arg-type]


def test_one_string_in_place_of_a_list_of_keys_is_refused(store: FeatureStoreAdapter) -> None:
    with pytest.raises(UsageError, match=r"pass a list of customer_id values"):
        store.online(SERVICE, "17850", at=AT)


def test_a_naive_time_is_refused(store: FeatureStoreAdapter) -> None:
    with pytest.raises(UsageError, match="has no time zone"):
        store.online(SERVICE, ["a"], at=AT.replace(tzinfo=None))


def test_an_unknown_name_comes_with_the_nearest_known_one(store: FeatureStoreAdapter) -> None:
    with pytest.raises(UsageError, match=r"unknown feature service 'churn_v2'; did you mean 'churn_v1'\?"):
        store.online("churn_v2", ["a"], at=AT)
    with pytest.raises(UsageError, match=r"unknown feature group 'customer_dayly'; did you mean 'customer_daily'\?"):
        store.online_group("customer_dayly", ["a"], at=AT)
    with pytest.raises(UsageError, match=r"has no feature 'total_order_30d'; did you mean 'total_orders_30d'\?"):
        store.online(SERVICE, ["a"], at=AT, features=["total_order_30d"])
    with pytest.raises(UsageError, match=r"unknown join key 'costumer_id'; did you mean 'customer_id'\?"):
        store.forget("costumer_id", "a")


def test_forgetting_an_entity_removes_its_rows_and_no_others(store: FeatureStoreAdapter, settings: Settings) -> None:
    removed = store.forget("customer_id", "a")

    assert removed[GROUP] == 1
    assert all(count == 0 for view, count in removed.items() if view != GROUP)
    found = store.online(SERVICE, ["a", "b"], at=AT)
    assert found.unknown == ("a",)
    assert found.values[FEATURE].to_pylist() == [None, 1]
    assert not any(b"\x01\x00\x00\x00a" in (key if isinstance(key, bytes) else key[0]) for key in stored(settings))
    assert set(store.forget("customer_id", "a").values()) == {0}


def test_a_forgotten_entity_can_be_written_again(store: FeatureStoreAdapter) -> None:
    store.forget("customer_id", "a")

    store.materialize(GROUP, start=DAY, end=DAY)

    assert store.online(SERVICE, ["a"], at=AT).values[FEATURE].to_pylist() == [4]


@pytest.mark.parametrize("applied", members(ONLINE_STORES, daily=["redis"]), indirect=True)
def test_a_read_after_warming_imports_nothing_and_resolves_nothing(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    # In a process of its own, whose modules no other test has loaded.
    program = f"""
import sys
from datetime import datetime
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online.open_store import open_online_store
from include.adapters.online.reading import OnlineReader
from include.adapters.online.stored_columns import ViewColumns
from include.settings import Settings
store = FeatureStoreAdapter.from_settings(Settings.from_env())
store.warm({SERVICE!r})
loaded = set(sys.modules)
type(store._store).get_feature_service = type(store._store).get_feature_view = None
found = store.online({SERVICE!r}, ["a", "nobody"], at=datetime.fromisoformat({AT.isoformat()!r}))
print(found.values[{FEATURE!r}].to_pylist(), found.status[{FEATURE!r}].to_pylist())
print(sorted(set(sys.modules) - loaded))
"""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT_ROOT),
        "MLOPS_LAKE_URI": settings.lake_uri,
        "MLOPS_FEAST_REGISTRY_URL": settings.feast_registry_url,
        "MLOPS_FEAST_ONLINE_URL": settings.feast_online_url,
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[4, None] ['present', 'missing']", "[]"]
