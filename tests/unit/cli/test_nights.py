"""What `mlops nights status` says of the nights that the watch knows of, beside those that are missing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.cli.nights import _known
from include.monitoring.missed_nights import Hole, MissedNight, NightIncident

FIRST, SECOND = (Hole("model", "churn", MissedNight(f"2026-03-0{day}", "scores", "not built")) for day in (1, 2))
FOUND_AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
INCIDENTS = [
    NightIncident(number, hole, "watch 1", FOUND_AT, None, None) for number, hole in enumerate((FIRST, SECOND))
]
KNOWN = "watch_nights knows of 2, the first since 2026-03-05 12:00Z"
ENDS = "of them are not missing any more: the next watch ends them"


@pytest.mark.parametrize(
    ("missing", "shown", "told"),
    [
        pytest.param([], [], [f"{KNOWN}; all {ENDS}"], id="all are there again"),
        pytest.param([FIRST], [FIRST], [f"{KNOWN}; 1 {ENDS}"], id="one is"),
        pytest.param([FIRST, SECOND], [FIRST, SECOND], [KNOWN], id="none is"),
        pytest.param(
            [FIRST, SECOND],
            [FIRST],
            [KNOWN, "known: model churn: 2026-03-02 was not scored: not built"],
            id="one is missing that is not shown",
        ),
    ],
)
def test_what_the_watch_knows_is_held_against_what_is_missing(missing, shown, told):
    assert [*_known(INCIDENTS, missing, shown)] == told
