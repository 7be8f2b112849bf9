"""A table that is rewritten in portions is the one that is rewritten at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.lake import portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.portions import Portion, fitting, in_pieces, in_portions
from include.errors import RefusedError

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(6)]
KEYS = [day.isoformat() for day in DAYS]
SCHEMA = pa.schema({"id": pa.string(), "value": pa.int64(), "dt": pa.date32()})


@pytest.fixture
def lake(tmp_path: Path) -> LakeAdapter:
    return LakeAdapter((tmp_path / "lake").as_uri())


def rows_of(seed: int, days: list[date] = DAYS) -> pa.Table:
    rng = np.random.default_rng(seed)
    made = [{"id": f"i{n}", "value": int(rng.integers(9)), "dt": day} for day in days for n in range(rng.integers(4))]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def of_days(rows: pa.Table, keys: list[str]) -> pa.Table:
    return rows.filter(pa.compute.is_in(rows["dt"].cast(pa.string()), pa.array(keys)))


def portions_of(rows: pa.Table, *groups: list[str]) -> list[Portion]:
    return [(keys, lambda _, keys=keys: of_days(rows, keys)) for keys in groups]  # type: ignore[misc]


def files_of(lake: LakeAdapter) -> list[Path]:
    return sorted(path for path in Path(lake.uri.removeprefix("file://")).rglob("*.parquet"))


@pytest.mark.parametrize("groups", [[KEYS], [[key] for key in KEYS], [KEYS[4:], KEYS[1:4], KEYS[:1]]])
def test_portions_are_one_commit_of_the_rows_of_all(lake: LakeAdapter, groups: list[list[str]]) -> None:
    lake.replace("whole", rows_of(1), keys=KEYS)
    lake.replace("whole", rows_of(2), keys=KEYS)
    for seed in (1, 2):
        ref = lake.rewrite("parts", KEYS, in_portions(lambda seed=seed: portions_of(rows_of(seed), *groups)))
    assert (ref.version, lake.digest("parts")) == (1, lake.digest("whole"))
    assert lake.partitions("parts") == lake.partitions("whole")


@pytest.mark.parametrize("changed", range(len(KEYS)))
def test_one_portion_that_differs_is_enough_for_a_commit_and_the_others_stay(lake: LakeAdapter, changed: int) -> None:
    before = rows_of(3)
    lake.replace("t", before, keys=KEYS)
    extra = pa.Table.from_pylist([{"id": "new", "value": 1, "dt": DAYS[changed]}], schema=SCHEMA)
    after = pa.concat_tables([before, extra])
    ref = lake.rewrite("t", KEYS, in_portions(lambda: portions_of(after, *[[key] for key in KEYS])))
    lake.replace("expected", after, keys=KEYS)
    assert (ref.version, lake.digest("t")) == (1, lake.digest("expected"))


def test_portions_that_are_all_as_they_were_make_no_commit_and_leave_no_file(lake: LakeAdapter) -> None:
    rows = rows_of(4)
    lake.replace("t", rows, keys=KEYS)
    before = files_of(lake)
    assert lake.rewrite("t", KEYS, in_portions(lambda: portions_of(rows, KEYS[:2], KEYS[2:]))).version == 0
    assert files_of(lake) == before


@pytest.mark.parametrize("is_there", [False, True], ids=["no table", "a table"])
def test_what_fails_after_some_portions_leaves_the_table_and_no_file(lake: LakeAdapter, is_there: bool) -> None:
    if is_there:
        lake.replace("t", rows_of(5), keys=KEYS)
    before = files_of(lake)

    def refused() -> Iterator[Portion]:
        yield from portions_of(rows_of(6), KEYS[:2], KEYS[2:])
        raise RefusedError("no")

    with pytest.raises(RefusedError):
        lake.rewrite("t", KEYS, in_portions(refused))
    assert (lake.version("t"), files_of(lake)) == (0 if is_there else None, before)


def test_a_portion_is_changed_from_its_own_present_rows(lake: LakeAdapter) -> None:
    rows = rows_of(7)
    lake.replace("t", rows, keys=KEYS)
    seen: list[pa.Table] = []

    def keep(present: pa.Table | None) -> pa.Table:
        assert present is not None
        seen.append(present)
        return present

    lake.rewrite("t", KEYS, in_portions(lambda: [(KEYS[:2], keep), (KEYS[2:], keep)]))
    assert [sorted(map(str, part["dt"].unique().to_pylist())) for part in seen] == [
        sorted(set(map(str, of_days(rows, keys)["dt"].to_pylist()))) for keys in (KEYS[:2], KEYS[2:])
    ]


@pytest.mark.parametrize("at_once", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_pieces_hold_all_rows_in_order_and_cut_only_a_partition_that_fills_one(
    monkeypatch: pytest.MonkeyPatch, at_once: int, batch: int
) -> None:
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", at_once)
    rows = rows_of(8)
    pieces = list(in_pieces(rows.to_batches(max_chunksize=batch), SCHEMA, partition_by="dt"))
    assert pa.concat_tables(pieces).equals(rows)
    assert max(piece.num_rows for piece in pieces) <= max(at_once, batch) + batch
    for piece, following in pairwise(pieces):
        if piece["dt"][-1] == following["dt"][0]:
            assert len(piece["dt"].unique()) == 1
            assert piece.num_rows >= at_once


def test_no_rows_are_one_piece() -> None:
    assert [piece.num_rows for piece in in_pieces([], SCHEMA, partition_by="dt")] == [0]


def test_partitions_fit_in_order_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 10)
    assert list(fitting([("a", 4), ("b", 6), ("c", 0), ("d", 1), ("e", 99)])) == [["a", "b", "c"], ["d"], ["e"]]
    assert list(fitting([])) == []


@pytest.mark.parametrize("chunk", [1, 3, 1_000])
def test_rows_are_kept_in_their_order_whatever_their_chunks(lake: LakeAdapter, chunk: int) -> None:
    rows = pa.table({"n": range(5_000), "dt": [DAYS[0]] * 5_000})
    chunked = pa.concat_tables([rows.slice(start, chunk) for start in range(0, rows.num_rows, chunk)])
    lake.replace("features/x", chunked, keys=[DAYS[0].isoformat()])
    assert lake.read("features/x")["n"].to_pylist() == list(range(5_000))
