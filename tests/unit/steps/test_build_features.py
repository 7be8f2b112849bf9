from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.lake.partition_reports import read_report
from include.adapters.sources.deliveries import delivered_days
from include.errors import MlopsError, RefusedError, UsageError
from include.steps import build_features as build_features_module
from include.steps.build_features import build_features
from tests.everyday import members
from tests.raw_orders import line, orders, publish_source, random_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, TABLE = "customer_daily", "features/customer_daily"


# What a statement gives that somebody has just begun to write, and what is said of it.
_BEGUN = {
    "no time that it is true at": (["event_timestamp"], "event_timestamp: no such column, allowed: timestamp"),
    "no time that it is known at": (["created_timestamp"], "created_timestamp: no such column, allowed: timestamp"),
    "no day": (["dt"], "dt: no such column, allowed: date"),
    "no key": (["customer_id"], "customer_id: no such column, allowed: string"),
    "a feature less": (["tenure_days"], "tenure_days: no such column, allowed: int64"),
    "neither times nor day": (["event_timestamp", "created_timestamp", "dt"], "dt: no such column, allowed: date"),
}


@pytest.fixture
def deployment(tmp_path: Path) -> FakeDeployment:
    return FakeDeployment(tmp_path / "lake")


def build(deployment: Any, start: str, end: str | None = None) -> Any:
    return build_features(deployment, GROUP, start=start, end=end or start)


def test_without_orders_it_refuses_and_names_the_next_move(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match=r"no orders \(table raw/orders\); import some first"):
        build(deployment, "2024-01-01")


