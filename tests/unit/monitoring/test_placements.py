from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.monitoring.placements import place
from include.training.auc import placed_interval


def drawn(count: int, seed: int, *, rows_each: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores and owners; whose rows are several share what makes them likely."""
    rng = np.random.default_rng(seed)
    owners = np.arange(count) // rows_each
    shared = rng.normal(size=owners[-1] + 1)[owners]
    labels = shared + rng.normal(size=count) > 0.4
    return labels, np.round(shared + rng.normal(size=count), 1), owners


def test_of_independent_rows_it_is_the_area_with_the_error_of_delong():
    labels, scores, owners = drawn(300, 1)
    found = place(labels, scores, owners)
    above = scores[labels][:, None] - scores[~labels][None, :]
    wins = np.where(above > 0, 1.0, np.where(above == 0, 0.5, 0.0))
    variance = wins.mean(axis=1).var(ddof=1) / labels.sum() + wins.mean(axis=0).var(ddof=1) / (~labels).sum()
    assert found.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert found.deviation == pytest.approx(np.sqrt(variance), rel=1e-9)


def test_rows_that_stand_twice_make_nothing_surer():
    labels, scores, owners = drawn(200, 2)
    once, twice = place(labels, scores, owners), place(*(np.repeat(each, 2) for each in (labels, scores, owners)))
    assert (twice.value, twice.positives) == (pytest.approx(once.value), once.positives)
    assert twice.deviation == pytest.approx(once.deviation)
    as_others = place(np.repeat(labels, 2), np.repeat(scores, 2), np.arange(400))
    assert as_others.deviation < 0.75 * once.deviation


@pytest.mark.parametrize(("count", "rows_each"), [(60, 1), (300, 6)], ids=["few", "recurring"])
def test_the_interval_covers_as_often_as_it_says(count, rows_each):
    truth = place(*drawn(100_000, 0, rows_each=rows_each)).value
    within = [
        low <= truth <= high
        for seed in range(1, 201)
        for low, high in [placed_interval(place(*drawn(count, seed, rows_each=rows_each)), level=0.95)]
    ]
    assert 0.92 <= np.mean(within) <= 1.0


def test_one_class_has_no_area_and_no_interval_leaves_the_unit():
    labels, scores = np.array([True, True, True]), np.array([0.1, 0.2, 0.3])
    assert place(labels, scores, np.arange(3)) is None
    apart = place(np.array([True, False, False]), np.array([0.9, 0.2, 0.3]), np.arange(3))
    assert apart.value == 1.0
    low, high = placed_interval(apart, level=0.99)
    assert 0.0 <= low < 0.5
    assert high == 1.0
