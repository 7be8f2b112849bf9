"""Rows of a role take the place of those that a partition had of it, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.lake import portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.role_rows import Piece, replace_roles

TABLE, DAY = "predictions/x", "2024-03-10"
SCHEMA = pa.schema({"id": pa.string(), "dt": pa.date32(), "role": pa.string(), "score": pa.float32()})


def rows_of(role: str, count: int, *, score: float = 0.5, first: int = 0) -> pa.Table:
    ids = [f"e{n:03}" for n in range(first, first + count)]
    columns = [ids, [date.fromisoformat(DAY)] * count, [role] * count, [score] * count]
    return pa.table(columns, schema=SCHEMA)


def write(lake: LakeAdapter, roles: list[str], pieces: Iterable[Piece], schema: pa.Schema = SCHEMA) -> int:
    given = list(pieces)
    return lake.rewrite(TABLE, [DAY], replace_roles(roles, schema, lambda: given)).version


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeAdapter:
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 7)
    return LakeAdapter(tmp_path.as_uri())


def of_role(lake: LakeAdapter, role: str) -> pa.Table:
    found = lake.read(TABLE, start=DAY, end=DAY)
    return found.filter(pc.equal(found["role"], role))


def in_pieces(rows: pa.Table, size: int) -> list[Piece]:
    return [(rows["role"][0].as_py(), rows.slice(start, size)) for start in range(0, rows.num_rows, size)]


@pytest.mark.parametrize("size", [3, 10, 40])
def test_equal_rows_make_no_commit_however_they_are_cut(lake: LakeAdapter, size: int) -> None:
    assert write(lake, ["a"], in_pieces(rows_of("a", 30), 4)) == 0
    assert write(lake, ["b"], in_pieces(rows_of("b", 20), 6)) == 1
    before = {role: of_role(lake, role) for role in "ab"}

    both = [*in_pieces(rows_of("a", 30), size), *in_pieces(rows_of("b", 20), size)]
    assert write(lake, ["a", "b"], both) == 1
    assert write(lake, ["a"], in_pieces(rows_of("a", 30), size)) == 1
    assert {role: of_role(lake, role) for role in "ab"} == before


@pytest.mark.parametrize("differs", [0, 11, 29])
def test_one_row_that_differs_is_written_and_all_others_stay(lake: LakeAdapter, differs: int) -> None:
    write(lake, ["a"], in_pieces(rows_of("a", 30), 5))
    write(lake, ["b"], in_pieces(rows_of("b", 20), 5))
    scores = [0.5] * 30
    scores[differs] = 0.9
    changed = rows_of("a", 30).set_column(3, SCHEMA.field("score"), pa.array(scores, pa.float32()))

    assert write(lake, ["a"], in_pieces(changed, 4)) == 2

    assert of_role(lake, "a").equals(changed)
    assert of_role(lake, "b").equals(rows_of("b", 20))


@pytest.mark.parametrize("count", [0, 12, 30, 31])
def test_a_role_has_what_is_given_whether_more_or_less_than_before(lake: LakeAdapter, count: int) -> None:
    write(lake, ["a"], in_pieces(rows_of("a", 30), 5))
    write(lake, ["b"], in_pieces(rows_of("b", 3), 5))

    write(lake, ["a"], in_pieces(rows_of("a", count), 4))

    assert of_role(lake, "a").equals(rows_of("a", count))
    assert of_role(lake, "b").equals(rows_of("b", 3))


def test_a_partition_of_which_nothing_is_left_is_empty(lake: LakeAdapter) -> None:
    write(lake, ["a"], in_pieces(rows_of("a", 3), 5))
    assert write(lake, ["a"], []) == 1
    assert lake.read(TABLE).num_rows == 0
    assert write(lake, ["a"], []) == 1


def test_a_first_partition_without_rows_makes_the_table(lake: LakeAdapter) -> None:
    assert write(lake, ["a"], []) == 0
    assert lake.read(TABLE).schema.names == SCHEMA.names


def test_a_column_that_one_role_brings_is_null_in_the_others(lake: LakeAdapter) -> None:
    wide = SCHEMA.append(pa.field("seen", pa.int64()))
    more = rows_of("b", 4).append_column("seen", pa.array([1, 2, 3, 4]))
    write(lake, ["b"], [("b", more)], wide)
    write(lake, ["a"], in_pieces(rows_of("a", 9), 4))
    assert of_role(lake, "b").select(wide.names).equals(more)
    assert of_role(lake, "a")["seen"].null_count == 9
    assert write(lake, ["a"], in_pieces(rows_of("a", 9), 9)) == 1
