"""Each entity once, its newest row, and only who is active."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from include.errors import MlopsError
from include.question.population import select_population

_EVENT = datetime(2024, 1, 2, tzinfo=UTC)


def make_rows(*rows: tuple[str, int, int | None]) -> pa.Table:
    """Rows of (customer, day created, days since the last order)."""
    times = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "customer_id": pa.array([row[0] for row in rows], pa.string()),
            "event_timestamp": pa.array([_EVENT] * len(rows), times),
            "created_timestamp": pa.array([_EVENT.replace(day=row[1]) for row in rows], times),
            "days_since_last_order": pa.array([row[2] for row in rows], pa.int64()),
        }
    )


def select(rows: pa.Table) -> list[tuple[str, int]]:
    found = select_population(rows, key="customer_id", active_within_days=30)
    return list(zip(found["customer_id"].to_pylist(), found["days_since_last_order"].to_pylist(), strict=True))


def test_a_correction_counts_in_place_of_what_it_corrects():
    assert select(make_rows(("a", 5, 2), ("a", 2, 1), ("a", 3, 9))) == [("a", 2)]


def test_a_correction_that_takes_an_entity_out_of_the_population_takes_it_out():
    assert select(make_rows(("a", 2, 1), ("a", 3, 31))) == []


def test_the_limit_is_included_and_null_is_not_active():
    assert select(make_rows(("c", 2, None), ("b", 2, 30), ("a", 2, 31))) == [("b", 30)]


def test_rows_are_sorted_by_key():
    assert [key for key, _ in select(make_rows(("b", 2, 1), ("a", 2, 1), ("c", 2, 1)))] == ["a", "b", "c"]


def test_nobody_is_an_empty_population():
    assert select(make_rows()) == []


def test_without_recency_the_population_can_not_be_chosen():
    with pytest.raises(MlopsError, match="lack days_since_last_order"):
        select(make_rows(("a", 2, 1)).drop_columns("days_since_last_order"))
