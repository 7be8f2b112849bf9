"""Two versions on the same rows: the difference by hand, its interval in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import UsageError
from include.training.auc import auc
from include.training.comparison import PairedDifference, compare_aucs, compare_means
from tests.everyday import members

LABELS = np.array([1, 0, 1, 0], dtype=np.int8)
OWN = np.array([0.9, 0.1, 0.8, 0.2], dtype=np.float32)
OTHER = np.array([0.9, 0.1, 0.15, 0.2], dtype=np.float32)
NAMES = ["a", "b", "c", "d"]


def aucs(labels, own, other, entities, samples=100, seed=0) -> PairedDifference:
    return compare_aucs(labels, own, other, entities, samples=samples, seed=seed)


def means(own, other, owners, samples=100, seed=0) -> PairedDifference:
    own, other = np.asarray(own, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return compare_means("NDCG@5", own, other, owners, rows=8 * len(own), samples=samples, seed=seed)


def make_rows(rng, *, positives: int, negatives: int, snapshots: int = 3, noise: float = 0.3):
    """Labels, two versions' scores and names: of each entity some rows, alike in what both get wrong."""
    labels = np.repeat(np.repeat([1, 0], [positives, negatives]), snapshots).astype(np.int8)
    count = positives + negatives
    shared = np.repeat(rng.normal(size=count), snapshots) + 1.5 * labels
    own, other = (
        (shared + noise * (np.repeat(rng.normal(size=count), snapshots) + rng.normal(size=len(labels)))).astype("f4")
        for _ in range(2)
    )
    return labels, own, other, np.repeat(np.arange(count), snapshots).astype(str)


def test_the_difference_is_that_of_the_two_aucs():
    found = aucs(LABELS, OWN, OTHER, NAMES)
    assert (found.candidate, found.champion, found.difference) == (1.0, 0.75, 0.25)
    assert (found.metric, found.rows, found.entities) == ("AUC", 4, 2)


def test_the_difference_of_means_counts_each_list_once():
    found = means([1, 0.5, 0.5], [1, 0, 0], ["a", "a", "b"])
    assert (found.candidate, found.champion) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert (found.rows, found.entities) == (24, 2)


def test_the_interval_is_the_formulas_where_that_is_the_wider():
    # Two owners of a list each, +0.5 and -0.5: a variance of 2 * (0.25² + 0.25²) + 1 / 3²; t of one degree 12.7062.
    found = means([0.5, 0], [0, 0.5], ["a", "b"])
    half = 12.7062 * (2 * (0.25**2 + 0.25**2) + 1 / 9) ** 0.5
    assert half > 1
    assert (found.low, found.high) == (-1.0, 1.0)
    # Of two hundred without a difference only what is added is left: t of 199 degrees 1.97196.
    found = means([0.5] * 200, [0.5] * 200, list(map(str, range(200))))
    assert found.high == -found.low == pytest.approx(1.97196 / 201, rel=1e-5)
    # Of four rows, two of each class, each of an entity: by what each adds, (1/4, -1/4) and (-1/4, 1/4), a variance of
    # 4/3 * 4 * (1/8)² + 2/3² = 11/36, t of one degree. Nothing is known.
    assert (aucs(LABELS, OWN, OTHER, NAMES).low, aucs(LABELS, OWN, OTHER, NAMES).high) == (-1.0, 1.0)


@pytest.mark.parametrize("count", [2, 20, 300])
def test_the_same_scores_differ_by_nothing_and_the_interval_is_no_point(count):
    rng = np.random.default_rng(count)
    labels, own, _, names = make_rows(rng, positives=count, negatives=count)
    for found in (aucs(labels, own, own, names), aucs(labels, own, 3 * own + 1, names)):
        assert found.difference == 0
        assert found.low == -found.high < 0
    of_lists = means(own := rng.random(count), own, list(map(str, range(count))))
    assert (of_lists.difference, of_lists.low) == (0, -of_lists.high)
    assert of_lists.low < 0


