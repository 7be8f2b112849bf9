"""A fall is told from chance by what both sides are unsure of, and says what fell from what by how much."""

from __future__ import annotations

import pytest

from include.monitoring.performance import Figure, Reference, judge_fall, tell
from tests.unit.training.test_outcome_metrics import measured, world

REFERENCE = Reference(0.86, 0.84, 0.88, 2000)


@pytest.mark.parametrize(
    ("figure", "reference", "verdict"),
    [
        (Figure(0.74, 0.70, 0.78), REFERENCE, "breach"),
        (Figure(0.80, 0.78, 0.82), REFERENCE, "breach"),
        (Figure(0.82, 0.819, 0.821), REFERENCE, "ok"),
        (Figure(0.80, 0.70, 0.90), REFERENCE, "ok"),
        (Figure(0.80, 0.78, 0.82), Reference(0.86, 0.77, 0.93, 60), "ok"),
        (Figure(0.78, 0.73, 0.83), REFERENCE, "ok"),
        (Figure(0.95, 0.94, 0.96), REFERENCE, "ok"),
        (Figure(0.30, 0.20, 0.45), REFERENCE, "breach"),
        (Figure(0.1, 0.0, 0.2), Reference(0.0, 0.0, 0.1, 60), "ok"),
        (Figure(None), REFERENCE, "unknown"),
        (Figure(0.74, 0.70, 0.78), None, "unknown"),
    ],
    ids=["far", "little-but-sure", "sure-but-allowed", "of-few-rows", "of-a-small-test", "sure-of-one-look", "better",
         "reversed", "nothing-promised", "undefined", "no-promise"],
)  # fmt: skip
def test_a_fall_is_a_breach_where_it_is_more_than_allowed_and_more_than_chance(figure, reference, verdict):
    found = judge_fall("auc", figure, reference, rows=900, about="predictions of a night")
    assert found.verdict == verdict
    assert (found.value, found.low, found.high) == (figure.value, figure.low, figure.high)
    assert found.watch == "performance"
    assert found.reason.startswith("predictions of a night")
    if verdict != "unknown":
        assert (found.reference, found.reference_rows, found.current_rows) == (reference.value, reference.rows, 900)
        assert found.threshold == pytest.approx(0.95 * reference.value)


def test_a_breach_says_what_fell_from_what_by_how_much():
    reason = judge_fall("auc", Figure(0.731, 0.70, 0.76), REFERENCE, rows=9, about="predictions of May").reason
    assert reason == (
        "predictions of May: 0.731 [0.700, 0.760] is 15% below the 0.860 of the version's test, where 5% is allowed, "
        "and not by chance"
    )


def test_a_fall_just_beyond_what_is_allowed_is_told_as_more_than_that():
    found = judge_fall(
        "auc", Figure(0.8375, 0.83, 0.84), Reference(0.86, 0.859, 0.861, 10**5), rows=9, about="x", fall_max=0.025
    )
    assert found.verdict == "breach"
    assert "is 2.62% below the 0.860 of the version's test, where 2.5% is allowed" in found.reason


def test_where_nothing_changed_few_nights_are_a_breach():
    """Reference and night are both drawn from one world; 2.5 in a hundred would be by the intervals of one look."""
    breaches = 0
    for seed in range(100):
        test = measured(*world(600, seed=seed), samples=100).figures["auc"]
        night = measured(*world(300, seed=10_000 + seed), samples=100)
        reference = Reference(test.value, test.low, test.high, 600)
        breaches += judge_fall("auc", night.figures["auc"], reference, rows=300, about="x").verdict == "breach"
    assert breaches == 0


def test_what_is_told_is_not_judged():
    assert tell("brier", Figure(0.2, 0.1, 0.3), rows=5, about="x").threshold is None
    assert tell("brier", Figure(None), rows=5, about="x").verdict == "unknown"
