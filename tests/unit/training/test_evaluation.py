"""Metrics against scikit-learn, the interval against drawing rows by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from include.errors import RefusedError
from include.training.evaluation import auc, auc_interval, evaluate


def make_scores(n: int = 400, *, entities: int = 80, digits: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(np.int8)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(digits).astype(np.float32)
    return labels, scores, [f"c{i}" for i in rng.integers(0, entities, n)]


def run(labels, scores, entities, *, threshold: float = 0.5, samples: int = 100):
    return evaluate(labels, scores, entities, threshold=threshold, bootstrap_samples=samples, seed=1)


@pytest.mark.parametrize("digits", [1, 2, 7], ids=["many ties", "some ties", "no ties"])
def test_auc_is_scikit_learns_with_ties(digits):
    labels, scores, _ = make_scores(digits=digits)
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)


def test_metrics_are_scikit_learns():
    labels, scores, entities = make_scores()
    found, decided = run(labels, scores, entities), scores >= 0.5
    assert found.precision == pytest.approx(sk.precision_score(labels, decided))
    assert found.recall == pytest.approx(sk.recall_score(labels, decided))
    assert found.f1 == pytest.approx(sk.f1_score(labels, decided))
    assert found.brier == pytest.approx(sk.brier_score_loss(labels, scores))
    clipped = np.clip(scores.astype(float), 1e-7, 1 - 1e-7)
    assert found.log_loss == pytest.approx(sk.log_loss(labels, clipped))
    counts = [[found.true_negatives, found.false_positives], [found.false_negatives, found.true_positives]]
    assert counts == sk.confusion_matrix(labels, decided).tolist()
    assert (found.rows, found.entities, found.base_rate) == (400, len(set(entities)), labels.mean())


def test_interval_is_that_of_drawing_whole_entities_by_hand():
    labels, scores, entities = make_scores(n=120, entities=25)
    names = np.unique(entities)
    rows_of = [np.flatnonzero(np.array(entities) == name) for name in names]
    rng = np.random.default_rng(7)
    drawn = [np.concatenate([rows_of[i] for i in rng.integers(0, len(names), len(names))]) for _ in range(200)]
    expected = np.quantile([sk.roc_auc_score(labels[rows], scores[rows]) for rows in drawn], [0.025, 0.975])
    assert auc_interval(labels, scores, entities, samples=200, seed=7) == pytest.approx(tuple(expected), abs=1e-12)


def test_seeing_every_row_four_times_does_not_narrow_the_interval():
    labels, scores, _ = make_scores(n=150)
    entities = [f"c{i}" for i in range(150)]
    once = auc_interval(labels, scores, entities, samples=400, seed=0)
    again = auc_interval(np.tile(labels, 4), np.tile(scores, 4), entities * 4, samples=400, seed=0)
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


def test_precision_is_undefined_not_zero_where_nothing_is_decided_positive():
    found = run(*make_scores(), threshold=1.1)
    assert found.precision is None
    assert found.f1 is None
    assert "precision" not in found.numbers()


def test_one_sure_mistake_does_not_make_the_log_loss_infinite():
    labels, scores, entities = make_scores()
    scores[np.flatnonzero(labels)[0]] = 0.0
    assert np.isfinite(run(labels, scores, entities).log_loss)


@pytest.mark.parametrize("labels", [np.zeros(5, np.int8), np.ones(5, np.int8), np.zeros(0, np.int8)])
def test_one_class_is_refused_with_the_numbers(labels):
    with pytest.raises(RefusedError, match=f"{len(labels)} rows"):
        run(labels, np.zeros(len(labels), np.float32), ["c"] * len(labels))