def test_the_same_scores_are_within_a_margin_once_there_are_enough_and_never_better():
    labels, own, _, names = make_rows(np.random.default_rng(0), positives=300, negatives=300)
    found = aucs(labels, own, own, names)
    assert -0.01 < found.low < 0


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(5, 60))
def test_to_swap_the_versions_is_to_change_the_sign(seed, positives, negatives):
    labels, own, other, names = make_rows(np.random.default_rng(seed), positives=positives, negatives=negatives)
    there, back = aucs(labels, own, other, names), aucs(labels, other, own, names)
    assert there.difference == -back.difference
    assert (there.low, there.high) == (pytest.approx(-back.high), pytest.approx(-back.low))
    assert there.low <= there.difference <= there.high


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_the_order_of_the_rows_and_a_scale_make_no_difference(seed):
    rng = np.random.default_rng(seed)
    labels, own, other, names = make_rows(rng, positives=20, negatives=30)
    order = rng.permutation(len(labels))
    found = aucs(labels, own, other, names)
    again = aucs(labels[order], 2 * own[order], other[order] - 7, names[order])
    for name in ("candidate", "champion", "low", "high"):
        assert getattr(again, name) == pytest.approx(getattr(found, name), abs=1e-6)


def test_rows_of_one_entity_are_not_taken_for_independent():
    rng = np.random.default_rng(5)
    labels, own, other, names = make_rows(rng, positives=60, negatives=120, snapshots=1)
    one = aucs(labels, own, other, names)
    four = aucs(*(np.tile(each, 4) for each in (labels, own, other, names)))
    as_rows = aucs(*(np.tile(each, 4) for each in (labels, own, other)), np.arange(4 * len(labels)).astype(str))
    assert four.high - four.low == pytest.approx(one.high - one.low, rel=1e-6)
    assert as_rows.high - as_rows.low < 0.7 * (four.high - four.low)


@pytest.mark.parametrize("positives", members([2, 5, 20, 80], daily=[5]))
@pytest.mark.parametrize("noise", members([0.1, 0.6], daily=[0.6]))
def test_the_interval_covers_the_true_difference_as_often_as_it_says(positives, noise):
    """Both versions are as good as each other: zero."""
    rng, runs = np.random.default_rng(positives), 100
    found = [aucs(*make_rows(rng, positives=positives, negatives=3 * positives, noise=noise)) for _ in range(runs)]
    # 95 % of 100 runs, less two standard errors of that count.
    assert sum(each.low <= 0 <= each.high for each in found) >= 91


@pytest.mark.parametrize("positives", members([20, 60, 200], daily=[60]))
def test_it_is_seldom_too_sure_of_a_version_that_is_wrong_about_a_few(positives):
    """One in fifty positives stands last by the candidate alone, which a sample of so few may well not show."""
    rng, runs, share = np.random.default_rng(positives), 150, 0.02
    over = 0
    for _ in range(runs):
        labels, _, other, names = make_rows(rng, positives=positives, negatives=3 * positives, snapshots=1)
        last = (labels == 1) & (rng.random(len(labels)) < share)
        over += aucs(labels, np.where(last, -99, other).astype("f4"), other, names).low > -share * 0.85
    # AUC of these rows is about 0.85. The lower end lies above the truth in a twentieth of the runs at most; three
    # standard errors more.
    assert over <= runs * 0.05 + 3 * (runs * 0.05 * 0.95) ** 0.5


@pytest.mark.parametrize("owners", members([2, 10, 100], daily=[10]))
def test_the_interval_of_lists_covers_the_true_difference_as_often_as_it_says(owners):
    rng, runs, covered = np.random.default_rng(owners), 200, 0
    for _ in range(runs):
        lists = rng.integers(1, 4, owners)
        names = np.repeat(np.arange(owners), lists).astype(str)
        taste = np.repeat(rng.normal(0, 0.2, owners), lists)
        own, other = (np.clip(0.5 + taste + rng.normal(0, 0.2, len(names)), 0, 1) for _ in range(2))
        found = means(own, other, names)
        covered += found.low <= 0 <= found.high
    assert covered >= runs * 0.95 - 2 * (runs * 0.95 * 0.05) ** 0.5


def test_rows_that_cannot_be_compared_are_refused():
    with pytest.raises(UsageError, match="4 rows belong to 3 entities"):
        aucs(LABELS, OWN, OTHER, NAMES[:3])
    with pytest.raises(UsageError, match="are no numbers"):
        aucs(LABELS, OWN, np.array([0.1, np.nan, 0.2, 0.3], dtype=np.float32), NAMES)
    with pytest.raises(UsageError, match="there are no lists"):
        means([], [], [])


def test_the_metric_is_that_of_the_auc_alone():
    labels, own, other, names = make_rows(np.random.default_rng(1), positives=30, negatives=90)
    found = aucs(labels, own, other, names)
    assert (found.candidate, found.champion) == (auc(labels, own), auc(labels, other))
