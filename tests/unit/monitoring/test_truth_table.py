from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.monitoring.truth_table import Truth, ours, table, truths

DRIFT_MD = Path(__file__).parents[3] / "docs/drift.md"


@pytest.mark.parametrize("truth", truths(), ids=lambda truth: truth.name)
def test_the_verdict_is_the_right_one(truth: Truth) -> None:
    assert ours(truth) == truth.right


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", [range(first, first + 20) for first in range(0, 100, 20)], ids=str)
def test_the_verdict_is_the_right_one_whatever_is_drawn(seeds: range) -> None:
    wrong = [(seed, truth.name, ours(truth)) for seed in seeds for truth in truths(seed) if ours(truth) != truth.right]
    assert wrong == []


def test_the_document_has_the_table_as_it_is() -> None:
    # python -m tests.unit.monitoring.truth_table prints it.
    assert table() in DRIFT_MD.read_text()
