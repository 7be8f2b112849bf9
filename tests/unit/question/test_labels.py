"""The snapshots, and the label's statement against a recomputation in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from include import partitions
from include.adapters.compute.duckdb_compute import run_select
from include.question.labels import label_sql_path, snapshot_days
from tests.raw_orders import line, orders, random_orders
from tests.unit.training.examples_builder import make_spec

AS_OF, SNAPSHOT = "2024-03-31", "2024-03-02"  # the snapshot stands at 2024-03-02 00:00Z, its horizon ends 30 days later


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def label(raw: pa.Table, *snapshots: str, active: int = 30, horizon: int = 30, as_of: str = AS_OF) -> dict[Any, int]:
    rows = run_select(
        label_sql_path("no_order").read_text(),
        {
            "orders": raw,
            "snapshots": pa.table({"event_timestamp": pa.array(map(at, snapshots), pa.timestamp("us", tz="UTC"))}),
        },
        purpose="a test",
        parameters={
            "as_of": as_of,
            "known_until": partitions.end_of(as_of),
            "active_within_days": active,
            "horizon_days": horizon,
        },
    ).to_pylist()
    found = {(row["customer_id"], f"{row['event_timestamp']:%Y-%m-%d}"): row["label"] for row in rows}
    assert len(found) == len(rows), "an entity stands twice in one snapshot"
    return found


def test_last_snapshot_is_the_newest_whose_label_is_known():
    spec = make_spec(window_days=28, snapshot_every_days=7)
    days = snapshot_days("2024-03-31", spec.label, spec.training)
    assert days == ["2024-02-25", "2024-03-03", "2024-03-10", "2024-03-17"]
    assert partitions.end_of(days[-1]) + timedelta(days=spec.label.horizon_days) == partitions.end_of("2024-03-31")


@pytest.mark.parametrize(
    ("second_order", "expected"),
    [
        (None, 1),
        ("2024-03-02T00:00:00", 0),
        ("2024-03-31T23:59:59", 0),
        ("2024-04-01T00:00:00", 1),
    ],
    ids=["never", "at the snapshot", "in the last second of the horizon", "when the horizon is over"],
)
def test_label_is_one_unless_an_order_lies_in_the_half_open_horizon(second_order, expected):
    lines = [line("2024-03-01T10:00:00")] + ([line(second_order)] if second_order else [])
    assert label(orders(*lines), SNAPSHOT, as_of="2024-04-02") == {("c1", SNAPSHOT): expected}


def test_an_order_received_after_the_as_of_day_is_not_known():
    late = line("2024-03-20T10:00:00", received_at=at("2024-04-01T00:00:01"))
    on_time = line("2024-03-20T10:00:00", received_at=at("2024-04-01T00:00:00"))
    assert label(orders(line("2024-03-01T10:00:00"), late), SNAPSHOT) == {("c1", SNAPSHOT): 1}
    assert label(orders(line("2024-03-01T10:00:00"), on_time), SNAPSHOT) == {("c1", SNAPSHOT): 0}


def test_an_order_that_was_not_received_by_the_snapshot_puts_nobody_into_its_population():
    late = line("2024-03-01T10:00:00", received_at=at("2024-03-03T00:00:00"))
    assert label(orders(late), SNAPSHOT) == {}


@pytest.mark.parametrize(
    ("last_order", "is_in"),
    [("2024-01-31T00:00:01", True), ("2024-01-31T00:00:00", False), ("2024-03-01T23:59:59", True)],
    ids=["30 whole days old", "31 whole days old", "just before"],
)
def test_population_is_whose_last_order_is_at_most_so_many_whole_days_old(last_order, is_in):
    assert bool(label(orders(line(last_order)), SNAPSHOT)) is is_in


@pytest.mark.parametrize("kind", ["cancellation", "return", "dispute"])
def test_only_sales_are_orders(kind):
    other = line("2024-03-20T10:00:00", kind=kind)
    assert label(orders(line("2024-03-01T10:00:00"), other), SNAPSHOT) == {("c1", SNAPSHOT): 1}
    assert label(orders(line("2024-03-01T10:00:00", kind=kind)), SNAPSHOT) == {}


def test_labels_equal_a_recomputation_in_plain_python():
    raw = random_orders(rows=600, customers=60, first_day="2024-01-01", days=90, seed=3)
    snapshots = ["2024-02-01", "2024-02-08", "2024-02-15", "2024-02-22", SNAPSHOT]
    expected = {(c, s): v for s in snapshots for c, v in brute_force(raw, at(s)).items()}
    assert label(raw, *snapshots) == expected
    assert 0 < sum(expected.values()) < len(expected)


def brute_force(raw: pa.Table, snapshot: datetime) -> dict[str, int]:
    known = [row for row in raw.to_pylist() if row["kind"] == "sale" and row["received_at"] <= partitions.end_of(AS_OF)]
    placed: dict[tuple[str, str], list[datetime]] = {}
    for row in known:
        order = placed.setdefault((row["customer_id"], row["order_id"]), [row["ordered_at"], row["received_at"]])
        order[:] = [min(order[0], row["ordered_at"]), min(order[1], row["received_at"])]
    labels = {}
    for customer in {customer for customer, _ in placed}:
        mine = [times for (c, _), times in placed.items() if c == customer]
        before = [when for when, received in mine if when < snapshot and received <= snapshot]
        if before and (snapshot - max(before)).days <= 30:
            labels[customer] = int(not any(snapshot <= when < snapshot + timedelta(days=30) for when, _ in mine))
    return labels
