"""From which age on a night is judged: learned from how long labels took, and never while one class is known first."""

from __future__ import annotations

import numpy as np
import pytest

from include.monitoring.maturity import UNLEARNED, learn_maturity, mature_after
from include.training.auc import auc

HORIZON = 45


def fraud(rows: int = 4000, seed: int = 0):
    """Return scores, labels, and when each is known: a dispute as it comes, that there is none last."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows).astype(np.float32)
    labels = (rng.random(rows) < 0.3 * scores).astype(np.float64)
    # The clear cases are disputed first.
    ages = np.where(labels == 1, 1 + (HORIZON - 2) * (1 - scores), HORIZON)
    return scores, labels, ages


def test_shares_are_those_of_the_labels_that_are_known_by_then():
    curve = learn_maturity(np.array([0.5, 1.0, 3.0, 3.0, np.nan]), np.array([1, 1, 0, 1, np.nan]))
    assert curve.days == (0, 1, 2, 3)
    assert curve.share == (0.0, 0.4, 0.4, 0.8)
    assert curve.of_positives == pytest.approx((0, 2 / 3, 2 / 3, 1))
    assert curve.of_negatives == (0.0, 0.0, 0.0, 1.0)
    assert curve.rows == 5


@pytest.mark.parametrize("ages", [np.array([]), np.array([np.nan, np.nan])], ids=["no-rows", "no-labels"])
def test_of_nothing_nothing_is_learned_and_the_spec_holds(ages):
    assert learn_maturity(ages, ages) == UNLEARNED
    assert mature_after(UNLEARNED, horizon_days=HORIZON) == HORIZON


def test_labels_that_are_known_next_day_are_judged_then():
    ages, labels = np.full(1000, 1.0), np.arange(1000) % 2.0
    assert mature_after(learn_maturity(ages, labels), horizon_days=HORIZON) == 1


def test_a_night_is_not_judged_while_one_class_is_known_first():
    """What is known early of disputes is nearly all positive, and what is missing is not a matter of chance."""
    scores, labels, ages = fraud()
    curve = learn_maturity(ages, labels)
    assert mature_after(curve, horizon_days=HORIZON) == HORIZON
    assert curve.of_positives[HORIZON - 1] > 0.98 > curve.of_negatives[HORIZON - 1]
    truth = auc(labels.astype(np.int8), scores)
    early = np.where(ages <= 10, labels, 0).astype(np.int8)
    assert auc(early, scores) > truth + 0.05, "taking what is not known for a no judges too well"


def test_a_class_that_was_never_seen_does_not_make_a_night_old_enough():
    ages = np.full(500, 2.0)
    assert mature_after(learn_maturity(ages, np.zeros(500)), horizon_days=HORIZON) == HORIZON


def test_labels_that_are_corrected_late_make_a_night_wait_longer():
    ages = np.concatenate([np.full(90, 45.0), np.full(10, 52.0)])
    assert mature_after(learn_maturity(ages, np.arange(100) % 2.0), horizon_days=HORIZON) == 52