def test_a_day_after_the_newest_orders_has_not_arrived(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01")))

    with pytest.raises(RefusedError, match="of 2024-01-01, so 2024-01-02 has not arrived"):
        build(deployment, "2024-01-01", "2024-01-02")
    assert not deployment.lake.exists(TABLE)


def test_a_range_is_published_in_one_commit_and_recorded_per_partition(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, orders(line("2024-01-02", customer="a"), line("2024-01-04", customer="b")))

    ref = build(deployment, "2024-01-01", "2024-01-04")

    assert (ref.group, ref.start, ref.end, ref.version, ref.rows) == (GROUP, "2024-01-01", "2024-01-04", 0, 4)
    counts = [("2024-01-01", 0), ("2024-01-02", 1), ("2024-01-03", 1), ("2024-01-04", 2)]
    assert deployment.state.recorded == [(TABLE, counts, 0)]
    assert deployment.lake.partitions(TABLE) == ["2024-01-02", "2024-01-03", "2024-01-04"]


def test_building_again_changes_nothing(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, random_orders(rows=200, customers=10, first_day="2024-01-01", days=40, seed=1))
    build(deployment, "2024-01-05", "2024-02-01")
    before = deployment.lake.digest(TABLE)

    again = build(deployment, "2024-01-10", "2024-01-12")

    assert (again.version, deployment.lake.digest(TABLE)) == (0, before)


def test_days_out_of_order_give_the_table_of_the_range(deployment: FakeDeployment, tmp_path: Path) -> None:
    raw = random_orders(rows=200, customers=10, first_day="2024-01-01", days=40, seed=2)
    other = FakeDeployment(tmp_path / "other")
    publish_source(deployment.lake, raw)
    publish_source(other.lake, raw)

    build(deployment, "2024-01-10", "2024-01-12")
    for day in ("2024-01-11", "2024-01-12", "2024-01-10"):
        build(other, day)

    assert other.lake.digest(TABLE) == deployment.lake.digest(TABLE)


def test_a_partition_is_kept_sorted_by_key(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, random_orders(rows=200, customers=30, first_day="2024-01-01", days=40, seed=5))
    build(deployment, "2024-01-01", "2024-02-01")

    kept = deployment.lake.read(TABLE, start="2024-01-20", end="2024-01-20")["customer_id"].to_pylist()

    assert len(kept) > 10
    assert kept == sorted(kept)


def test_rows_out_of_bounds_are_not_published_and_named(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01"), line("2024-01-02", quantity=10**9, unit_price=10.0)))
    build(deployment, "2024-01-01")
    before = deployment.lake.digest(TABLE)

    with pytest.raises(RefusedError, match=r"total_spend_30d: values like 1e\+10 … 1e\+10 in 1 rows, allowed: \[0, 1e"):
        build(deployment, "2024-01-02")

    assert (deployment.lake.version(TABLE), deployment.lake.digest(TABLE)) == (0, before)
    assert len(deployment.state.recorded) == 1


@pytest.mark.parametrize(("without", "said"), _BEGUN.values(), ids=_BEGUN)
def test_a_result_of_another_schema_is_not_published(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch, without: list[str], said: str
) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01"), line("2024-01-03")))
    real = deployment.compute.run_select
    monkeypatch.setattr(
        deployment.compute, "run_select", lambda *args, **kwargs: real(*args, **kwargs).drop_columns(without)
    )

    with pytest.raises(
        RefusedError, match=f"{said}.*customer_daily.sql has to give, in this order: customer_id VARCHA"
    ):
        build(deployment, "2024-01-01", "2024-01-03")
    assert not deployment.lake.exists(TABLE)


def test_a_key_that_is_there_twice_may_be_the_statements_fault(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01")))
    real = deployment.compute.run_select
    monkeypatch.setattr(
        deployment.compute, "run_select", lambda *args, **kwargs: pa.concat_tables([real(*args, **kwargs)] * 2)
    )

    with pytest.raises(RefusedError, match=r"repeated key in 1 rows.*have customer_daily\.sql give one row per key"):
        build(deployment, "2024-01-01")


@pytest.mark.parametrize(
    ("column", "as_published", "said"),
    [
        ("customer_id", pa.int64(), "customer_id is int64 there, and string by customer_daily.yaml"),
        ("total_orders_30d", pa.float64(), "total_orders_30d is double there, and int64 by"),
        ("total_spend_30d", pa.int64(), "total_spend_30d is int64 there, and float by"),
        ("avg_order_gap_days", pa.string(), "avg_order_gap_days is string there, and float by"),
    ],
)
def test_what_is_published_in_another_type_is_not_written_over_in_it(
    deployment: FakeDeployment, column: str, as_published: pa.DataType, said: str
) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01", customer="7")))
    build(deployment, "2024-01-01")
    rows = deployment.lake.read(TABLE)
    place = rows.schema.get_field_index(column)
    other = rows.set_column(place, column, rows[column].cast(as_published))
    shutil.rmtree(deployment.lake.uri.removeprefix("file://") + "/" + TABLE)
    deployment.lake.replace(TABLE, other, keys=["2024-01-01"])
    before = deployment.lake.digest(TABLE)

    with pytest.raises(RefusedError, match=f"{said}.*give the feature, or of a key the group, another name"):
        build(deployment, "2024-01-01")
    assert (deployment.lake.version(TABLE), deployment.lake.digest(TABLE)) == (0, before)


def test_orders_that_come_while_a_build_looks_are_in_what_it_builds_from(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01")))

    def meanwhile(lake: Any, source: Any) -> list[str]:
        publish_source(lake, orders(line("2024-01-01"), line("2024-01-02")))
        return delivered_days(lake, source)

    monkeypatch.setattr("include.steps.build_features.delivered_days", meanwhile)
    build(deployment, "2024-01-02")

    assert deployment.lake.read(TABLE)["total_orders_30d"].to_pylist() == [2]


def test_a_range_that_ends_before_it_starts_is_refused(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="swap them"):
        build(deployment, "2024-01-02", "2024-01-01")


@pytest.mark.thorough
@pytest.mark.parametrize("rows_at_once", members([1, 40], daily=[40]))
def test_a_range_that_is_built_in_portions_is_the_one_that_is_built_at_once(
    deployment: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    raw = random_orders(rows=300, customers=20, first_day="2024-01-01", days=40, seed=3)
    later = random_orders(rows=330, customers=20, first_day="2024-01-01", days=40, seed=3)
    in_portions = FakeDeployment(tmp_path / "portions")
    refs = []
    for target, rows in ((deployment, 10**6), (in_portions, rows_at_once)):
        monkeypatch.setattr(build_features_module, "ROWS_AT_ONCE", rows)
        for delivered in (raw, later):
            publish_source(target.lake, delivered)
            refs.append(build(target, "2024-01-24", "2024-01-29"))

    assert refs[2:] == refs[:2]
    assert in_portions.lake.digest(TABLE) == deployment.lake.digest(TABLE)
    assert in_portions.state.recorded == deployment.state.recorded


# What eleven lines of one order say, the days of a group that they spoil, and who is named for what.
STOPPERS = {
    "an order's pieces": ("order_risk", 10**8, 0.0, [3], "order_id=huge of 2024-01-03", "units"),
    "a ratio of two sums": ("order_risk", 10**8, 1.0, [3], "order_id=huge of 2024-01-03", "order_value"),
    "a sum that looks back": (
        "customer_daily",
        10**8,
        1.0,
        [3, 4, 5],
        "customer_id=c3 of 2024-01-03",
        "total_spend_30d",
    ),
    "a product": ("product_daily", 10**8, 0.0, [3, 4, 5], "product_id=p1 of 2024-01-03", "units_sold_7d"),
    "a sum beyond its type": ("customer_daily", 10**10, 1e6, [3, 4, 5], "", "DECIMAL(18,6)"),
}


@pytest.mark.parametrize("stopper", members(STOPPERS, daily=["a sum beyond its type"]))
def test_days_that_break_their_spec_are_named_and_all_others_of_the_range_are_published(
    deployment: FakeDeployment, stopper: str
) -> None:
    group, pieces, price, spoiled, who, what = STOPPERS[stopper]
    days = [line(f"2024-01-{day:02}", customer=f"c{day}") for day in range(1, 6)]
    huge = [
        line("2024-01-03 10:00:00", customer="c3", order="huge", line=n, quantity=pieces, unit_price=price)
        for n in range(11)
    ]
    publish_source(deployment.lake, orders(*days, *huge))

    with pytest.raises(RefusedError) as refused:
        build_features(deployment, group, start="2024-01-01", end="2024-01-05")

    kept = [f"2024-01-{day:02}" for day in range(1, 6) if day not in spoiled]
    assert deployment.lake.partitions(f"features/{group}") == kept
    assert sorted(deployment.state.publications(f"features/{group}")) == kept
    said = str(refused.value)
    assert f"{len(spoiled)} of 5 days of features/{group} are refused, the others (2024-01-01 … 2024-01-02" in said
    assert who in said
    assert what in said


def test_what_a_refused_range_publishes_is_what_its_days_would_publish_one_by_one(
    deployment: FakeDeployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = random_orders(rows=300, customers=20, first_day="2024-01-01", days=40, seed=3)
    huge = line("2024-01-27 10:00:00", customer="huge", quantity=10**9)
    raw, spoiled = pa.concat_tables([raw, orders(huge)]), ("2024-01-27", "2024-01-28", "2024-01-29")
    monkeypatch.setattr(build_features_module, "ROWS_AT_ONCE", 40)
    other = FakeDeployment(tmp_path / "other")
    for target in (deployment, other):
        publish_source(target.lake, raw)
    with pytest.raises(RefusedError, match=r"3 of 6 days.*\(customer_id=huge of 2024-01-27"):
        build(deployment, "2024-01-24", "2024-01-29")
    for day in ("2024-01-24", "2024-01-25", "2024-01-26"):
        build(other, day)

    assert deployment.lake.digest(TABLE) == other.lake.digest(TABLE)
    assert {check.partitions for check in read_report(deployment.lake, GROUP, "2024-01-29").failed} == {spoiled}
    assert read_report(deployment.lake, GROUP, "2024-01-26").passed


# A group, pieces and price of one customer's three orders, who is refused on the last one's day, and for which rows.
CAUSES = {
    "its own row": ("order_risk", [(1, 1.0), (1, 1.0), (10**9, 10.0)], "order_id=third", ["third"]),
    "a row of its customer's": (
        "order_risk",
        [(10**9, 100.0), (1, 1.0), (1, 1.0)],
        "order_id=third",
        ["first", "third"],
    ),
    "two rows together": ("customer_daily", [(7 * 10**7, 10.0), (1, 1.0), (7 * 10**7, 10.0)], "c1", ["first", "third"]),
    "a value that does not fit": ("customer_daily", [(1, 1.0), (1, 1.0), (10**9, 1e6)], "", ["third"]),
}


@pytest.mark.parametrize("cause", members(CAUSES, daily=["a row of its customer's", "a value that does not fit"]))
def test_a_refusal_names_the_fewest_rows_that_it_comes_of(deployment: FakeDeployment, cause: str) -> None:
    group, lines, who, rows = CAUSES[cause]
    made = [
        line(f"2024-01-0{day}", order=order, quantity=pieces, unit_price=price)
        for day, (order, (pieces, price)) in enumerate(zip(("first", "second", "third"), lines, strict=True), start=1)
    ]
    others = random_orders(rows=200, customers=10, first_day="2023-12-01", days=33, seed=6)
    publish_source(
        deployment.lake, pa.concat_tables([others.filter(pc.not_equal(others["customer_id"], "c1")), orders(*made)])
    )

    with pytest.raises(RefusedError) as refused:
        build_features(deployment, group, start="2024-01-03", end="2024-01-03")

    _, _, traced = str(refused.value).partition(" comes of ")
    assert re.findall(r"raw/orders \(order_id=(\w+), line=1, ", traced.partition(" comes of ")[0]) == rows
    assert who in str(refused.value)


def test_of_many_rows_that_it_takes_together_three_are_shown(deployment: FakeDeployment) -> None:
    lines = [line("2024-01-01", order="o", line=n, quantity=10**8, unit_price=1.0) for n in range(11)]
    publish_source(deployment.lake, orders(*lines))

    with pytest.raises(
        RefusedError, match=r"order_value of order_id=o comes of (raw/orders \(.*\), ){2}.*and 8 more rows"
    ):
        build_features(deployment, "order_risk", start="2024-01-01", end="2024-01-01")


def test_a_refusal_stands_where_its_rows_can_not_be_traced(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01", customer="somebody", quantity=10**9)))
    real = deployment.compute.run_select
    runs = []

    def once(*args: Any, **options: Any) -> pa.Table:
        runs.append(options["purpose"])
        if len(runs) > 1:
            raise MlopsError("the engine is out of memory")
        return real(*args, **options)

    monkeypatch.setattr(deployment.compute, "run_select", once)
    with pytest.raises(RefusedError, match="customer_id=somebody of 2024-01-01"):
        build(deployment, "2024-01-01")
    assert len(runs) == 2


def test_a_report_names_nobody(deployment: FakeDeployment) -> None:
    publish_source(deployment.lake, orders(line("2024-01-01", customer="somebody", quantity=10**9)))

    with pytest.raises(RefusedError, match="customer_id=somebody of 2024-01-01"):
        build(deployment, "2024-01-01")

    report = read_report(deployment.lake, GROUP, "2024-01-01")
    assert {check.partitions for check in report.failed} == {("2024-01-01",)}
    assert "somebody" not in report.to_json()


def test_a_day_without_rows_does_not_let_the_days_before_it_come_all_at_once(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = random_orders(rows=600, customers=30, first_day="2024-01-01", days=60, seed=4)
    publish_source(deployment.lake, pa.concat_tables([raw, orders(line("2024-03-04"))]))
    monkeypatch.setattr(build_features_module, "ROWS_AT_ONCE", 100)
    asked: list[int] = []
    real = deployment.compute.run_select

    def noted(*args: Any, **options: Any) -> pa.Table:
        found = real(*args, **options)
        asked.append(found.num_rows)
        return found

    monkeypatch.setattr(deployment.compute, "run_select", noted)
    build_features(deployment, "order_risk", start="2024-01-01", end="2024-03-03")

    assert asked[0] == 0
    assert sum(asked) > 250
    assert max(asked) <= 200
