"""A repair beside the night's own run, which ends while the repair waits for it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from include.monitoring.missed_nights import Hole, MissedNight
from include.monitoring.night_grid import ModelNight
from include.steps import repair_nights as module
from include.steps.night_status import NightStatus
from include.steps.repair_nights import repair_nights

NIGHT = "2026-03-01"
FOUND = ModelNight(
    NIGHT,
    "churn",
    True,
    True,
    None,
    scored=True,
    recorded=True,
    measured=False,
    decided=False,
    missing=("measured", "decided"),
)
HOLE = Hole("model", "churn", MissedNight(NIGHT, "measurement", "its run was killed"))


@pytest.mark.parametrize("own", [[], [SimpleNamespace(partition=NIGHT, requested=False)]], ids=["killed", "ended"])
def test_a_night_is_decided_by_a_repair_only_where_its_own_run_has_not_done_so_meanwhile(monkeypatch, own):
    statuses = iter([NightStatus((), (FOUND,), (HOLE,)), NightStatus((), (), ())])
    decisions, decided = [], []
    monkeypatch.setattr(module, "read_night_status", lambda *_, **__: next(statuses))
    monkeypatch.setattr(module, "record_outcomes", lambda *_, **__: None)
    monkeypatch.setattr(module, "measure_night", lambda *_, **__: decisions.extend(own))
    ref = SimpleNamespace(action="hold", acted=False)
    monkeypatch.setattr(module, "decide_retrain", lambda *_, run_id, **__: decided.append(run_id) or ref)
    state = SimpleNamespace(alone=lambda what: nullcontext(), decisions=lambda model_id: decisions)
    repair_nights(SimpleNamespace(state=state))
    assert decided == ([] if own else [f"mlops nights repair {NIGHT}"])


def test_outcomes_of_a_night_that_nobody_owes_are_recorded_again_and_nothing_else_is_done(monkeypatch):
    found = replace(FOUND, scored=False, recorded=False, missing=("recorded",))
    hole = Hole("model", "churn", MissedNight(NIGHT, "outcomes", "they are gone"))
    statuses = iter([NightStatus((), (found,), (hole,)), NightStatus((), (), ())])
    done = []
    monkeypatch.setattr(module, "read_night_status", lambda *_, **__: next(statuses))
    monkeypatch.setattr(module, "strike_lost", lambda lake, table, night: done.append(table))
    monkeypatch.setattr(module, "record_outcomes", lambda *_, partition: done.append(partition))
    deployment = SimpleNamespace(state=SimpleNamespace(alone=lambda what: nullcontext()), lake=None)
    assert repair_nights(deployment).repaired == (hole,)
    assert done == ["outcomes/churn", NIGHT]
