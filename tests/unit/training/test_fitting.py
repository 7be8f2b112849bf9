"""The fit is bit for bit the same each time, and missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest

from include.errors import RefusedError, UsageError
from include.scoring.importance import feature_importance
from include.training.fitting import fit_classifier, fit_ranker, to_bytes
from tests.unit.training.examples_builder import make_spec


def make_matrix(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 3)).astype(np.float32)
    return matrix, (matrix[:, 1] + rng.normal(0, 0.5, n) > 0).astype(np.int8)


def fit(matrix, labels, **training):
    return fit_classifier(matrix, labels, feature_names=("a", "b", "c"), training=make_spec(**training).training)


def test_fitted_twice_gives_identical_bytes():
    assert to_bytes(fit(*make_matrix())) == to_bytes(fit(*make_matrix()))


@pytest.mark.parametrize("rows", [600, 20_000])
def test_the_number_of_threads_is_not_in_the_bytes(rows):
    one, *others = (to_bytes(fit(*make_matrix(rows), threads=threads)) for threads in (1, 2, 3))
    assert [other == one for other in others] == [True, True]


def test_another_seed_gives_another_model():
    assert to_bytes(fit(*make_matrix(), seed=1)) != to_bytes(fit(*make_matrix(), seed=2))


def test_that_a_value_is_missing_is_learnt():
    matrix, _ = make_matrix()
    labels = (np.arange(len(matrix)) % 2).astype(np.int8)
    matrix[labels == 1, 0] = np.nan
    booster = fit(matrix, labels)
    present, missing = booster.inplace_predict(np.array([[0, 0, 0], [np.nan, 0, 0]], dtype=np.float32))
    assert present < 0.4 < 0.6 < missing


def test_importance_shares_add_up_to_one_and_find_the_feature_that_matters():
    importance = feature_importance(fit(*make_matrix()))
    assert list(importance) == ["a", "b", "c"]
    assert sum(importance.values()) == pytest.approx(1)
    assert max(importance, key=importance.get) == "b"


@pytest.mark.parametrize("labels", [np.zeros(600, np.int8), np.ones(600, np.int8)], ids=["all 0", "all 1"])
def test_one_class_is_refused(labels):
    with pytest.raises(UsageError, match="both 0 and 1"):
        fit(make_matrix()[0], labels)


def test_infinite_values_are_refused_by_name():
    matrix, labels = make_matrix()
    matrix[3, 2] = np.inf
    with pytest.raises(UsageError, match="infinite values: c"):
        fit(matrix, labels)


@pytest.mark.parametrize(
    ("matrix", "rows"),
    [(np.zeros((600, 3)), 600), (np.full((600, 3), np.nan), 600), (make_matrix()[0], 4)],
    ids=["constant", "all missing", "too few rows"],
)
def test_a_model_that_has_learned_nothing_is_refused_as_such(matrix, rows):
    labels = (np.arange(rows) % 2).astype(np.int8)
    with pytest.raises(RefusedError, match=rf"nothing was learned from {rows} rows, {rows // 2} of them positive"):
        fit(matrix[:rows].astype(np.float32), labels)


def fit_lists(matrix, labels, lists, **training):
    return fit_ranker(matrix, labels, lists, feature_names=("a", "b", "c"), training=make_spec(**training).training)


def make_listed(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix, labels = make_matrix(n, seed)
    return matrix, labels, np.random.default_rng(seed).integers(0, n // 6, n)


def test_a_ranking_fitted_twice_gives_identical_bytes_and_another_seed_others():
    first = to_bytes(fit_lists(*make_listed(), seed=1))
    assert to_bytes(fit_lists(*make_listed(), seed=1)) == first
    assert to_bytes(fit_lists(*make_listed(), seed=2)) != first


def test_a_ranking_is_the_same_in_whatever_order_the_lists_come():
    matrix, labels, lists = make_listed()
    sorted_by_list = np.argsort(lists, kind="stable")
    again = fit_lists(*(each[sorted_by_list] for each in (matrix, labels, lists)))
    assert to_bytes(again) == to_bytes(fit_lists(matrix, labels, lists))


def test_a_ranking_learns_within_lists_and_nothing_of_what_tells_lists_apart():
    rng = np.random.default_rng(0)
    lists = np.repeat(np.arange(200), 6)
    # A tells lists with many positive items from others, b tells items of one list apart.
    a, b = rng.normal(size=200)[lists], rng.normal(size=1200)
    labels = (rng.random(1200) < 1 / (1 + np.exp(2 - 2 * a - b))).astype(np.int8)
    matrix = np.stack([a, b, rng.normal(size=1200)], axis=1).astype(np.float32)
    shares = feature_importance(fit_lists(matrix, labels, lists))
    classifier = feature_importance(fit(matrix, labels))
    assert max(shares, key=shares.get) == "b"
    assert max(classifier, key=classifier.get) == "a"


def test_lists_that_hold_one_label_each_teach_a_ranking_nothing():
    matrix, _, _ = make_listed()
    lists = np.repeat(np.arange(100), 6)
    with pytest.raises(RefusedError, match="nothing was learned from 600 rows, 300 of them positive, in 100 lists"):
        fit_lists(matrix, (lists % 2).astype(np.int8), lists)


@pytest.mark.parametrize("labels", [np.zeros(600, np.int8), np.ones(600, np.int8)], ids=["all 0", "all 1"])
def test_a_ranking_of_one_class_is_refused(labels):
    matrix, _, lists = make_listed()
    with pytest.raises(UsageError, match="both 0 and 1"):
        fit_lists(matrix, labels, lists)
