"""How often performance asks for a retrain of years in which nothing changes. ``make test-statistics`` plays all.

The same customers, 0.98 alike from night to night in what the score knows and in what it does not; a version's test are
four weekly snapshots of others. A retrain brings a test of its own, and its nights are judged two months later.
"""

from __future__ import annotations

import os
from collections import deque

import numpy as np
import pytest
from numpy.typing import NDArray

from include.monitoring.performance import Figure, Reference, judge_fall
from include.monitoring.placements import place
from include.training.auc import placed_interval

FULL = os.environ.get("STATISTICS") == "full"
YEARS, NIGHTS = (40, 365) if FULL else (1, 40)
CUSTOMERS, ALIKE, BASE_RATE_AT, WEIGHT = 300, 0.98, 0.6, 0.95
WINDOWS, LABEL_DAYS = (1, 7, 28), 60
BREACHES, OF_NIGHTS = 3, 5

Rows = tuple[NDArray[np.float64], NDArray[np.bool_]]

pytestmark = pytest.mark.timeout(7200)


def nights(rng: np.random.Generator, count: int) -> Rows:
    """Return scores and labels of shape (nights, customers)."""
    known, unknown = (np.empty((count, CUSTOMERS)) for _ in range(2))
    for values in (known, unknown):
        values[0] = rng.normal(size=CUSTOMERS)
        for night in range(1, count):
            values[night] = ALIKE * values[night - 1] + np.sqrt(1 - ALIKE**2) * rng.normal(size=CUSTOMERS)
    return known, (WEIGHT * known + unknown) / np.hypot(WEIGHT, 1) > BASE_RATE_AT


def figure(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> Figure:
    placed = place(labels.ravel(), scores.ravel(), np.tile(np.arange(CUSTOMERS), len(scores)))
    assert placed is not None
    return Figure(placed.value, *placed_interval(placed, level=0.95))


def reference(rng: np.random.Generator) -> Reference:
    tested = figure(*(values[::7] for values in nights(rng, 22)))
    value, low, high = (end or 0.0 for end in (tested.value, tested.low, tested.high))
    return Reference(value, low, high, 4 * CUSTOMERS)


def retrains(seed: int) -> int:
    rng, longest = np.random.default_rng(seed), max(WINDOWS)
    scores, labels = nights(rng, longest + NIGHTS)
    promised, lately, asked, night = reference(rng), deque[bool](maxlen=OF_NIGHTS), 0, 0
    while night < NIGHTS:
        until = longest + night
        own = [slice(until - size, until) for size in WINDOWS]
        checks = [judge_fall("auc", figure(scores[at], labels[at]), promised, rows=1, about="") for at in own]
        lately.append(any(check.verdict == "breach" for check in checks))
        night += 1
        if sum(lately) >= BREACHES:
            promised, asked, night = reference(rng), asked + 1, night + LABEL_DAYS
            lately.clear()
    return asked


def test_a_year_in_which_nothing_changes_seldom_asks_for_a_retrain() -> None:
    found = sum(map(retrains, range(YEARS)))
    # As of false alarms by drift: Anscombe's upper end of a Poisson mean, one-sided 99 %.
    upper = (np.sqrt(found + 3 / 8 + 1) + 2.33 / 2) ** 2 / YEARS
    print(f"{found} retrains in {YEARS} years, mean at most {upper:.3f}")
    assert upper <= 0.3 if FULL else found == 0
