from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.adapters.orders.order_deliveries import delivered_days
from include.errors import RefusedError, UsageError
from include.steps.build_features import build_features
from tests.raw_orders import line, orders, publish_orders, random_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, TABLE = "customer_daily", "features/customer_daily"


@pytest.fixture
def deployment(tmp_path: Path) -> FakeDeployment:
    return FakeDeployment(tmp_path / "lake")


def build(deployment: Any, start: str, end: str | None = None) -> Any:
    return build_features(deployment, GROUP, start=start, end=end or start)


def test_without_orders_it_refuses_and_names_the_next_move(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match=r"no orders \(table raw/orders\); import some orders first"):
        build(deployment, "2024-01-01")


def test_a_day_after_the_newest_orders_has_not_arrived(deployment: FakeDeployment) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-01")))

    with pytest.raises(RefusedError, match="of 2024-01-01, so 2024-01-02 has not arrived"):
        build(deployment, "2024-01-01", "2024-01-02")
    assert not deployment.lake.exists(TABLE)


def test_a_range_is_published_in_one_commit_and_recorded_per_partition(deployment: FakeDeployment) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-02", customer="a"), line("2024-01-04", customer="b")))

    ref = build(deployment, "2024-01-01", "2024-01-04")

    assert (ref.group, ref.start, ref.end, ref.version, ref.rows) == (GROUP, "2024-01-01", "2024-01-04", 0, 4)
    counts = [("2024-01-01", 0), ("2024-01-02", 1), ("2024-01-03", 1), ("2024-01-04", 2)]
    assert deployment.state.recorded == [(TABLE, counts, 0)]
    assert deployment.lake.partitions(TABLE) == ["2024-01-02", "2024-01-03", "2024-01-04"]


def test_building_again_changes_nothing(deployment: FakeDeployment) -> None:
    publish_orders(deployment.lake, random_orders(rows=200, customers=10, first_day="2024-01-01", days=40, seed=1))
    build(deployment, "2024-01-05", "2024-02-01")
    before = deployment.lake.digest(TABLE)

    again = build(deployment, "2024-01-10", "2024-01-12")

    assert (again.version, deployment.lake.digest(TABLE)) == (0, before)


def test_days_out_of_order_give_the_table_of_the_range(deployment: FakeDeployment, tmp_path: Path) -> None:
    raw = random_orders(rows=200, customers=10, first_day="2024-01-01", days=40, seed=2)
    other = FakeDeployment(tmp_path / "other")
    publish_orders(deployment.lake, raw)
    publish_orders(other.lake, raw)

    build(deployment, "2024-01-10", "2024-01-12")
    for day in ("2024-01-11", "2024-01-12", "2024-01-10"):
        build(other, day)

    assert other.lake.digest(TABLE) == deployment.lake.digest(TABLE)


def test_a_partition_is_kept_sorted_by_key(deployment: FakeDeployment) -> None:
    publish_orders(deployment.lake, random_orders(rows=200, customers=30, first_day="2024-01-01", days=40, seed=5))
    build(deployment, "2024-01-01", "2024-02-01")

    kept = deployment.lake.read(TABLE, start="2024-01-20", end="2024-01-20")["customer_id"].to_pylist()

    assert len(kept) > 10
    assert kept == sorted(kept)


def test_rows_out_of_bounds_are_not_published_and_named(deployment: FakeDeployment) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-01"), line("2024-01-02", quantity=10**9, unit_price=10.0)))
    build(deployment, "2024-01-01")
    before = deployment.lake.digest(TABLE)

    with pytest.raises(RefusedError, match=r"total_spend_30d: values like 1e\+10 … 1e\+10 in 1 rows, allowed: \[0, 1e"):
        build(deployment, "2024-01-02")

    assert (deployment.lake.version(TABLE), deployment.lake.digest(TABLE)) == (0, before)
    assert len(deployment.state.recorded) == 1


def test_a_result_of_another_schema_is_not_published(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-01")))
    real = deployment.compute.run_select
    monkeypatch.setattr(
        deployment.compute, "run_select", lambda *args, **kwargs: real(*args, **kwargs).drop(["tenure_days"])
    )

    with pytest.raises(RefusedError, match="tenure_days: no such column, allowed: int64"):
        build(deployment, "2024-01-01")
    assert not deployment.lake.exists(TABLE)


def test_orders_that_come_while_a_build_looks_are_in_what_it_builds_from(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-01")))

    def meanwhile(lake: Any) -> list[str]:
        publish_orders(lake, orders(line("2024-01-01"), line("2024-01-02")))
        return delivered_days(lake)

    monkeypatch.setattr("include.steps.build_features.delivered_days", meanwhile)
    build(deployment, "2024-01-02")

    assert deployment.lake.read(TABLE)["total_orders_30d"].to_pylist() == [2]


def test_a_range_that_ends_before_it_starts_is_refused(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="swap them"):
        build(deployment, "2024-01-02", "2024-01-01")
