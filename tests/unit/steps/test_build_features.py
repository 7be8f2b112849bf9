from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.adapters.compute_duckdb import run_select
from include.errors import MlopsError, RefusedError, UsageError
from include.partitions import span
from include.steps import build_features as step
from include.steps.build_features import build_features, build_night
from tests.raw_orders import line, orders, publish_orders, random_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, TABLE = "customer_daily", "features/customer_daily"


@pytest.fixture
def deployment(tmp_path: Path) -> FakeDeployment:
    return FakeDeployment(tmp_path / "lake")


def build(deployment: Any, start: str, end: str | None = None) -> Any:
    return build_features(deployment, GROUP, start=start, end=end or start)


def test_without_orders_it_refuses_and_names_the_next_move(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match=r"no orders \(table raw/orders\); import some first"):
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

    with pytest.raises(MlopsError, match=r"total_spend_30d: values from 1e\+10 to 1e\+10 in 1 rows, allowed: \[0, 1e"):
        build(deployment, "2024-01-02")

    assert (deployment.lake.version(TABLE), deployment.lake.digest(TABLE)) == (0, before)
    assert len(deployment.state.recorded) == 1


def test_a_result_of_another_schema_is_not_published(
    deployment: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_orders(deployment.lake, orders(line("2024-01-01")))
    monkeypatch.setattr(step, "run_select", lambda *args, **kwargs: run_select(*args, **kwargs).drop(["tenure_days"]))

    with pytest.raises(MlopsError, match="tenure_days: no such column, allowed: int64"):
        build(deployment, "2024-01-01")
    assert not deployment.lake.exists(TABLE)


def test_a_range_that_ends_before_it_starts_is_refused(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="swap them"):
        build(deployment, "2024-01-02", "2024-01-01")


def deliver(deployment: Any, night: str, *lines: dict[str, Any], touched: tuple[str, ...]) -> None:
    """Write lines, and the record of a night's delivery that brought them."""
    days = sorted({night, *touched})
    present = deployment.lake.read("raw/orders")
    raw = pa.concat_tables([present, orders(*lines)]) if lines else present
    deployment.lake.replace("raw/orders", raw, keys=sorted(map(str, raw["dt"].unique().to_pylist())))
    kept = deployment.lake.read("raw/deliveries")
    records = pa.concat_tables([kept, arrivals(days, [night] * len(days)).select(kept.column_names)])
    deployment.lake.replace("raw/deliveries", records, keys=sorted({str(day) for day in records["dt"].to_pylist()}))


def arrivals(days: list[str], delivered: list[str]) -> pa.Table:
    """Return the records of days, each with rows, that came with the deliveries of some nights."""
    dt = [date.fromisoformat(day) for day in days]
    return pa.table({"dt": dt, "delivered": delivered, "rows_published": [1] * len(days)})


def arrive(deployment: Any, *lines: dict[str, Any]) -> None:
    raw = orders(*lines)
    days = sorted(map(str, raw["dt"].unique().to_pylist()))
    deployment.lake.replace("raw/orders", raw, keys=days)
    keys = span(days[0], days[-1])
    deployment.lake.replace("raw/deliveries", arrivals(keys, keys), keys=keys)


def test_a_night_without_late_rows_is_built_alone(deployment: FakeDeployment) -> None:
    arrive(deployment, line("2024-01-01"), line("2024-01-02"), line("2024-01-03"))
    build(deployment, "2024-01-01", "2024-01-02")
    assert (build_night(deployment, GROUP, partition="2024-01-03").start) == "2024-01-03"


def test_a_night_with_late_rows_is_built_from_their_day_on(deployment: FakeDeployment) -> None:
    arrive(deployment, line("2024-01-01"), line("2024-01-02"), line("2024-01-03"))
    build(deployment, "2024-01-01", "2024-01-03")
    late = line("2024-01-02 12:00:00", customer="c2", received_at=datetime(2024, 1, 5, tzinfo=UTC))
    deliver(deployment, "2024-01-04", late, touched=("2024-01-02",))

    built = build_night(deployment, GROUP, partition="2024-01-04")

    assert (built.start, built.end) == ("2024-01-02", "2024-01-04")
    rows = deployment.lake.read(TABLE, start="2024-01-02", end="2024-01-02")
    assert sorted(rows["customer_id"].to_pylist()) == ["c1", "c2"]


def test_late_rows_from_before_the_first_partition_build_none_before_it(deployment: FakeDeployment) -> None:
    arrive(deployment, line("2024-01-01"), line("2024-01-02"), line("2024-01-03"))
    build(deployment, "2024-01-03")
    late = line("2024-01-01 12:00:00", customer="c2", received_at=datetime(2024, 1, 5, tzinfo=UTC))
    deliver(deployment, "2024-01-04", late, touched=("2024-01-01",))
    assert build_night(deployment, GROUP, partition="2024-01-04").start == "2024-01-03"
