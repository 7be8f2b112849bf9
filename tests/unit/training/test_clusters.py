from __future__ import annotations

import numpy as np
import pytest

from include.training.auc import auc_interval
from include.training.clusters import number_entities
from include.training.comparison import compare_aucs, compare_means
from include.training.list_metrics import mean_interval

LABELS = np.array([0, 1, 0, 1, 1, 0], dtype=np.int8)
SCORES = np.array([0.1, 0.9, 0.3, 0.2, 0.7, 0.6], dtype=np.float32)
VALUES = np.array([0.5, 1.0, 0.0, 0.25, 0.5, 1.0])
INTERVALS = {
    "auc": lambda names: auc_interval(LABELS, SCORES, names, samples=50, seed=1),
    "mean": lambda names: mean_interval(VALUES, names, samples=50, seed=1),
    "two aucs": lambda names: compare_aucs(LABELS, SCORES, SCORES[::-1], names, samples=50, seed=1),
    "two means": lambda names: compare_means("m", VALUES, VALUES[::-1], names, rows=6, samples=50, seed=1),
}


@pytest.mark.parametrize("names", [["b", "a", "é", "b"], np.array(["b", "a", "é", "b"]), ("10", "1", "2", "10")])
def test_entities_are_numbered_in_the_order_of_their_names(names):
    assert number_entities(names).tolist() == [1, 0, 2, 1]


def test_nobody_has_no_number():
    assert number_entities([]).tolist() == []


def test_one_long_name_takes_its_own_room_and_not_that_of_every_row():
    """Of one width for all, these would take terabytes."""
    assert number_entities(["c"] * 200_000 + ["d" * 10_000_000]).tolist() == [0] * 200_000 + [1]


@pytest.mark.parametrize("interval", INTERVALS.values(), ids=INTERVALS)
def test_an_interval_is_the_same_however_long_the_names(interval):
    short = ["a", "b", "c", "a", "d", "b"]
    assert interval([name * 100_000 for name in short]) == interval(short)
