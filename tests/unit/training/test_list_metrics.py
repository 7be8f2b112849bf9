"""Metrics of lists against scikit-learn and by hand; their interval covers what it says, with few owners too."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from include.errors import RefusedError, UsageError
from include.training.list_evaluation import evaluate_lists
from include.training.list_metrics import ListMetrics, mean_interval, measure_lists


def make_lists(count: int = 60, *, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the labels and the distinct scores of lists of 2 to 12 items; some hold no positive one, some no other."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 13, count)
    return [((rng.random(n) < rng.random()).astype(np.int8), rng.permutation(n) / n) for n in lengths]


def measure(each: list[tuple[np.ndarray, np.ndarray]], k: int, *, seed: int = 5) -> ListMetrics:
    """Measure lists whose rows come in any order."""
    lists = np.repeat(np.arange(len(each)), [len(labels) for labels, _ in each])
    labels = np.concatenate([labels for labels, _ in each])
    ranks = np.concatenate([np.argsort(np.argsort(-scores)) + 1 for _, scores in each]).astype(np.int32)
    order = np.random.default_rng(seed).permutation(len(lists))
    return measure_lists(lists[order], ranks[order], labels[order], k=k)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_ndcg_and_average_precision_are_scikit_learns(k):
    each = make_lists()
    found = measure(each, k)
    for at, (labels, scores) in enumerate(each):
        if not labels.any():
            assert np.isnan(found.ndcg[at])
            continue
        assert found.ndcg[at] == pytest.approx(ndcg_score([labels], [scores], k=k))
        assert found.average_precision[at] == pytest.approx(average_precision_score(labels, scores))


def test_precision_recall_and_hit_are_those_counted_by_hand():
    #           places   1  2  3  4      1  2      1  2  3
    found = measure(
        [(np.array(labels, np.int8), -np.arange(len(labels))) for labels in ([0, 1, 0, 1], [1, 1], [0] * 3)], 3
    )
    assert found.hit[:2].tolist() == [1, 1]
    # Of three places that are read, whether the list has them or not.
    assert found.precision[:2] == pytest.approx([1 / 3, 2 / 3])
    assert found.recall[:2].tolist() == [0.5, 1]
    assert found.average_precision[:2] == pytest.approx([(1 / 2 + 2 / 4) / 2, 1])
    best = 1 + 1 / np.log2(3)
    assert found.ndcg[:2] == pytest.approx([1 / np.log2(3) / best, 1])
    assert (found.sizes.tolist(), found.positives.tolist()) == ([4, 2, 3], [2, 2, 0])
    for name in ("ndcg", "hit", "precision", "recall", "average_precision", "random_ndcg"):
        assert np.isnan(getattr(found, name)).tolist() == [False, False, True], (
            "a list without a positive item has none"
        )


@pytest.mark.parametrize("k", [1, 3, 50])
def test_the_ndcg_of_a_random_order_is_that_of_many_shuffles(k):
    [labels, *_] = [labels for labels, _ in make_lists(seed=3) if 0 < labels.sum() < len(labels)]
    rng = np.random.default_rng(0)
    shuffled = measure([(labels, rng.permutation(len(labels))) for _ in range(4000)], k)
    # The standard deviation of such a mean is below 0.5 / sqrt(4000) = 0.008.
    assert shuffled.ndcg.mean() == pytest.approx(shuffled.random_ndcg[0], abs=0.03)


def test_a_better_order_has_no_metric_that_is_worse():
    each = [(labels, scores) for labels, scores in make_lists() if labels.any()]
    best = measure([(labels, labels + scores / 10) for labels, scores in each], 3)
    assert best.ndcg == pytest.approx(np.ones(len(each)))
    for name in ("ndcg", "hit", "precision", "recall", "average_precision", "random_ndcg"):
        assert (getattr(best, name) >= getattr(measure(each, 3), name) - 1e-12).all()


@pytest.mark.parametrize("owners", [1, 2, 3, 10, 40])
@pytest.mark.parametrize("kind", ["spread", "near one", "all or nothing"])
def test_interval_covers_the_true_mean_with_few_owners_of_several_lists(owners, kind):
    rng = np.random.default_rng(owners)
    draw = {
        "spread": lambda n: rng.beta(2, 2, n),
        "near one": lambda n: rng.beta(8, 0.5, n),
        "all or nothing": lambda n: (rng.random(n) < 0.9).astype(float),
    }[kind]
    truth, hits = {"spread": 0.5, "near one": 8 / 8.5, "all or nothing": 0.9}[kind], 0
    for trial in range(100):
        # All lists of an owner are alike, as those of successive weeks are.
        counts = 1 + rng.poisson(3, owners)
        values = np.repeat(draw(owners), counts)
        low, high = mean_interval(
            values, [f"c{at}" for at in np.repeat(np.arange(owners), counts)], samples=50, seed=trial
        )
        assert 0 <= low < high <= 1
        hits += low <= truth <= high
    # 95 of 100 are expected; below 88 has a chance of 1 in 300.
    assert hits >= 88


def test_many_owners_make_the_interval_as_narrow_as_their_spread():
    values = np.random.default_rng(0).beta(2, 2, 2000)
    low, high = mean_interval(values, [str(at) for at in range(2000)], samples=500, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


def test_more_lists_of_the_same_owners_say_no_more():
    values, owners = np.random.default_rng(0).beta(2, 2, 100), [str(at) for at in range(100)]
    once = mean_interval(values, owners, samples=200, seed=0)
    assert mean_interval(np.tile(values, 10), owners * 10, samples=200, seed=0) == pytest.approx(once, abs=1e-9)


def evaluated(each, owners=None, k: int = 3):
    found = measure(each, k)
    names = owners or [f"c{at}" for at in range(len(each))]
    return evaluate_lists(found, names, top_k=k, bootstrap_samples=100, seed=0)


def test_lists_without_a_positive_item_are_counted_and_left_out():
    each = make_lists()
    empty = [(np.zeros(4, np.int8), np.arange(4) / 4)] * 30
    alone, among = evaluated(each), evaluated([*each, *empty])
    assert among.lists_without_positive == alone.lists_without_positive + 30
    assert (among.lists, among.ndcg, among.recall) == (alone.lists, alone.ndcg, alone.recall)
    assert (among.rows, among.entities) == (alone.rows + 120, alone.entities + 30)
    assert among.base_rate < alone.base_rate
    assert alone.ndcg_low < alone.ndcg < alone.ndcg_high


@pytest.mark.parametrize(
    "each",
    [
        [],
        [(np.zeros(3, np.int8), np.arange(3) / 3)] * 4,
        [(np.ones(3, np.int8), np.arange(3) / 3)] * 4,
        [(np.ones(1, np.int8), np.zeros(1)), (np.zeros(2, np.int8), np.arange(2) / 2)],
    ],
    ids=["no lists", "no positive item", "nothing else", "one of each, apart"],
)
def test_lists_of_which_no_order_is_better_than_another_are_refused(each):
    if not each:
        found = measure_lists(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8), k=3)
        with pytest.raises(RefusedError, match="the test window has 0 lists"):
            evaluate_lists(found, [], top_k=3, bootstrap_samples=100, seed=0)
        return
    with pytest.raises(RefusedError, match=f"the test window has {len(each)} lists, .*no order can be told"):
        evaluated(each)


def test_what_can_not_be_measured_is_refused():
    one = np.zeros(2, np.int64)
    with pytest.raises(UsageError, match="a label is 2"):
        measure_lists(one, np.array([1, 2], np.int32), np.array([0, 2], np.int8), k=1)
    with pytest.raises(UsageError, match="2 lists, 1 places and 2 labels"):
        measure_lists(one, np.array([1], np.int32), np.array([0, 1], np.int8), k=1)
    with pytest.raises(UsageError, match="name one for each of at least one list"):
        mean_interval(np.array([]), [], samples=100, seed=0)
    with pytest.raises(UsageError, match=r"not in \[0, 1\]"):
        mean_interval(np.array([np.nan]), ["c"], samples=100, seed=0)
    with pytest.raises(UsageError, match="name one for each list"):
        evaluated(make_lists(), ["c"])
