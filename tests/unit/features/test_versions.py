"""A correction adds a row, an unchanged row adds none, nothing is erased."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.versions import add_versions, newest_versions

EVENT = datetime(2024, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("event_timestamp", pa.timestamp("us", tz="UTC")),
        ("created_timestamp", pa.timestamp("us", tz="UTC")),
        ("f", pa.int64()),
        ("g", pa.float32()),
        ("dt", pa.date32()),
    ]
)


def row(key: str, f: int | None = 1, *, created: int = 0, g: float | None = None) -> dict[str, Any]:
    times = {"event_timestamp": EVENT, "created_timestamp": EVENT + created * DAY}
    return {"customer_id": key, **times, "f": f, "g": g, "dt": date(2024, 1, 1)}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def after(stored: pa.Table | None, computed: pa.Table, known_until: int | None = None) -> list[dict[str, Any]]:
    rows = add_versions(stored, computed, keys=("customer_id",), known_until=at(known_until))
    return list(rows.to_pylist())


def at(known_until: int | None) -> dict[date, datetime]:
    return {} if known_until is None else {date(2024, 1, 1): EVENT + known_until * DAY}


def test_a_first_build_is_stored_sorted_by_key() -> None:
    assert after(None, table(row("b"), row("a"))) == [row("a"), row("b")]


def test_an_unchanged_row_adds_nothing_even_when_its_sources_were_received_again() -> None:
    assert after(table(row("a", g=0.5)), table(row("a", g=0.5, created=3))) == [row("a", g=0.5)]


def test_a_changed_row_is_added_and_the_old_one_stays() -> None:
    assert after(table(row("a"), row("b")), table(row("a", 2, created=3), row("b"))) == [
        row("a"),
        row("a", 2, created=3),
        row("b"),
    ]


def test_a_value_that_becomes_null_or_stops_being_null_is_a_change() -> None:
    assert after(table(row("a", g=None)), table(row("a", g=1.0, created=1))) == [row("a"), row("a", g=1.0, created=1)]
    assert len(after(table(row("a", g=1.0)), table(row("a", g=None, created=1)))) == 2


def test_a_change_without_a_time_of_its_own_was_known_when_the_newest_source_row_was() -> None:
    assert after(table(row("a")), table(row("a", 2)), known_until=4) == [row("a"), row("a", 2, created=4)]


def test_a_change_that_no_time_tells_apart_takes_the_place_of_the_old_version() -> None:
    assert after(table(row("a"), row("a", 2, created=1)), table(row("a", 3)), known_until=1) == [
        row("a"),
        row("a", 3, created=1),
    ]
    assert after(table(row("a")), table(row("a", 3))) == [row("a", 3)]


@pytest.mark.parametrize(
    ("computed", "then"), [([row("a", 3)], row("a", 3, created=6)), ([], row("a", None, created=6))]
)
def test_a_change_of_which_no_row_up_to_its_day_tells_was_known_when_the_newest_row_of_all_was(
    computed: list[dict[str, Any]], then: dict[str, Any]
) -> None:
    """A correction has moved a row to a later day."""
    stored = table(row("a"), row("a", 2, created=1))
    rows = {
        known: add_versions(
            stored, table(*computed), keys=("customer_id",), known_until=at(known), known_at_last=EVENT + 6 * DAY
        ).to_pylist()
        for known in (1, 4, None)
    }
    assert rows[1] == [row("a"), row("a", 2, created=1), then]
    assert rows[4][-1]["created_timestamp"] == EVENT + 4 * DAY
    # Of a partition that was not corrected the definition is another one.
    assert rows[None] == [row("a"), {**then, "created_timestamp": EVENT + DAY}]


def test_an_entity_that_is_found_no_more_is_retracted_once() -> None:
    stored = table(row("a"), row("b"))
    once = after(stored, table(row("a")), known_until=2)
    assert once == [row("a"), row("b"), row("b", None, created=2)]
    assert after(table(*once), table(row("a")), known_until=5) == once


def test_a_retracted_entity_can_come_back() -> None:
    stored = table(row("a"), row("a", None, created=2))
    assert after(stored, table(row("a", created=3)), known_until=3)[-1] == row("a", created=3)


def test_a_column_that_the_table_did_not_have_is_filled_in_place() -> None:
    stored = table(row("a", g=0.5)).drop_columns(["g"])
    assert after(stored, table(row("a", g=0.5))) == [row("a", g=0.5)]
    assert after(stored, table(row("a", g=0.5)), known_until=9) == [row("a", g=0.5)]


def test_a_correction_is_a_version_of_its_own_also_where_a_column_is_new() -> None:
    stored = table(row("a")).drop_columns(["g"])
    assert after(stored, table(row("a", 2, g=0.5)), known_until=9) == [row("a"), row("a", 2, created=9, g=0.5)]


def test_what_was_learned_of_another_partition_dates_no_version() -> None:
    rows = add_versions(
        table(row("a")), table(row("a", 2)), keys=("customer_id",), known_until={date(2024, 1, 5): EVENT + 9 * DAY}
    )
    assert rows.to_pylist() == [row("a", 2)]


def test_a_value_that_is_not_a_number_and_stays_so_is_no_change() -> None:
    stored = table(row("a", g=float("nan")))
    assert len(after(stored, table(row("a", g=float("nan"))), known_until=4)) == 1
    assert len(after(stored, table(row("a", g=1.0)), known_until=4)) == 2


def test_the_newest_version_counts_and_a_retraction_hides_the_entity() -> None:
    rows = table(row("b", 5), row("a", 2, created=3), row("a"), row("b", None, created=1))
    assert newest_versions(rows, keys=("customer_id",)).to_pylist() == [row("a", 2, created=3)]


def test_no_rows_have_no_newest() -> None:
    assert newest_versions(table(), keys=("customer_id",)).num_rows == 0


BUILDS = st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3), min_size=1, max_size=6)


@given(builds=BUILDS)
def test_after_any_rebuilds_the_newest_versions_are_the_last_build_and_the_past_is_as_it_was(
    builds: list[dict[str, int]],
) -> None:
    stored: pa.Table | None = None
    seen: list[list[dict[str, Any]]] = []
    for night, build in enumerate(builds):
        computed = table(*(row(key, f, created=night) for key, f in build.items()))
        stored = add_versions(stored, computed, keys=("customer_id",), known_until=at(night))
        values = {r["customer_id"]: r["f"] for r in newest_versions(stored, keys=("customer_id",)).to_pylist()}
        assert values == build
        again = add_versions(stored, computed, keys=("customer_id",), known_until=at(night))
        assert again.equals(stored)
        rows = stored.to_pylist()
        for earlier, past in enumerate(seen):
            assert [r for r in rows if r["created_timestamp"] <= EVENT + earlier * DAY] == past
        seen.append(rows)


PAIR = ("customer_id", "category")
# Pairs that share a part, and whose parts give one text when they are put together.
PAIRS = [("a", "b"), ("a", "bc"), ("ab", "c"), ("b", "a"), ("", "ab")]


def pairs(build: dict[tuple[str, str], int], night: int) -> pa.Table:
    rows = table(*(row(customer, f, created=night) for (customer, _), f in build.items()))
    return rows.add_column(1, "category", pa.array([category for _, category in build], pa.string()))


@given(builds=st.lists(st.dictionaries(st.sampled_from(PAIRS), st.integers(0, 2)), min_size=1, max_size=6))
def test_an_entity_of_two_keys_has_versions_of_its_own(builds: list[dict[tuple[str, str], int]]) -> None:
    stored: pa.Table | None = None
    for night, build in enumerate(builds):
        before = stored
        stored = add_versions(before, pairs(build, night), keys=PAIR, known_until=at(night))

        newest = newest_versions(stored, keys=PAIR)
        assert {(r["customer_id"], r["category"]): r["f"] for r in newest.to_pylist()} == build
        assert stored.equals(stored.sort_by([(name, "ascending") for name in (*PAIR, "created_timestamp")]))
        assert before is None or {str(r) for r in before.to_pylist()} <= {str(r) for r in stored.to_pylist()}


def test_a_correction_of_one_pair_adds_no_version_of_another_of_the_same_customer() -> None:
    stored = pairs({("a", "b"): 1, ("a", "c"): 1, ("d", "b"): 1}, 0)

    rows = add_versions(stored, pairs({("a", "b"): 2, ("d", "b"): 1}, 3), keys=PAIR, known_until=at(3))

    assert [(*(r[key] for key in PAIR), r["f"]) for r in rows.to_pylist()] == [
        ("a", "b", 1), ("a", "b", 2), ("a", "c", 1), ("a", "c", None), ("d", "b", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [2_000])
def test_many_rows_with_few_corrections_add_few(rows: int) -> None:
    stored = table(*(row(f"c{n:05d}", n) for n in range(rows)))
    computed = table(*(row(f"c{n:05d}", n + (n % 100 == 0), created=n % 100 == 0) for n in range(rows)))
    assert len(after(stored, computed)) == rows + rows // 100
