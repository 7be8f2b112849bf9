"""The join over stored rows: the vectors of other libraries, files in any split, times of any unit."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from include.adapters.feature_store import as_of_join
from include.adapters.feature_store.as_of_join import FeatureRows, features_as_of
from tests.real_data import real_data

INSTANT = pa.timestamp("us", tz="UTC")
NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)

# An exclusive match, the next row after, and the nearest on either side are other joins: a training set that
# asks for "as of" never wants them, so the store doesn't offer them.
OTHER_JOINS = {"pd_asof_exact_excl_tol10ms", "pd_asof_forward", "pd_asof_nearest"}
BACKWARD_JOINS = ["pd_asof_backward", "pd_asof_multiby", "duckdb_asof_left_ge"]


def vectors() -> dict[str, dict[str, Any]]:
    cases = json.loads(real_data("vectors/peer_vectors_give.json").read_text())["cases"]
    return {case["id"]: case for case in cases if case["metric"] == "point_in_time_join"}


def moment(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if value == "infinity":
        return int(np.iinfo(np.int64).max) - 1
    return int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1_000_000)


def instants(values: list[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([moment(value) for value in values], pa.int64()).cast(INSTANT)])


def test_every_vector_of_a_point_in_time_join_is_taken_or_is_another_join() -> None:
    assert set(vectors()) == OTHER_JOINS | set(BACKWARD_JOINS)


@pytest.mark.parametrize("name", BACKWARD_JOINS)
def test_backward_joins_equal_those_of_other_libraries(name: str) -> None:
    case = vectors()[name]
    left, right, on = case["inputs"]["left"], case["inputs"]["right"], case["inputs"]["on"]
    by = case["inputs"].get("by") or ["everyone"]
    rows = len(right[on])
    stored = pa.table(
        {
            **{key: right.get(key, ["same"] * rows) for key in by},
            "at": instants(right[on]),
            **{name: right[name] for name in case["expected"]},
        }
    )

    found = features_as_of(
        FeatureRows(pads.dataset(stored), tuple(by), "at", None, tuple(case["expected"])),
        [pa.chunked_array([pa.array(left.get(key, ["same"] * len(left[on])), pa.string())]) for key in by],
        instants(left[on]),
        ttl=None,
        known_at=True,
    )

    assert found.to_pydict() == case["expected"]


def feature_rows(seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    rows = 4_000
    event = rng.integers(0, 500, rows)
    return (
        pa.table(
            {
                "key": pa.array([f"k{n}" for n in rng.integers(0, 40, rows)]),
                "event": pa.array(event).cast(INSTANT),
                "created": pa.array(event + rng.integers(0, 3, rows) * rng.integers(0, 300, rows)).cast(INSTANT),
                "f": pa.array(rng.permutation(rows)),
                "name": pa.array([f"v{n}" for n in range(rows)]),
            }
        )
        .group_by(["key", "event", "created"], use_threads=False)
        .aggregate([("f", "first"), ("name", "first")])
        .rename_columns(["key", "event", "created", "f", "name"])
    )


def joined(rows: pads.Dataset, keys: list[str | None], at: pa.ChunkedArray, **options: Any) -> pa.Table:
    settings = {"ttl": None, "known_at": True, **options}
    return features_as_of(
        FeatureRows(rows, ("key",), "event", "created", ("f", "name")),
        [pa.chunked_array([pa.array(keys, pa.string())])],
        at,
        **settings,
    )


@pytest.mark.parametrize("row_group", [37, 100_000])
@pytest.mark.parametrize("files", [1, 7])
def test_any_split_into_files_and_any_order_gives_the_same_bytes(tmp_path: Path, files: int, row_group: int) -> None:
    rows, rng = feature_rows(), np.random.default_rng(1)
    keys = [f"k{n}" for n in rng.integers(0, 45, 900)]
    at = instants([int(n) for n in rng.integers(-5, 900, 900)])
    expected = joined(pads.dataset(rows), keys, at, ttl=timedelta(microseconds=90))

    shuffled = rows.take(pa.array(rng.permutation(rows.num_rows)))
    for number in range(files):
        part = shuffled.slice(number * 600, 600 if number < files - 1 else None)
        pq.write_table(part, tmp_path / f"{number}.parquet", row_group_size=row_group)

    found = joined(pads.dataset(tmp_path), keys, at, ttl=timedelta(microseconds=90))
    assert found.equals(expected)
    assert 0 < found["f"].null_count < 900


@pytest.mark.parametrize(
    ("asked", "opened"), [(["k00"], 1), (["k05", "k07"], 1), (["k09", "k10"], 2), (["k39", "k00"], 4), (["z"], 0)]
)
def test_who_asks_for_neighbours_opens_no_row_groups_but_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], opened: int
) -> None:
    keys = [f"k{n:02}" for n in range(40)]
    times = {name: instants([5] * 40) for name in ("event", "created")}
    rows = pa.table({"key": keys, **times, "f": range(40), "name": keys})
    pq.write_table(rows, tmp_path / "0.parquet", row_group_size=10)
    read: list[int] = []
    real = as_of_join._read

    def noted(stored: FeatureRows, piece: pads.ParquetFileFragment, columns: list[str]) -> pa.Table:
        read.extend(group.id for group in piece.row_groups)
        return real(stored, piece, columns)

    monkeypatch.setattr(as_of_join, "_read", noted)
    found = joined(pads.dataset(tmp_path), [*asked], instants([9] * len(asked)))
    assert found["name"].to_pylist() == [key if key in keys else None for key in asked]
    assert len(set(read)) == opened


def test_a_file_from_before_a_column_was_added_gives_nulls_for_its_rows(tmp_path: Path) -> None:
    def row(key: str, **more: Any) -> pa.Table:
        times = {name: pa.array([NOON], INSTANT) for name in ("event", "created")}
        return pa.table({"key": [key], **times, "f": [1], **more})

    pq.write_table(row("a"), tmp_path / "old.parquet")
    pq.write_table(row("b", name=["x"]), tmp_path / "new.parquet")
    rows = pads.dataset(tmp_path, schema=row("b", name=["x"]).schema)

    found = joined(rows, ["a", "b"], pa.chunked_array([pa.array([NOON, NOON], INSTANT)]))

    assert found.to_pydict() == {"f": [1, 1], "name": [None, "x"]}


def test_an_entity_time_between_two_microseconds_is_neither_early_nor_fresh_too_long() -> None:
    row = {"key": ["a"], "event": pa.array([1_000]).cast(INSTANT), "created": pa.array([1_000]).cast(INSTANT)}
    rows = pads.dataset(pa.table({**row, "f": [1], "name": ["x"]}))
    nanoseconds = [999_999, 1_000_000, 1_000_001, 1_002_000, 1_002_001, -1]
    at = pa.chunked_array([pa.array(nanoseconds, pa.int64()).cast(pa.timestamp("ns", tz="UTC"))])

    found = joined(rows, ["a"] * 6, at, ttl=timedelta(microseconds=2))

    assert found["f"].to_pylist() == [None, 1, 1, 1, None, None]


def test_nanoseconds_on_both_sides_are_compared_as_such() -> None:
    kind = pa.timestamp("ns", tz="UTC")
    row = {"key": ["a"], "event": pa.array([1_500]).cast(kind), "created": pa.array([1_500]).cast(kind)}
    at = pa.chunked_array([pa.array([1_499, 1_500, 3_500, 3_501]).cast(kind)])

    rows = pads.dataset(pa.table({**row, "f": [1], "name": ["x"]}))
    found = joined(rows, ["a"] * 4, at, ttl=timedelta(microseconds=2), unit="ns")

    assert found["f"].to_pylist() == [None, 1, 1, None]


def test_times_beyond_those_of_nanoseconds_are_after_or_before_all_others() -> None:
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (1, 2024, 2025, 9999)]
    rows = pa.table(
        {
            "key": [*"abab", "c"],
            "event": pa.array([years[0], years[1], years[3], years[1], years[1]], INSTANT),
            "created": pa.array([years[0], years[0], years[3], years[3], years[1]], INSTANT),
            "f": [1, 2, 3, 4, 5],
            "name": [*"vwxyz"],
        }
    )
    fine = pa.chunked_array([pa.array([years[2]] * 2, pa.timestamp("ns", tz="UTC"))])

    assert joined(pads.dataset(rows), ["a", "b"], fine, unit="ns")["f"].to_pylist() == [1, 2]
    assert joined(pads.dataset(rows), ["a", "b"], fine, unit="ns", known_at=False)["f"].to_pylist() == [1, 4]
    coarse = pa.chunked_array([pa.array([years[3], years[0]], INSTANT)])
    assert joined(pads.dataset(rows), ["c", "c"], coarse, unit="ns")["f"].to_pylist() == [5, None]


@pytest.mark.parametrize("known_at", [True, False])
def test_a_row_that_says_not_when_it_was_created_is_not_known_and_loses_ties(known_at: bool) -> None:
    event = pa.array([NOON, NOON, NOON - timedelta(days=1)], INSTANT)
    created = pa.array([None, NOON if not known_at else None, NOON - timedelta(days=1)], INSTANT)
    rows = pa.table({"key": ["a"] * 3, "event": event, "created": created, "f": [1, 2, 3], "name": ["x", "y", "z"]})

    found = joined(pads.dataset(rows), ["a"], pa.chunked_array([pa.array([NOON], INSTANT)]), known_at=known_at)

    assert found["f"].to_pylist() == ([3] if known_at else [2])


@pytest.mark.parametrize("ttl", [timedelta.max, timedelta(days=100_000_000), timedelta(0), None], ids=str)
def test_a_lifetime_beyond_all_times_is_none(ttl: timedelta | None) -> None:
    rows = feature_rows()
    at = instants([10_000] * 3)
    found = joined(pads.dataset(rows), ["k1", "k2", None], at, ttl=ttl)
    assert found["f"].null_count == 1


def test_no_entity_rows_and_no_files_keep_the_types() -> None:
    empty = joined(pads.dataset(feature_rows()), [], instants([]))
    assert (empty.num_rows, empty.schema.types) == (0, [pa.int64(), pa.string()])
    nothing = joined(pads.dataset(feature_rows().schema.empty_table()), ["a", None], instants([1, None]))
    assert nothing.to_pydict() == {"f": [None, None], "name": [None, None]}
