"""What predictions were worth, by the field's own definitions, with intervals that hold what they say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss, log_loss, precision_score, recall_score, roc_auc_score

from include.errors import UsageError
from include.monitoring.performance import Figure
from include.scoring.lists import rank_items
from include.training.list_evaluation import evaluate_lists
from include.training.list_metrics import measure_lists
from include.training.outcome_metrics import measure_binary, measure_ranking


def world(entities: int, *, each: int = 1, seed: int = 0, sharp: float = 1.5):
    """Return labels, calibrated scores and entities, each of which stands in `each` equal rows."""
    rng = np.random.default_rng(seed)
    scores = (1 / (1 + np.exp(-sharp * rng.normal(size=entities) + 0.5))).astype(np.float32)
    labels = (rng.random(entities) < scores).astype(np.int8)
    names = [f"e{n}" for n in range(entities)]
    return np.repeat(labels, each), np.repeat(scores, each), [name for name in names for _ in range(each)]


def measured(labels, scores, entities, *, threshold=0.5, samples=100):
    return measure_binary(labels, scores, scores >= threshold, entities, samples=samples, seed=1)


def test_metrics_are_those_of_the_field():
    labels, scores, entities = world(800)
    found = measured(labels, scores, entities, threshold=0.6).figures
    decided = scores >= 0.6
    assert found["auc"].value == pytest.approx(roc_auc_score(labels, scores))
    assert found["precision"].value == pytest.approx(precision_score(labels, decided))
    assert found["recall"].value == pytest.approx(recall_score(labels, decided))
    assert found["log_loss"].value == pytest.approx(log_loss(labels, scores.astype(float)), rel=1e-6)
    assert found["brier"].value == pytest.approx(brier_score_loss(labels, scores))
    assert next(iter(found)) == "auc"
    for figure in found.values():
        assert figure.low <= figure.value <= figure.high


def test_the_calibration_error_is_the_mean_distance_over_ten_groups():
    scores = np.repeat(np.linspace(0.05, 0.95, 10), 100).astype(np.float32)
    exact = np.tile(np.arange(100), 10) < np.round(100 * scores.astype(float)).astype(int)
    entities = [str(n) for n in range(1000)]
    assert measured(exact.astype(np.int8), scores, entities).figures["calibration_error"].value < 1e-6
    shifted = np.clip(scores + 0.05, 0, 1).astype(np.float32)
    found = measured(exact.astype(np.int8), shifted, entities).figures["calibration_error"].value
    assert found == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("slope", [1.0, 0.5], ids=["calibrated", "too sure"])
def test_the_interval_of_the_calibration_error_holds_what_it_is_of_many_rows(slope: float):
    def figure(rows: int, seed: int, samples: int):
        rng = np.random.default_rng(seed)
        odds = rng.normal(-1.5, 1.2, rows)
        labels = (rng.random(rows) < 1 / (1 + np.exp(-slope * odds))).astype(np.int8)
        scores = (1 / (1 + np.exp(-odds))).astype(np.float32)
        return measured(labels, scores, list(map(str, range(rows))), samples=samples).figures["calibration_error"]

    true = figure(100_000, 0, 1).value
    within = [found.low <= true <= found.high for found in (figure(300, seed, 100) for seed in range(1, 61))]
    assert sum(within) >= 54


def test_the_calibration_error_of_equal_scores_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    scores = rng.choice([0.1, 0.2, 0.5], 900).astype(np.float32)
    labels = (rng.random(900) < scores).astype(np.int8)
    by_label = np.argsort(labels, kind="stable")
    entities = [str(n) for n in range(900)]
    mixed, sorted_ = (
        measured(labels[order], scores[order], entities, samples=2).figures["calibration_error"].value
        for order in (np.arange(900), by_label)
    )
    by_score = [(scores == score).mean() * abs(labels[scores == score].mean() - score) for score in np.unique(scores)]
    assert (mixed, sorted_) == pytest.approx((sum(by_score), sum(by_score)))


def test_a_share_of_few_entities_is_no_certainty():
    labels, scores = np.repeat([1, 0], [3, 57]).astype(np.int8), np.repeat([0.9, 0.1], [3, 57]).astype(np.float32)
    found = measured(labels, scores, [str(n) for n in range(60)]).figures
    assert [(found[name].value, found[name].high) for name in ("precision", "recall")] == [(1.0, 1.0)] * 2
    assert found["precision"].low == found["recall"].low == pytest.approx(0.26, abs=0.01)  # padded_mean's example


def test_intervals_know_that_rows_of_one_entity_are_one():
    """The same customers night after night tell no more than one night."""
    once, often = (measured(*world(300, each=each)).figures for each in (1, 10))
    for name in ("auc", "precision", "recall", "log_loss", "brier"):
        widths = [figure.high - figure.low for figure in (once[name], often[name])]
        assert widths[1] == pytest.approx(widths[0], rel=0.25), name


def test_intervals_hold_what_they_say():
    truth = measured(*world(200_000, seed=99), samples=2).figures
    held = {name: 0 for name in ("precision", "recall", "log_loss", "brier")}
    for seed in range(100):
        found = measured(*world(250, each=3, seed=seed)).figures
        for name in held:
            held[name] += found[name].low <= truth[name].value <= found[name].high
    assert min(held.values()) >= 88, held


@pytest.mark.parametrize("label", [0, 1])
def test_of_one_class_there_is_no_auc_and_the_rest_is_told(label):
    labels, scores, entities = world(50)
    found = measured(np.full_like(labels, label), scores, entities).figures
    assert found["auc"] == Figure(None)
    assert found["brier"].value is not None
    assert (found["recall"].value is None) == (label == 0)


def test_where_nothing_was_decided_for_there_is_no_precision():
    labels, scores, entities = world(50)
    assert measured(labels, scores, entities, threshold=2.0).figures["precision"] == Figure(None)


def test_a_score_that_is_no_number_is_refused():
    labels, scores, entities = world(50)
    scores[3] = np.nan
    with pytest.raises(UsageError, match="1 of 50 scores are no numbers"):
        measured(labels, scores, entities)


def test_lists_are_measured_as_a_training_measures_them():
    rng = np.random.default_rng(3)
    lists, labels = np.repeat(np.arange(60), 8), (rng.random(480) < 0.15).astype(np.int8)
    scores = (labels + rng.normal(size=480)).astype(np.float32)
    found = measure_lists(lists, rank_items(lists, scores, _items(60)), labels, k=3)
    owners = [f"o{n // 2}" for n in range(60)]
    ours = measure_ranking(found, owners, top_k=3, samples=100, seed=5)
    theirs = evaluate_lists(found, owners, top_k=3, bootstrap_samples=100, seed=5)
    assert ours.figures["ndcg"] == Figure(theirs.ndcg, theirs.ndcg_low, theirs.ndcg_high)
    assert ours.figures["hit_rate"].value == theirs.hit_rate
    assert ours.figures["hit_rate"].low < theirs.hit_rate < ours.figures["hit_rate"].high
    assert list(ours.figures) == ["ndcg", "hit_rate", "precision", "recall"]


def test_lists_without_a_positive_item_have_no_figures():
    lists, labels = np.repeat(np.arange(4), 8), np.zeros(32, dtype=np.int8)
    found = measure_lists(lists, rank_items(lists, np.zeros(32, np.float32), _items(4)), labels, k=3)
    told = measure_ranking(found, list("abcd"), top_k=3, samples=100, seed=5)
    assert set(told.figures.values()) == {Figure(None)}


def _items(lists: int):
    return pa.chunked_array([[f"i{n}" for n in range(8)] * lists])
