"""The AUC against scikit-learn; its interval against drawing rows by hand, and against how often it covers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from include.errors import UsageError
from include.training.auc import auc, auc_interval, newcombe_interval, resampled_interval
from tests.unit.training.test_evaluation import make_scores


@pytest.mark.parametrize("digits", [1, 2, 7], ids=["many ties", "some ties", "no ties"])
def test_auc_is_scikit_learns_with_ties(digits):
    labels, scores, _ = make_scores(digits=digits)
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)


def test_interval_is_that_of_drawing_whole_entities_by_hand():
    labels, scores, entities = make_scores(n=120, entities=25)
    names = np.unique(entities)
    rows_of = [np.flatnonzero(np.array(entities) == name) for name in names]
    rng = np.random.default_rng(7)
    drawn = [np.concatenate([rows_of[i] for i in rng.integers(0, len(names), len(names))]) for _ in range(200)]
    expected = np.quantile([sk.roc_auc_score(labels[rows], scores[rows]) for rows in drawn], [0.025, 0.975])
    assert resampled_interval(labels, scores, entities, samples=200, seed=7) == pytest.approx(
        tuple(expected), abs=1e-12
    )


def test_seeing_every_row_four_times_does_not_narrow_the_interval():
    labels, scores, _ = make_scores(n=150)
    entities = [f"c{i}" for i in range(150)]
    once = resampled_interval(labels, scores, entities, samples=400, seed=0)
    again = resampled_interval(np.tile(labels, 4), np.tile(scores, 4), entities * 4, samples=400, seed=0)
    assert again == pytest.approx(once, abs=1e-12)


def test_interval_covers_the_true_auc_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    entities = [f"c{i}" for i in range(200)]
    truth = 0.7602  # P(Z > -1/sqrt(2)): normal scores, one standard deviation apart
    hits = 0
    for trial in range(100):
        labels = (np.arange(200) % 2).astype(np.int8)
        low, high = auc_interval(labels, rng.normal(labels, 1).astype(np.float32), entities, samples=200, seed=trial)
        hits += low <= truth <= high
    # 95 of 100 are expected; below 88 or above 100 has a chance of 1 in 300.
    assert hits >= 88


@pytest.mark.parametrize("positives", [1, 2, 3, 10, 30])
@pytest.mark.parametrize("truth", [0.6, 0.75, 0.9])
def test_interval_covers_the_true_auc_with_few_positives(positives, truth):
    rng = np.random.default_rng(positives)
    labels = np.r_[np.ones(positives, np.int8), np.zeros(500, np.int8)]
    entities = [f"c{i}" for i in range(len(labels))]
    shift = norm.ppf(truth) * np.sqrt(2)
    hits = 0
    for trial in range(100):
        scores = rng.normal(shift * labels, 1).astype(np.float32)
        low, high = auc_interval(labels, scores, entities, samples=30, seed=trial)
        assert 0 <= low < high <= 1
        hits += low <= truth <= high
    # 95 of 100 are expected; below 88 has a chance of 1 in 300.
    assert hits >= 88


@pytest.mark.parametrize("names", [["c"] * 40, [""] * 40])
def test_rows_of_one_entity_say_hardly_anything(names):
    labels, scores = np.arange(40, dtype=np.int8) % 2, np.linspace(0, 1, 40, dtype=np.float32)
    low, high = auc_interval(labels, scores, names, samples=100, seed=0)
    assert high - low > 0.85


def test_interval_of_a_perfect_auc_is_no_point():
    labels, scores = np.r_[np.zeros(50), np.ones(5)].astype(np.int8), np.arange(55, dtype=np.float32)
    low, high = auc_interval(labels, scores, [str(i) for i in range(55)], samples=100, seed=0)
    assert 0.5 < low < 0.9
    assert high == 1.0


@pytest.mark.parametrize(("value", "positives", "negatives"), [(0.7, 20, 30), (0.93, 3, 400), (0.2, 50, 1)])
def test_newcombes_interval_ends_where_the_variance_allows(value, positives, negatives):
    def half_width(theta: float) -> float:
        star = (positives + negatives) / 2 - 1
        spread = 1 + star * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return 1.959963984540054 * np.sqrt(theta * (1 - theta) * spread / (positives * negatives))

    low, high = newcombe_interval(value, positives, negatives)
    assert value - low == pytest.approx(half_width(low), abs=1e-9)
    assert high - value == pytest.approx(half_width(high), abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "scores", "match"),
    [
        ([0, 1], [0.1, float("nan")], "1 of 2 scores are no numbers"),
        ([0, 2], [0.1, 0.2], "a label is 2"),
        ([0, 0], [0.1, 0.2], "takes both"),
        ([], [], "takes both"),
        ([0, 1, 1], [0.1, 0.2], "2 scores can't be held against 3 labels"),
    ],
)
def test_what_has_no_auc_is_refused(labels, scores, match):
    given = np.array(labels, np.int8), np.array(scores, np.float32)
    with pytest.raises(UsageError, match=match):
        auc(*given)
    with pytest.raises(UsageError, match=match):
        auc_interval(*given, ["c"] * len(labels), samples=100, seed=0)
