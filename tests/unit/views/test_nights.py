"""What a night is known by."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.demo.accounts import make_decision, make_night


def test_a_night_is_known_by_the_decision_that_acts_then_by_a_veto():
    hold, veto = make_decision("2026-03-15", decision_id=3), make_decision("2026-03-15", "veto", decision_id=2)
    acted = make_decision("2026-03-15", "retrain", decision_id=1)
    assert make_night("2026-03-15", hold, veto, acted).decision == acted
    assert make_night("2026-03-15", hold, veto).decision == veto
    assert replace(make_night("2026-03-15"), decisions=()).decision is None
