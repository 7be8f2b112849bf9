"""The snapshots, what a label's statement has to keep, and the shipped one against a recomputation in plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from include import partitions
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.errors import SpecError
from include.question.labels import known_labels, snapshot_days
from include.specs.labels import load_label_kind
from tests.raw_orders import line, orders, random_orders
from tests.unit.training.examples_builder import make_spec

AS_OF, SNAPSHOT = "2024-03-31", "2024-03-02"  # the snapshot stands at 2024-03-02 00:00Z, its horizon ends 30 days later
INSTANT = pa.timestamp("us", tz="UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def label(
    raw: pa.Table, *examples: tuple[str, str], horizon: int = 30, as_of: str = AS_OF
) -> dict[Any, tuple[int, datetime]]:
    """Return label and when it became known of each example (customer, day), of those that are known."""
    asked = pa.table(
        {
            "customer_id": pa.array([customer for customer, _ in examples], pa.string()),
            "event_timestamp": pa.array([at(day) for _, day in examples], INSTANT),
        }
    )
    known_until = partitions.end_of(as_of)
    labelled = DuckDbCompute().run_select(
        load_label_kind("no_order", None).sql,
        {"orders": raw, "examples": asked},
        purpose="a test",
        parameters={"known_until": known_until, "horizon_days": horizon},
    )
    assert labelled.num_rows == len(examples)
    rows = known_labels(labelled, ["customer_id"], known_until=known_until, kind="no_order").to_pylist()
    return {(r["customer_id"], f"{r['event_timestamp']:%Y-%m-%d}"): (r["label"], r["known_at"]) for r in rows}


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
    found = label(orders(*lines), ("c1", SNAPSHOT), as_of="2024-04-02")
    assert found[("c1", SNAPSHOT)][0] == expected


def test_an_order_received_after_the_as_of_day_is_not_known():
    late = line("2024-03-20T10:00:00", received_at=at("2024-04-01T00:00:01"))
    on_time = line("2024-03-20T10:00:00", received_at=at("2024-04-01T00:00:00"))
    for second, expected in ((late, 1), (on_time, 0)):
        assert label(orders(line("2024-03-01T10:00:00"), second), ("c1", SNAPSHOT))[("c1", SNAPSHOT)][0] == expected


def test_an_order_is_known_once_it_is_received_and_none_when_the_horizon_is_over():
    second = line("2024-03-10T10:00:00", received_at=at("2024-03-15T06:00:00"))
    raw = orders(line("2024-03-01T10:00:00"), second, line("2024-03-01T10:00:00", customer="c2"))
    asked = [("c1", SNAPSHOT), ("c2", SNAPSHOT)]
    assert label(raw, *asked) == {asked[0]: (0, at("2024-03-15T06:00:00")), asked[1]: (1, at("2024-04-01"))}
    assert label(raw, *asked, as_of="2024-03-30") == {asked[0]: (0, at("2024-03-15T06:00:00"))}
    assert label(raw, *asked, as_of="2024-03-14") == {}


@pytest.mark.parametrize("kind", ["cancellation", "return", "dispute"])
def test_only_sales_are_orders(kind):
    other = line("2024-03-20T10:00:00", kind=kind)
    assert label(orders(line("2024-03-01T10:00:00"), other), ("c1", SNAPSHOT))[("c1", SNAPSHOT)][0] == 1


def test_somebody_without_any_order_is_labelled_too():
    assert label(orders(line("2024-03-05T10:00:00")), ("nobody", SNAPSHOT))[("nobody", SNAPSHOT)][0] == 1


def test_labels_equal_a_recomputation_in_plain_python():
    raw = random_orders(rows=600, customers=60, first_day="2024-01-01", days=90, seed=3)
    snapshots = ["2024-02-01", "2024-02-08", "2024-02-15", "2024-02-22", SNAPSHOT]
    examples = [(c, s) for s in snapshots for c in sorted(set(raw["customer_id"].to_pylist()))]
    found = {example: value for example, (value, _) in label(raw, *examples).items()}
    known = [row for row in raw.to_pylist() if row["kind"] == "sale" and row["received_at"] <= partitions.end_of(AS_OF)]
    assert found == {(c, s): ordered_nothing(known, c, at(s)) for c, s in examples}
    assert 0 < sum(found.values()) < len(found)


def ordered_nothing(known: list[dict[str, Any]], customer: str, snapshot: datetime) -> int:
    placed: dict[str, datetime] = {}
    for row in known:
        if row["customer_id"] == customer:
            placed[row["order_id"]] = min(placed.get(row["order_id"], row["ordered_at"]), row["ordered_at"])
    return int(not any(snapshot <= when < snapshot + timedelta(days=30) for when in placed.values()))


def labelled(**changes: list[Any]) -> pa.Table:
    columns = {
        "customer_id": ["c1", "c2"],
        "event_timestamp": [at(SNAPSHOT)] * 2,
        "label": [0, 1],
        "known_at": [at(SNAPSHOT)] * 2,
        **changes,
    }
    return pa.table(columns)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (labelled(label=[0, 2]), r"disputed\.sql gives the label 2; a label is 0 or 1"),
        (labelled(label=[None, 1]), r"disputed\.sql gives the label None"),
        (labelled(customer_id=["c1", "c1"]), r"disputed\.sql gives an example more than one label"),
        (labelled().drop_columns("known_at"), r"disputed\.sql gives no known_at"),
    ],
    ids=["two", "null", "twice", "no column"],
)
def test_a_statement_that_breaks_its_promise_is_named(rows, message):
    with pytest.raises(SpecError, match=message):
        known_labels(rows, ["customer_id"], known_until=at(AS_OF), kind="disputed")
