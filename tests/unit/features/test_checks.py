from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.features.checks import expected_schema, find_violations
from include.specs.groups import ColumnSpec, EntitySpec, FeatureGroupSpec, VolumeSpec

SPEC = FeatureGroupSpec(
    sources=("orders",),
    group="g",
    description="",
    owner="o",
    entity=EntitySpec(name="customer", keys=("customer_id",)),
    ttl_days=1,
    freshness_days=14,
    volume=VolumeSpec(rows_min=100, ratio_min=0.5, ratio_max=2.0),
    columns=(
        ColumnSpec(name="orders", dtype="int64", unit="orders", meaning="", min=0, max=10),
        ColumnSpec(name="gap", dtype="float32", unit="days", meaning="", min=0, nulls_max=0.5),
    ),
)


PAIRS = SPEC.model_copy(update={"entity": EntitySpec(name="customer_category", keys=("customer_id", "category"))})


def make_rows(*changes: dict[str, Any], spec: FeatureGroupSpec = SPEC) -> pa.Table:
    at = datetime(2024, 1, 2, tzinfo=UTC)
    rows = [
        {
            "customer_id": f"c{n}",
            "event_timestamp": at,
            "created_timestamp": at,
            "orders": n,
            "gap": 1.5,
            "dt": date(2024, 1, 1),
            **change,
        }
        for n, change in enumerate(changes)
    ]
    return pa.Table.from_pylist(rows, schema=expected_schema(spec))


def messages(rows: pa.Table) -> list[str]:
    return [str(violation) for violation in find_violations(rows, SPEC)]


def test_rows_of_the_schema_with_keys_of_their_own_break_nothing_whatever_their_values() -> None:
    assert messages(make_rows({"orders": -1}, {"orders": None}, {"gap": float("nan")})) == []


def test_an_empty_table_breaks_nothing() -> None:
    assert messages(make_rows()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": None, "created_timestamp": datetime(2025, 1, 2, tzinfo=UTC)}, "customer_id: null in 1 rows"),
        ({"dt": None}, "dt: null in 1 rows"),
    ],
    ids=["no key", "no partition"],
)
def test_a_violation_names_column_count_and_what_is_allowed(change: dict[str, Any], message: str) -> None:
    assert messages(make_rows({}, change)) == [f"{message}, allowed: no nulls"]


def test_a_repeated_key_is_a_violation() -> None:
    (found,) = find_violations(make_rows({"customer_id": "a"}, {"customer_id": "a"}), SPEC)

    assert (found.column, found.rows) == ("customer_id, event_timestamp, created_timestamp", 1)


def test_whose_rows_break_their_keys_is_told_and_on_which_days() -> None:
    rows = make_rows({"customer_id": "a"}, {"customer_id": "a"}, {"customer_id": "b", "created_timestamp": None})

    found = find_violations(rows, SPEC)

    assert [[str(offender) for offender in each.offenders] for each in found] == [
        ["customer_id=b of 2024-01-01"],
        ["customer_id=a of 2024-01-01"],
    ]
    assert {each.partitions for each in found} == {("2024-01-01",)}


def test_a_row_without_a_day_is_counted_and_nobodys() -> None:
    (found,) = find_violations(make_rows({}, {"dt": None}), SPEC)
    assert (found.rows, found.partitions, found.offenders) == (1, (), ())


def test_a_missing_an_unexpected_and_a_mistyped_column_are_all_named() -> None:
    rows = make_rows({}).drop(["gap"]).append_column("extra", pa.array([1]))
    rows = rows.set_column(rows.column_names.index("orders"), "orders", rows["orders"].cast(pa.int32()))

    assert messages(rows) == [
        "orders: int32, allowed: int64",
        "gap: no such column, allowed: float",
        "extra: int64, allowed: no such column",
    ]


def test_columns_in_another_order_are_a_violation() -> None:
    rows = make_rows({})

    (found,) = find_violations(rows.select(rows.column_names[::-1]), SPEC)

    assert found.column == "columns"


def test_all_keys_come_first_in_their_order() -> None:
    assert expected_schema(PAIRS).names[:3] == ["customer_id", "category", "event_timestamp"]


def test_rows_that_share_a_part_of_their_key_break_nothing() -> None:
    pairs = [("a", "b"), ("a", "c"), ("d", "b")]
    rows = make_rows(*({"customer_id": a, "category": b} for a, b in pairs), spec=PAIRS)

    assert find_violations(rows, PAIRS) == ()


def test_a_repeated_pair_and_a_null_in_any_key_are_violations() -> None:
    pairs = [("a", "b"), ("a", "b"), ("a", None), (None, "b")]
    rows = make_rows(*({"customer_id": a, "category": b} for a, b in pairs), spec=PAIRS)

    found = {violation.column: violation.rows for violation in find_violations(rows, PAIRS)}

    assert found == {
        "customer_id": 1,
        "category": 1,
        "customer_id, category, event_timestamp, created_timestamp": 1,
    }
