"""A range is scored night by night where there is something to score, however far beyond that it was asked for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.errors import UsageError
from include.steps import score_batch
from include.steps.score_batch import score_range

BUILT = {"2026-03-02": 1, "2026-03-03": 1, "2026-03-05": 1}
UNBUILT = "not scored: features/customer_daily is not published"


@pytest.fixture
def asked(monkeypatch):
    """Return a deployment whose first version is in Production after 2 March, and the nights that it is asked about."""
    nights = []

    def production_version_at(_, night):
        nights.append(night)
        return 1 if night > "2026-03-02" else None

    state = SimpleNamespace(publications=lambda _: BUILT, production_version_at=production_version_at)
    monkeypatch.setattr(score_batch, "score_batch", lambda *_, partition: partition)
    return SimpleNamespace(state=state), nights


def test_a_range_without_end_is_told_in_runs_and_looks_at_what_is_built(asked):
    deployment, nights = asked
    done = score_range(deployment, "churn", start="0001-01-01", end="9999-12-31")
    assert done.scored == ("2026-03-03", "2026-03-05")
    assert done.left == (
        f"0001-01-01 … 2026-03-01 were {UNBUILT}",
        "2026-03-02 was not scored: no version was in Production before",
        f"2026-03-04 was {UNBUILT}",
        f"2026-03-06 … 9999-12-31 were {UNBUILT}",
    )
    assert len(nights) == 4


def test_a_range_of_which_nothing_is_built_is_told_whole(asked):
    deployment, nights = asked
    done = score_range(deployment, "churn", start="2031-01-01", end="2031-01-05")
    assert (done.scored, done.left, nights) == ((), (f"2031-01-01 … 2031-01-05 were {UNBUILT}",), [])
    with pytest.raises(UsageError, match="swap them"):
        score_range(deployment, "churn", start="2026-03-05", end="2026-03-02")
