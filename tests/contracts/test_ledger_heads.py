"""Heads of histories in the lake, on each of its file systems: written once, whatever comes later."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.ledger_heads import list_anchored, read_heads, write_heads
from include.errors import MlopsError


def make_rows(*seqs: int, sha256: str = "a") -> list[dict[str, object]]:
    return [{"seq": seq, "row_sha256": f"{sha256}{seq}"} for seq in seqs]


@pytest.fixture
def lake(lake_settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


def test_heads_are_read_as_they_were_written_by_history_and_model(lake):
    assert (read_heads(lake, "ledger", "churn"), list_anchored(lake)) == ({}, set())
    write_heads(lake, "ledger", "churn", make_rows(1, 2, 10))
    write_heads(lake, "registration", "fraud", make_rows(1))
    assert read_heads(lake, "ledger", "churn") == {1: "a1", 2: "a2", 10: "a10"}
    assert read_heads(lake, "ledger", "fraud") == {}
    assert list_anchored(lake) == {"churn", "fraud"}


def test_a_head_that_is_there_stays_and_those_that_are_missing_are_added(lake):
    write_heads(lake, "ledger", "churn", make_rows(1))
    write_heads(lake, "ledger", "churn", make_rows(1, 2, sha256="b"))
    assert read_heads(lake, "ledger", "churn") == {1: "a1", 2: "b2"}


def test_of_many_writers_of_one_head_one_writes_it(lake):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: write_heads(lake, "ledger", "churn", make_rows(1, sha256=str(n))), range(4)))
    kept = read_heads(lake, "ledger", "churn")
    write_heads(lake, "ledger", "churn", make_rows(1, sha256="later"))
    assert read_heads(lake, "ledger", "churn") == kept


def test_a_lake_that_takes_nothing_is_told_in_one_line(tmp_path):
    (tmp_path / "lake").write_text("no folder")
    lake = LakeAdapter((tmp_path / "lake").as_uri())
    with pytest.raises(MlopsError, match=r"can't be kept in or read from the lake at .*; check MLOPS_LAKE_URI") as told:
        write_heads(lake, "ledger", "churn", make_rows(1))
    assert "\n" not in str(told.value)
