"""Metrics against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from include.errors import RefusedError, UsageError
from include.training.evaluation import evaluate


def make_scores(n: int = 400, *, entities: int = 80, digits: int = 2, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.4).astype(np.int8)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(digits).astype(np.float32)
    return labels, scores, [f"c{i}" for i in rng.integers(0, entities, n)]


def run(labels, scores, entities, *, threshold: float = 0.5, samples: int = 100):
    return evaluate(labels, scores, entities, threshold=threshold, bootstrap_samples=samples, seed=1)


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


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_refused(score):
    labels, scores, entities = make_scores()
    scores[7] = score
    with pytest.raises(UsageError, match=r"1 of 400 scores are no numbers \(the first: row 7"):
        run(labels, scores, entities)


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_that_is_neither_0_nor_1_is_refused(label):
    labels, scores, entities = make_scores()
    labels[labels == 1] = label
    with pytest.raises(UsageError, match=f"a label is {label}"):
        run(labels, scores, entities)
