"""Places in a list: from 1 on without a gap, by score and item's key, whatever the order of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.errors import UsageError
from include.scoring.lists import number_lists, rank_items


def make_rows(n: int = 600, *, digits: int = 1, seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Return distinct (owner, item) pairs of an odd length each, with many equal scores."""
    rng = np.random.default_rng(seed)
    pairs = rng.permutation(np.unique(rng.integers(0, (40, 30), (n, 2)), axis=0))
    rows = pa.table({"who": [f"c{who}" for who, _ in pairs], "what": [f"k{what}" for _, what in pairs]})
    return rows, rng.normal(size=len(pairs)).round(digits).astype(np.float32)


def by_hand(rows: pa.Table, scores: np.ndarray) -> list[int]:
    found = list(zip(rows["who"].to_pylist(), -scores, rows["what"].to_pylist(), strict=True))
    return [1 + sum(other[0] == row[0] and other[1:] < row[1:] for other in found) for row in found]


@pytest.mark.parametrize("digits", [0, 1, 6], ids=["mostly equal", "some equal", "all distinct"])
def test_places_are_those_found_by_comparing_every_two_rows(digits):
    rows, scores = make_rows(digits=digits)
    ranks = rank_items(number_lists(rows, ["who"]), scores, rows["what"])
    assert ranks.dtype == np.int32
    assert ranks.tolist() == by_hand(rows, scores)


def test_places_follow_the_rows_in_whatever_order_they_come():
    rows, scores = make_rows(digits=0)
    shuffled = np.random.default_rng(1).permutation(rows.num_rows)
    ranks = rank_items(number_lists(rows, ["who"]), scores, rows["what"])
    again = rows.take(pa.array(shuffled))
    assert (
        rank_items(number_lists(again, ["who"]), scores[shuffled], again["what"]).tolist() == ranks[shuffled].tolist()
    )


@pytest.mark.parametrize(
    "items", [["b", "B", "é", "z"], ["10", "9", "1", "01"], ["a", "a\0", "a\0\0", ""]], ids=["letters", "digits", "NUL"]
)
def test_of_equal_scores_the_item_comes_first_whose_text_does(items):
    rows = pa.table({"who": ["c"] * len(items), "what": items})
    ranks = rank_items(number_lists(rows, ["who"]), np.zeros(len(items), np.float32), rows["what"])
    assert [items[at] for at in np.argsort(ranks)] == sorted(items)


def test_no_sign_of_zero_comes_first():
    rows = pa.table({"who": ["c", "c"], "what": ["y", "x"]})
    assert rank_items(np.zeros(2, np.int64), np.array([0.0, -0.0], np.float32), rows["what"]).tolist() == [2, 1]


def test_rows_that_agree_in_all_keys_are_one_list():
    rows = pa.table({"a": ["x", "x", "y", "xy", "x"], "b": ["yz", "y", "z", "z", "yz"], "t": [1, 1, 1, 1, 2]})
    assert number_lists(rows, ["a", "b"]).tolist() == [1, 0, 3, 2, 1]
    assert len(set(number_lists(rows, ["a", "b", "t"]).tolist())) == 5


def test_no_rows_make_no_list():
    rows = make_rows()[0].slice(0, 0)
    lists = number_lists(rows, ["who", "what"])
    assert (lists.tolist(), rank_items(lists, np.empty(0, np.float32), rows["what"]).tolist()) == ([], [])


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_has_no_place(score):
    rows = pa.table({"what": ["x", "y"]})
    with pytest.raises(UsageError, match="1 of 2 scores are no numbers"):
        rank_items(np.zeros(2, np.int64), np.array([0.1, score], np.float32), rows["what"])
