"""The view of a customer and a category, on every store: written, guarded, read, joined and forgotten by both keys."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from feast import FeatureStore, FeatureView
from feast.utils import _convert_arrow_to_proto
from redis import Redis

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.errors import UsageError
from include.partitions import end_of, span
from include.settings import Settings
from include.specs.groups import load_feature_group
from tests.contracts.conftest import applied_stores
from tests.everyday import members
from tests.online_stores import FEATURE, clear, feature_rows, publish, store_settings, store_under_test, stored
from tests.pairs import (
    COUNT,
    GROUP,
    KEYS,
    MIXED,
    OF_CUSTOMERS,
    PAIRS,
    SERVICE,
    SHARE,
    TURNED,
    Pair,
    pair_rows,
    specs_of_pairs,
)

DAYS = span("2024-01-01", "2024-01-04")
AT = end_of(DAYS[0])

applied = applied_stores(daily=["postgresql", "redis"])


@pytest.fixture(scope="module", autouse=True)
def specs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with specs_of_pairs(tmp_path_factory.mktemp("specs")):
        yield


@pytest.fixture
def store(settings: Settings) -> FeatureStoreAdapter:
    return FeatureStoreAdapter.from_settings(settings)


def orders_of(store: FeatureStoreAdapter, *pairs: Pair) -> list[int | None]:
    values: list[int | None] = store.online_group(GROUP, pairs, at=AT).values[COUNT[GROUP]].to_pylist()
    return values


def push(store: FeatureStoreAdapter, rows: pa.Table) -> None:
    FeatureStore(config=store.config).write_to_online_store(GROUP, rows.drop_columns(["dt"]).to_pandas())


def messages(store: FeatureStoreAdapter, rows: pa.Table) -> tuple[FeatureView, list[object]]:
    view = FeatureStore(config=store.config).get_feature_view(GROUP)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    return view, _convert_arrow_to_proto(rows.combine_chunks(), view, keys)


def test_feast_knows_a_key_by_the_name_that_it_has_alone_and_views_by_their_keys_in_order(
    store: FeatureStoreAdapter,
) -> None:
    feast = FeatureStore(config=store.config)

    assert {entity.name: entity.join_key for entity in feast.list_entities()} == {
        "customer": "customer_id", "category": "category", "order": "order_id", "product": "product_id",
    }  # fmt: skip
    views = {view.name: (view.entities, view.join_keys) for view in feast.list_feature_views()}
    assert views[GROUP] == (["customer", "category"], ["customer_id", "category"])
    assert views[TURNED] == (["category", "customer"], ["category", "customer_id"])
    assert views[OF_CUSTOMERS] == (["customer"], ["customer_id"])


def test_pairs_come_back_in_the_order_asked_under_both_keys(store: FeatureStoreAdapter, settings: Settings) -> None:
    publish(settings, pair_rows(PAIRS, DAYS[0], orders=range(len(PAIRS))), group=GROUP)
    assert store.materialize(GROUP, start=DAYS[0], end=DAYS[0]) == len(PAIRS)
    asked = [*reversed(PAIRS), ("x", "b"), PAIRS[1], ("a", "nothing")]

    found = store.online_group(GROUP, asked, at=AT)

    assert found.join_keys == ("customer_id", "category")
    assert found.values.column_names == [*KEYS, *load_feature_group(GROUP).feature_names]
    assert list(zip(*(found.values[name].to_pylist() for name in KEYS), strict=True)) == asked
    assert found.values[COUNT[GROUP]].to_pylist() == [*reversed(range(len(PAIRS))), None, 1, None]
    assert found.unknown == (("x", "b"), ("a", "nothing"))
    assert found.event_timestamps.schema.names == found.status.schema.names == found.values.schema.names


def test_views_that_name_their_keys_in_different_orders_are_read_together(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    for group, orders in ((GROUP, 1), (TURNED, 2)):
        publish(settings, pair_rows([("a", "x")], DAYS[0], group=group, orders=[orders]), group=group)
        store.materialize(group, start=DAYS[0], end=DAYS[0])

    found = store.warm(SERVICE).read([("a", "x"), ("x", "a")], at=AT)

    orders = [found.values[COUNT[group]].to_pylist() for group in (GROUP, TURNED)]
    assert orders == [[1, None], [2, None]]
    assert store.online_group(TURNED, [("x", "a")], at=AT).values[COUNT[TURNED]].to_pylist() == [2]


def test_a_pair_older_than_its_ttl_is_withheld_and_the_customers_others_are_not(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    for day, pairs in ((DAYS[0], [("a", "x"), ("a", "y"), ("b", "y")]), (DAYS[1], [("a", "y")])):
        publish(settings, pair_rows(pairs, day, orders=range(len(pairs))), group=GROUP)
        store.materialize(GROUP, start=day, end=day)
    asked, ttl = [("a", "x"), ("a", "y"), ("b", "x")], timedelta(days=load_feature_group(GROUP).ttl_days)

    just, late = (store.online_group(GROUP, asked, at=AT + ttl + more) for more in (timedelta(0), timedelta.resolution))

    for found, status in ((just, "present"), (late, "stale")):
        assert found.status[COUNT[GROUP]].to_pylist() == [status, "present", "missing"]
        assert found.event_timestamps[COUNT[GROUP]].to_pylist() == [AT, end_of(DAYS[1]), None]
        assert found.unknown == (("b", "x"),)
    assert just.values[COUNT[GROUP]].to_pylist() == [0, 0, None]
    assert late.values[COUNT[GROUP]].to_pylist() == [None, 0, None]


def test_no_pairs_give_empty_tables_of_the_same_types(store: FeatureStoreAdapter) -> None:
    none, some = store.online_group(GROUP, [], at=AT), store.online_group(GROUP, [("a", "x")], at=AT)

    for empty, full in ((none.values, some.values), (none.status, some.status)):
        assert (empty.num_rows, full.num_rows, empty.schema) == (0, 1, full.schema)


def test_one_string_for_two_keys_is_refused(store: FeatureStoreAdapter) -> None:
    with pytest.raises(UsageError, match=r"key 'ax' is not a tuple of 2 strings; pass customer_id, category"):
        store.online_group(GROUP, ["ax"], at=AT)


def test_each_view_of_a_service_is_read_by_the_keys_that_it_has(store: FeatureStoreAdapter, settings: Settings) -> None:
    publish(settings, pair_rows([("a", "x"), ("a", "y"), ("c", "x")], DAYS[0], orders=[1, 2, 3]), group=GROUP)
    publish(settings, feature_rows(["a", "b"], DAYS[0], **{FEATURE: [10, 20]}))
    for group in (GROUP, OF_CUSTOMERS):
        store.materialize(group, start=DAYS[0], end=DAYS[0])
    asked = [("a", "y"), ("b", "x"), ("c", "x"), ("x", "a"), ("a", "x"), ("a", "y"), ("y", "x")]

    found = store.online(MIXED, asked, at=AT)

    assert found.join_keys == KEYS
    assert found.values.to_pydict() == {
        "customer_id": [customer for customer, _ in asked],
        "category": [category for _, category in asked],
        COUNT[GROUP]: [2, None, 3, None, 1, 2, None],
        FEATURE: [10, 20, None, None, 10, 10, None],
    }
    assert found.status[FEATURE].to_pylist()[:3] == ["present", "present", "missing"]
    assert found.unknown == (("x", "a"), ("y", "x"))
    feast = FeatureStore(config=store.config)
    theirs = feast.get_online_features(
        features=feast.get_feature_service(MIXED),
        entity_rows=[{"customer_id": customer, "category": category} for customer, category in asked],
    ).to_dict()
    assert theirs == found.values.to_pydict()


def test_bytes_are_feasts_whether_materialised_or_pushed(store: FeatureStoreAdapter, settings: Settings) -> None:
    rows = pair_rows(PAIRS, DAYS[0], created_after=timedelta(hours=5))
    publish(settings, rows, group=GROUP)
    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])
    materialised = stored(settings, with_guard=False, group=GROUP)
    clear(settings)
    push(store, rows)
    pushed = stored(settings, with_guard=False, group=GROUP)
    clear(settings)

    guarded = FeatureStore(config=store.config)._get_provider().online_store
    store_under_test(settings).plain.online_write_batch(guarded, store.config, *messages(store, rows), None)

    assert len(materialised) >= len(PAIRS)
    assert materialised == pushed == stored(settings, group=GROUP)


def test_feast_reads_the_same(store: FeatureStoreAdapter, settings: Settings) -> None:
    publish(settings, pair_rows(PAIRS, DAYS[0]), group=GROUP)
    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])
    asked = [*PAIRS, ("nobody", "x"), PAIRS[0]]

    feast = FeatureStore(config=store.config)
    theirs = feast.get_online_features(
        features=[f"{GROUP}:{name}" for name in load_feature_group(GROUP).feature_names],
        entity_rows=[{"category": category, "customer_id": customer} for customer, category in asked],
    ).to_dict()

    ours = store.online_group(GROUP, asked, at=AT).values.to_pydict()
    assert any(value is not None for value in ours[SHARE])
    assert {name: theirs[name] for name in ours} == ours


@pytest.mark.parametrize("order", members([(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)], daily=[(2, 0, 3, 1)]), ids=str)
def test_partitions_in_any_order_leave_the_newest_row_of_each_pair(
    store: FeatureStoreAdapter, settings: Settings, order: tuple[int, ...]
) -> None:
    held = [[("a", "x"), ("b", "x")], [("a", "y")], [("a", "x"), ("a", "y")], [("b", "x")]]
    publish(
        settings,
        *(pair_rows(h, day, orders=[n] * len(h)) for n, (day, h) in enumerate(zip(DAYS, held, strict=True))),
        group=GROUP,
    )

    for day in order:
        store.materialize(GROUP, start=DAYS[day], end=DAYS[day])

    assert orders_of(store, ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")) == [2, 2, 3, None]


def test_feasts_own_materialisation_is_guarded_too(store: FeatureStoreAdapter, settings: Settings) -> None:
    rows = [pair_rows([("a", "x"), ("a", "y")][: 2 - n], day, orders=[n, n][: 2 - n]) for n, day in enumerate(DAYS[:2])]
    publish(settings, *rows, group=GROUP)
    store.materialize(GROUP, start=DAYS[1], end=DAYS[1])

    FeatureStore(config=store.config).materialize(end_of(DAYS[0]), end_of(DAYS[0]), feature_views=[GROUP])

    assert orders_of(store, ("a", "x"), ("a", "y")) == [1, 0]


@pytest.mark.parametrize(
    ("event", "created", "wins"),
    [(0, 1, True), (0, -1, False), (1, -9, True), (-1, 9, False), (0, 0, True)],
    ids=["corrected", "before the correction", "newer event", "older event, created later", "same"],
)
def test_a_push_wins_by_event_time_and_then_by_created_time_and_over_its_own_pair_only(
    store: FeatureStoreAdapter, event: int, created: int, wins: bool
) -> None:
    before = [("a", "x"), ("a", "y"), ("b", "x")]
    push(store, pair_rows(before, DAYS[1], created_after=timedelta(days=9), orders=[1, 2, 3]))

    at = end_of(DAYS[1]) + timedelta(days=event)
    known = end_of(DAYS[1]) + timedelta(days=9 + created)
    push(store, pair_rows([("a", "x")], DAYS[1], event_at=at, created_after=known - at, orders=[7]))

    assert orders_of(store, *before) == [7 if wins else 1, 2, 3]


def test_parallel_writers_leave_the_newest_row_of_every_pair(store: FeatureStoreAdapter, settings: Settings) -> None:
    pairs = [(f"c{n % 20}", f"k{n // 20}") for n in range(200)]
    rng = np.random.default_rng(3)
    held = {day: [pairs[n] for n in sorted(rng.choice(200, 120, replace=False))] for day in DAYS}
    publish(settings, *(pair_rows(held[day], day, orders=[n] * 120) for n, day in enumerate(DAYS)), group=GROUP)

    def write(order: list[str]) -> None:
        writer = FeatureStoreAdapter.from_settings(settings)
        for day in order:
            writer.materialize(GROUP, start=day, end=day)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, [list(rng.permutation(DAYS)) for _ in range(3)]))

    newest = [max((n for n, day in enumerate(DAYS) if pair in held[day]), default=None) for pair in pairs]
    assert orders_of(store, *pairs) == newest


@pytest.mark.parametrize("known_at", [True, False])
def test_a_join_by_two_keys_equals_a_plain_loop(store: FeatureStoreAdapter, settings: Settings, known_at: bool) -> None:
    rng = np.random.default_rng(5)
    written = []
    for n in range(40):
        some = [PAIRS[i] for i in sorted(rng.choice(len(PAIRS), 4, replace=False))]
        late = timedelta(hours=int(rng.integers(0, 30)), seconds=n)
        written.append(pair_rows(some, DAYS[n % 4], created_after=late, orders=list(rng.integers(0, 1000, 4))))
    rows = pa.concat_tables(written)
    publish(settings, rows, group=GROUP)
    publish(settings, pair_rows(PAIRS, DAYS[0], group=TURNED), group=TURNED)
    asked = [PAIRS[i] for i in rng.integers(0, len(PAIRS), 200)] + [("nobody", "x"), ("x", "b")]
    moments = [AT + timedelta(hours=int(h)) for h in rng.integers(-10, 150, len(asked))]
    entities = pa.table(
        {"category": [c for _, c in asked], "event_timestamp": moments, "customer_id": [c for c, _ in asked]}
    )

    joined = store.historical(SERVICE, entities, known_at=known_at)

    truth = rows.to_pylist()
    ttl = timedelta(days=load_feature_group(GROUP).ttl_days)

    def seen(pair: Pair, at: datetime) -> int | None:
        mine = [
            (row["event_timestamp"], row["created_timestamp"], row[COUNT[GROUP]])
            for row in truth
            if (row["customer_id"], row["category"]) == pair and at - ttl <= row["event_timestamp"] <= at
        ]
        known = [version for version in mine if not known_at or version[1] <= at]
        return max(known)[2] if known else None

    found = joined[COUNT[GROUP]].to_pylist()
    assert joined.column_names[:3] == entities.column_names
    assert found == [seen(pair, at) for pair, at in zip(asked, moments, strict=True)]
    assert 50 < sum(value is not None for value in found) < len(asked)


def test_views_of_one_and_of_two_keys_join_in_one_service(store: FeatureStoreAdapter, settings: Settings) -> None:
    publish(settings, pair_rows([("a", "x"), ("b", "x")], DAYS[0], orders=[1, 2]), group=GROUP)
    publish(settings, feature_rows(["a", "b"], DAYS[0], **{FEATURE: [10, 20]}))
    entities = pa.table({"customer_id": ["b", "a", "a"], "category": ["x", "x", "y"], "event_timestamp": [AT] * 3})

    joined = store.historical(MIXED, entities)

    assert joined[COUNT[GROUP]].to_pylist() == [2, 1, None]
    assert joined[FEATURE].to_pylist() == [20, 10, 10]


def test_forgetting_a_customer_removes_the_pairs_that_they_are_in_and_no_others(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    publish(settings, pair_rows(PAIRS, DAYS[0], orders=range(len(PAIRS))), group=GROUP)
    publish(settings, pair_rows([("a", "x"), ("x", "a")], DAYS[0], group=TURNED), group=TURNED)
    publish(settings, feature_rows(["a", "b"], DAYS[0]))
    for group in (GROUP, TURNED, OF_CUSTOMERS):
        store.materialize(group, start=DAYS[0], end=DAYS[0])

    removed = store.forget("customer_id", "a")

    mine = [pair for pair in PAIRS if pair[0] == "a"]
    assert {view: count for view, count in removed.items() if count} == {GROUP: len(mine), TURNED: 1, OF_CUSTOMERS: 1}
    assert orders_of(store, *PAIRS) == [None if pair in mine else n for n, pair in enumerate(PAIRS)]
    assert store.online_group(TURNED, [("x", "a"), ("a", "x")], at=AT).unknown == (("x", "a"),)
    assert store.online_group(OF_CUSTOMERS, ["a", "b"], at=AT).unknown == ("a",)
    assert set(store.forget("customer_id", "a").values()) == {0}


@pytest.mark.parametrize("customer", ["*", "?", "\\", "[a]", "", "\x02\0\0\0\x01\0\0\0a"], ids=repr)
def test_a_customer_of_any_name_is_forgotten_and_alone(
    store: FeatureStoreAdapter, settings: Settings, customer: str
) -> None:
    others = [("a", "x"), ("ab", customer), (f"{customer}*", "x"), ("b", f"{customer}a")]
    publish(settings, pair_rows([(customer, "x"), (customer, ""), *others], DAYS[0]), group=GROUP)
    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])

    assert store.forget("customer_id", customer)[GROUP] == 2

    assert store.online_group(GROUP, [(customer, "x"), (customer, ""), *others], at=AT).unknown == (
        (customer, "x"), (customer, ""),
    )  # fmt: skip


def test_a_category_is_forgotten_as_a_customer_is_and_can_be_written_again(
    store: FeatureStoreAdapter, settings: Settings
) -> None:
    publish(settings, pair_rows([("a", "x"), ("x", "a"), ("a", "y")], DAYS[0], orders=[1, 2, 3]), group=GROUP)
    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])

    assert store.forget("category", "x") == {GROUP: 1, TURNED: 0}
    assert orders_of(store, ("a", "x"), ("x", "a"), ("a", "y")) == [None, 2, 3]

    store.materialize(GROUP, start=DAYS[0], end=DAYS[0])
    assert orders_of(store, ("a", "x")) == [1]


def test_a_row_that_the_lake_never_had_is_forgotten_too(store: FeatureStoreAdapter) -> None:
    push(store, pair_rows([("a", "x"), ("b", "x")], DAYS[0], orders=[1, 2]))

    assert store.forget("customer_id", "a")[GROUP] == 1
    assert orders_of(store, ("a", "x"), ("b", "x")) == [None, 2]


def test_redis_forgets_nothing_of_another_project(tmp_path: Path, redis_database: str) -> None:
    store = FeatureStoreAdapter.from_settings(store_settings(tmp_path, redis_database))
    store.apply()
    push(store, pair_rows([("a", "x")], DAYS[0]))
    with Redis.from_url(redis_database) as client:
        [mine] = client.keys("*")
        others = [mine.removesuffix(b"mlops") + project for project in (b"xmlops", b"8_bytes_mlops", b"other")]
        for key in others:
            client.hset(key, "f", "v")

        assert store.forget("customer_id", "a")[GROUP] == 1

        assert sorted(client.keys("*")) == sorted(others)
