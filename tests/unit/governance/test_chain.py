"""What a whole history is, and what is said of one that is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from include.governance.chain import NOTHING, OWN, PREVIOUS, find_breaks, row_sha256


def make_rows(count: int = 4) -> list[dict[str, object]]:
    rows, previous = [], NOTHING
    for seq in range(1, count + 1):
        row = {"seq": seq, "what": f"move {seq}", "evidence": {"auc": 0.5, "gates": ["a"]}, PREVIOUS: previous}
        previous = row_sha256(row)
        rows.append({**row, OWN: previous})
    return rows


def heads_of(rows: list[dict[str, object]]) -> dict[int, str]:
    return {row["seq"]: row[OWN] for row in rows}


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_history_as_it_was_written_is_whole(count):
    rows = make_rows(count)
    assert find_breaks(rows, heads_of(rows)) == []
    assert find_breaks(rows, {}) == []


@pytest.mark.parametrize("seq", [1, 2, 4])
def test_each_row_of_which_a_value_changed_is_named(seq):
    rows = make_rows()
    rows[seq - 1]["what"] = "another"
    assert [(found.seq, "was changed" in found.what) for found in find_breaks(rows, {})] == [(seq, True)]


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_each_row_that_is_missing_is_named_without_heads_unless_it_is_the_newest(seq):
    rows = make_rows()
    missing = [row for row in rows if row["seq"] != seq]
    assert [(found.seq, found.what) for found in find_breaks(missing, {})] == [(seq, "is missing")]
    assert find_breaks(rows[:3], {}) == []
    assert [found.seq for found in find_breaks(rows[:3], heads_of(rows))] == [4]


def test_a_row_that_was_changed_with_its_hash_shows_in_the_row_after_it_without_heads():
    rows = make_rows()
    rows[1]["what"] = "another"
    rows[1][OWN] = row_sha256(rows[1])
    assert [(found.seq, found.what[:27]) for found in find_breaks(rows, {})] == [(3, "was written after a row wit")]


def test_rows_in_another_order_are_both_named_and_no_other():
    rows = make_rows()
    rows[1]["seq"], rows[2]["seq"] = 3, 2
    found = find_breaks(rows, heads_of(make_rows()))
    assert [(each.seq, each.what.split(":")[0]) for each in found] == [
        (2, "was written as row 3"),
        (3, "was written as row 2"),
    ]


def test_a_column_that_is_added_later_leaves_hashes_as_they_are():
    rows = [{**row, "added_later": None} for row in make_rows()]
    assert find_breaks(rows, {}) == []
    rows[1]["added_later"] = "said afterwards"
    assert [found.seq for found in find_breaks(rows, {})] == [2]


@pytest.mark.parametrize(
    "value",
    [1e22, 1.5e-300, 0.1, 100.0, 2**60 + 1, -0.5, True, "ü\u2028", ["a", {"b": 1}], {"a": {"b": [1.0, None]}}],
    ids=str,
)
def test_a_value_has_the_hash_of_what_postgres_gives_back(value):
    # As jsonb keeps numbers: written out whole.
    kept = int(value) if isinstance(value, float) and value.is_integer() else json.loads(json.dumps(value))
    assert row_sha256({"x": value}) == row_sha256({"x": kept})


def test_an_instant_has_one_hash_in_every_zone_and_a_microsecond_is_another():
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert row_sha256({"at": at}) == row_sha256({"at": at.astimezone(timezone(timedelta(hours=5)))})
    assert row_sha256({"at": at}) != row_sha256({"at": at + timedelta(microseconds=1)})


def test_whole_numbers_that_no_float_can_hold_are_told_apart():
    assert row_sha256({"x": 2**60}) != row_sha256({"x": 2**60 + 1})
