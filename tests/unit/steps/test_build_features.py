from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.row_digest import digest
from include.errors import RefusedError, UsageError
from include.steps.build_features import build_features, build_night, heal_features
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


def test_a_range_that_ends_before_it_starts_is_refused(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="swap them"):
        build(deployment, "2024-01-02", "2024-01-01")


def arrive(deployment: Any, *lines: dict[str, Any], nights: list[str] | None = None) -> None:
    """Add lines to the lake, day by day, and the record that `nights` were delivered; by default the lines' days."""
    raw = orders(*lines)
    for day in sorted({made["dt"] for made in lines}):
        rows = raw.filter(pc.equal(raw["dt"], day))
        deployment.lake.update(
            "raw/orders",
            [str(day)],
            lambda present, rows=rows: rows if present is None else pa.concat_tables([present, rows]),
        )
    for night in nights if nights is not None else sorted({str(made["dt"]) for made in lines}):
        record = pa.table({"dt": [date.fromisoformat(night)], "delivered": [night], "rows_published": [1]})
        deployment.lake.replace("raw/deliveries", record, keys=[night])


def late(ordered_at: str, customer: str, **changes: Any) -> dict[str, Any]:
    return line(ordered_at, customer=customer, received_at=datetime(2024, 1, 5, tzinfo=UTC), **changes)


def versions(deployment: Any, day: str) -> list[tuple[str, str, int | None]]:
    rows = deployment.lake.read(TABLE, start=day, end=day).to_pylist()
    return [(r["customer_id"], r["created_timestamp"].date().isoformat(), r["total_orders_30d"]) for r in rows]


@pytest.fixture
def three_days(deployment: FakeDeployment) -> FakeDeployment:
    arrive(deployment, line("2024-01-01"), line("2024-01-02"), line("2024-01-03"))
    return deployment


def test_a_night_without_late_rows_is_built_alone(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-02")
    assert build_night(three_days, GROUP, partition="2024-01-03").start == "2024-01-03"


def test_a_night_with_late_rows_is_built_from_their_day_on(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    arrive(three_days, late("2024-01-02 12:00:00", "c2"), nights=["2024-01-04"])

    built = build_night(three_days, GROUP, partition="2024-01-04")

    assert (built.start, built.end) == ("2024-01-02", "2024-01-04")
    assert versions(three_days, "2024-01-02") == [("c1", "2024-01-03", 2), ("c2", "2024-01-05", 1)]


def test_late_rows_from_before_the_first_partition_build_none_before_it(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-03")
    arrive(three_days, late("2024-01-01 12:00:00", "c2"), nights=["2024-01-04"])
    assert build_night(three_days, GROUP, partition="2024-01-04").start == "2024-01-03"


def test_a_correction_adds_rows_where_something_changed_and_erases_none(three_days: FakeDeployment) -> None:
    arrive(three_days, line("2024-01-02 09:00:00", customer="c9"))
    build(three_days, "2024-01-01", "2024-01-03")
    before = three_days.lake.read(TABLE)
    arrive(three_days, late("2024-01-02 12:00:00", "c1"), nights=[])

    healed = heal_features(three_days, GROUP)

    assert healed is not None
    assert (healed.start, healed.end) == ("2024-01-02", "2024-01-03")
    assert versions(three_days, "2024-01-02") == [
        ("c1", "2024-01-03", 2),
        ("c1", "2024-01-05", 3),
        ("c9", "2024-01-03", 1),
    ]
    kept = three_days.lake.read(TABLE)
    past = kept.filter(
        pc.less(kept["created_timestamp"], pa.scalar(datetime(2024, 1, 5, tzinfo=UTC), kept["created_timestamp"].type))
    )
    assert digest(past) == digest(before)


def test_healing_again_finds_nothing_and_a_lake_without_corrections_neither(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    assert heal_features(three_days, GROUP) is None
    arrive(three_days, late("2024-01-02 12:00:00", "c1"), nights=[])
    assert heal_features(three_days, GROUP) is not None
    version = three_days.lake.version(TABLE)
    assert heal_features(three_days, GROUP) is None
    assert three_days.lake.version(TABLE) == version


def test_days_that_do_not_follow_one_another_are_healed_in_a_commit_each(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01")
    build(three_days, "2024-01-03")
    version = three_days.lake.version(TABLE)
    arrive(three_days, late("2024-01-01 12:00:00", "c2"), nights=[])
    heal_features(three_days, GROUP)
    assert three_days.lake.version(TABLE) == (version or 0) + 2
    assert three_days.lake.partitions(TABLE) == ["2024-01-01", "2024-01-03"]


def test_an_order_that_turns_out_to_be_another_customers_retracts_the_first_one(three_days: FakeDeployment) -> None:
    arrive(three_days, line("2024-01-03 08:00:00", customer="c5", order="o5"))
    build(three_days, "2024-01-03")
    moved = late("2024-01-03 08:00:00", "c6", order="o5")
    three_days.lake.update(
        "raw/orders",
        ["2024-01-03"],
        lambda rows: pa.concat_tables([rows.filter(pc.not_equal(rows["order_id"], "o5")), orders(moved)]),
    )

    heal_features(three_days, GROUP)

    assert versions(three_days, "2024-01-03") == [
        ("c1", "2024-01-04", 3),
        ("c5", "2024-01-04", 1),
        ("c5", "2024-01-05", None),
        ("c6", "2024-01-05", 1),
    ]


def test_a_group_that_was_never_built_can_not_be_healed(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="nothing to heal"):
        heal_features(deployment, GROUP)
