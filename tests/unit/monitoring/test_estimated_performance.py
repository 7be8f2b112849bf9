"""What scores are worth before labels are known is estimated within the interval that is stated; concept drift is not.

The rows are like those of Californian houses: eight skewed columns that go together, of which the chance of a yes is
known. ESTIMATES=full holds three hundred windows against what came true, else twenty.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from include.errors import RefusedError
from include.monitoring.estimated_performance import (
    CAVEAT,
    ScoredRows,
    back_test,
    estimate_auc,
    expected_auc,
)

WINDOWS = 300 if os.environ.get("ESTIMATES") == "full" else 20
# Nothing, richer, poorer, alike, and more unlike one another.
SHIFTS = [(0.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, 0.5), (0.5, 1.5)]


def houses(
    rng: np.random.Generator, rows: int, *, shift: float = 0.0, spread: float = 1.0, concept: float = 1.0
) -> Any:
    base = rng.normal(size=(rows, 8))
    base[:, 1:] += 0.5 * base[:, :1]
    base[:, 0] = base[:, 0] * spread + shift
    base[:, 3] += 0.5 * shift
    columns = base.copy()
    for place, (scale, middle) in {0: (0.45, 1.2), 2: (0.3, 1.6), 4: (0.8, 7.0), 5: (0.25, 1.0)}.items():
        columns[:, place] = np.exp(scale * base[:, place] + middle)
    odds = 1.3 * base[:, 0] - 0.35 * base[:, 1] + 0.9 * np.sin(1.5 * base[:, 6]) + 0.5 * base[:, 7]
    odds += 0.3 * base[:, 0] * base[:, 3] - 0.4 * base[:, 5] - 0.7
    return columns, (rng.random(rows) < 1 / (1 + np.exp(-concept * odds))).astype(float)


@pytest.fixture(scope="module")
def model() -> Any:
    columns, labels = houses(np.random.default_rng(0), 3000)
    given = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.1, "nthread": 1}
    booster = xgboost.train(given, xgboost.DMatrix(columns, labels), 80)
    return lambda rows: booster.predict(xgboost.DMatrix(rows)).astype(float)


def scored(model: Any, drawn: Any, *, labelled: bool = True) -> ScoredRows:
    columns, labels = drawn
    return ScoredRows(model(columns), columns, labels if labelled else None)


@pytest.fixture(scope="module")
def reference(model: Any) -> ScoredRows:
    return scored(model, houses(np.random.default_rng(1), 2000))


def test_with_labels_it_is_the_auc():
    rng = np.random.default_rng(3)
    scores, labels = np.round(rng.random(500), 2), (rng.random(500) < 0.3).astype(float)
    assert expected_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert np.isnan(expected_auc(scores, np.zeros(500)))


def test_what_comes_true_is_within_the_interval_in_nine_of_ten_windows(model, reference):
    rng, within, errors = np.random.default_rng(5), 0, []
    for number in range(WINDOWS):
        shift, spread = SHIFTS[number % len(SHIFTS)]
        drawn = houses(rng, int(rng.choice([300, 800, 2000])), shift=shift, spread=spread)
        current = scored(model, drawn, labelled=False)
        found = estimate_auc(reference, current, samples=200 if WINDOWS > 20 else 50, seed=number)
        realised = expected_auc(current.scores, drawn[1])
        within += found.low <= realised <= found.high
        errors.append(found.value - realised)
        assert found.is_corrected
        assert found.high - found.low < 0.25
    print(f"{within} of {WINDOWS} within; root mean square error {np.sqrt(np.mean(np.square(errors))):.4f}")
    assert within >= 0.9 * WINDOWS


def test_a_shift_that_makes_rows_easier_or_harder_is_seen(model, reference):
    """The AUC of houses that are alike is lower than that of all, though each is scored as well as before."""
    found = {}
    for spread in (0.5, 1.5):
        drawn = houses(np.random.default_rng(6), 3000, spread=spread)
        current = scored(model, drawn)
        found[spread] = estimate_auc(reference, current, samples=50), expected_auc(current.scores, drawn[1])
    assert found[0.5][1] < found[1.5][1] - 0.05
    assert found[0.5][0].value < found[1.5][0].value - 0.05


def test_what_features_mean_now_is_not_seen(model, reference):
    """Concept drift: the same houses, of which nothing says any more who buys. Labels alone show it."""
    drawn = houses(np.random.default_rng(7), 2000, concept=0.1)
    current = scored(model, drawn, labelled=False)
    found, realised = estimate_auc(reference, current, samples=50), expected_auc(current.scores, drawn[1])
    assert realised < found.low
    assert "can't see concept drift" in CAVEAT


def test_scores_of_another_scale_are_worth_the_same(model, reference):
    drawn = houses(np.random.default_rng(8), 1000)
    current = scored(model, drawn, labelled=False)
    own = estimate_auc(reference, current, samples=50)
    other = [
        ScoredRows(np.log(rows.scores / (1 - rows.scores)), rows.features, rows.labels) for rows in (reference, current)
    ]
    assert estimate_auc(*other, samples=50).value == pytest.approx(own.value, abs=1e-6)


def test_rows_of_one_entity_tell_as_little_as_one(model):
    drawn = houses(np.random.default_rng(9), 400)
    once = scored(model, drawn)
    every = np.repeat(np.arange(400), 8)
    often = ScoredRows(once.scores[every], once.features[every][:, :0], once.labels[every], every)
    current = ScoredRows(*(each for each in (once.scores, once.features[:, :0])))
    plain = ScoredRows(once.scores, once.features[:, :0], once.labels)
    widths = [found.high - found.low for found in (estimate_auc(rows, current) for rows in (plain, often))]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def test_rows_of_one_entity_among_the_current_ones_may_all_become_the_same():
    """Sixty people have ten rows each, nearly alike, and what becomes of one row becomes of all."""
    within = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def people(count: int, each: int, rng: np.random.Generator = rng) -> ScoredRows:
            odds = np.repeat(rng.normal(size=count), each) + rng.normal(0, 0.3, count * each)
            chance = 1 / (1 + np.exp(-odds))
            labels = (np.repeat(rng.random(count), each) < chance).astype(np.float64)
            return ScoredRows(chance, np.empty((len(odds), 0)), labels, np.repeat(np.arange(count), each))

        reference, current = people(1000, 1), people(60, 10)
        found = estimate_auc(reference, current, samples=100, seed=seed)
        within += found.low <= expected_auc(current.scores, np.asarray(current.labels)) <= found.high
    assert within >= 34


def test_without_features_nothing_is_corrected(reference):
    bare = ScoredRows(reference.scores, reference.features[:, :0], reference.labels)
    found = estimate_auc(bare, bare, samples=50)
    assert not found.is_corrected
    assert found.value == found.uncorrected
    assert found.value == pytest.approx(expected_auc(bare.scores, bare.labels), abs=0.01)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_a_feature_beyond_the_range_of_32_bits_corrects_like_any_other(model, value):
    columns, labels = houses(np.random.default_rng(6), 300)
    columns[::7, 2] = value
    rows = scored(lambda _: labels * 0.5 + 0.2, (columns, labels))
    assert estimate_auc(rows, rows, samples=2).is_corrected


def test_rows_unlike_any_of_the_reference_are_not_corrected_for(reference):
    """A number that only grows, such as a day, tells the two apart wholly."""
    day = np.arange(2000.0)[:, None]
    before = ScoredRows(reference.scores, day, reference.labels)
    after = ScoredRows(reference.scores, day + 5000)
    assert not estimate_auc(before, after, samples=20).is_corrected


def test_estimates_are_held_against_what_came_true(model, reference):
    found = back_test(reference, samples=50)
    assert found.windows == 10
    assert found.within >= 8
    # The second half means something else: windows of either half are not told by the others.
    rng = np.random.default_rng(10)
    drifted = scored(model, houses(rng, 1000, concept=-1.0))
    both = ScoredRows(
        *(np.concatenate([a, b]) for a, b in ((reference.scores[:1000], drifted.scores),
                                              (reference.features[:1000], drifted.features),
                                              (reference.labels[:1000], drifted.labels)))
    )  # fmt: skip
    assert back_test(both, samples=50).within <= 5


@pytest.mark.parametrize(
    ("rows", "positives", "why"),
    [(60, 30, "reference rows are 60"), (400, 3, "3 are positive"), (400, 395, "395 are positive")],
)
def test_of_too_little_nothing_is_estimated(rows, positives, why):
    labels = (np.arange(rows) < positives).astype(float)
    little = ScoredRows(np.linspace(0, 1, rows), np.empty((rows, 0)), labels)
    with pytest.raises(RefusedError, match=why):
        estimate_auc(little, little)


def test_of_the_rows_of_a_few_entities_nothing_is_estimated(reference):
    """Drawn with replacement, one of them is the same each time: the interval would be narrower than that of rows."""
    few = ScoredRows(reference.scores, reference.features, reference.labels, np.arange(len(reference.scores)) % 19)
    with pytest.raises(RefusedError, match="rows of 19 entities"):
        estimate_auc(few, reference)


def test_equal_seeds_give_equal_estimates(reference):
    one, other = (estimate_auc(reference, reference, samples=20, seed=4) for _ in range(2))
    assert one == other
