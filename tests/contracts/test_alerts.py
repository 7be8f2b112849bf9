"""Alerts over the nights of a model, on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

from include.adapters.state.state_store import StateStoreAdapter
from include.governance.lifecycle import MoveRequest, promote, stage_candidate
from include.monitoring.alerts import Finding, Look, untold
from include.monitoring.decision_facts import NightMetrics
from include.settings import Settings
from include.specs.models import load_model
from include.steps.decide_retrain import judge_night
from include.steps.find_untrained import record_failure
from include.steps.raise_alerts import raise_alerts
from include.steps.record_decision import record_decision
from tests.unit.governance.evidence_builder import make_evidence
from tests.unit.monitoring.nights import make_night

NIGHTS = [f"2026-03-{day:02d}" for day in range(1, 13)]
NOW = datetime.now(UTC)


@pytest.fixture
def deployment(state_database) -> SimpleNamespace:
    """A version in Production, and no night yet."""
    state = StateStoreAdapter(state_database)
    made = SimpleNamespace(state=state, settings=Settings.from_env())
    for plan in (stage_candidate, promote):
        moves = state.ledger("churn")
        state.append_moves(plan(moves, MoveRequest("churn", 1, "2026-01-01", "ada", "first", make_evidence())))
    return made


def link(finding: Finding) -> str:
    return f"{finding.dag_id}/{finding.run_id}"


def play(deployment, night: str, *, shifted: int = 0, now: datetime = NOW, **changes) -> None:
    """Decide a measured night, and look at its alerts."""
    deployment.state.record_publications("features/customer_daily", [(night, 1000)], 0)
    look_again(deployment, night, shifted=shifted, now=now, **changes)


def look_again(deployment, night: str, *, shifted: int = 0, now: datetime = NOW, **changes) -> None:
    kept = TypeAdapter(NightMetrics).dump_python(make_night(night, shifted=shifted, **changes), mode="json")
    deployment.state.put_night("churn", night, model_version=1, night=kept)
    judged = judge_night(deployment, "churn", night)
    record_decision(deployment, load_model("churn"), judged, partition=night, run_id=f"run-{night}")
    raise_alerts(deployment, "churn", partition=night, now=now, link=link)


def told(deployment) -> list[tuple[str, str, str | None]]:
    return [(a.kind, a.since, a.over_on) for a in deployment.state.alerts("churn")]


def needed() -> int:
    return load_model("churn").decision.breaches


def test_drift_that_lasts_is_one_alert_and_over_once_a_night_shows_none(deployment):
    for night in NIGHTS[:7]:
        play(deployment, night, shifted=4)
    raised = ("drift", NIGHTS[needed() - 1])
    assert told(deployment) == [(*raised, None)]
    (alert,) = deployment.state.alerts("churn")
    assert alert.decision
    assert "significant shift" in alert.causes[0]
    for night in NIGHTS[7:]:
        play(deployment, night)
    assert [(kind, since) for kind, since, _ in told(deployment)] == [raised]
    assert told(deployment)[0][2] in NIGHTS[7:]


def test_an_incident_is_told_with_its_reasons_and_its_return_is_another(deployment):
    for night, status in zip(NIGHTS, ("ok", "incident", "incident", "ok", "incident"), strict=False):
        play(deployment, night, status=status)
    assert told(deployment) == [("data_incident", NIGHTS[1], NIGHTS[3]), ("data_incident", NIGHTS[4], None)]
    assert deployment.state.alerts("churn")[0].causes == ("f0 is missing in 40.0% of rows",)
    assert deployment.state.alerts("churn")[0].decision.startswith("veto: ")


def test_a_replay_and_a_backfill_raise_and_end_nothing(deployment):
    for night in NIGHTS[4:8]:
        play(deployment, night, status="incident")
    before = told(deployment)
    look_again(deployment, NIGHTS[5])
    look_again(deployment, NIGHTS[0], status="incident")
    assert told(deployment) == before == [("data_incident", NIGHTS[4], None)]
    look_again(deployment, NIGHTS[7], status="incident")
    assert told(deployment) == before


def test_a_training_that_came_to_nothing_is_over_when_a_version_came_of_it(deployment):
    for night in NIGHTS[: needed()]:
        play(deployment, night, shifted=4)
    (acted,) = [d for d in deployment.state.decisions("churn") if d.acted]
    deployment.state.claim_training(acted.decision_id, "train-1")
    record_failure(deployment, "churn", run_id="train-1", why="train: password=secret of 17850")
    # The retrain is decided anew, and nobody claims it.
    for night in NIGHTS[needed() : needed() + 2]:
        play(deployment, night, shifted=4)
    assert [each for each in told(deployment) if each[0] == "training"] == [("training", NIGHTS[needed()], None)]
    alert = next(a for a in deployment.state.alerts("churn") if a.kind == "training")
    assert alert.link == "train_model__churn/train-1"
    assert not {"secret", "17850"} & set(f"{alert.causes} {alert.decision}".replace("=", " ").split())
    request = MoveRequest("churn", 2, acted.partition, "ada", "again", make_evidence(acted.partition))
    deployment.state.append_moves(stage_candidate(deployment.state.ledger("churn"), request))
    play(deployment, NIGHTS[needed() + 2], shifted=4)
    assert ("training", NIGHTS[needed()], NIGHTS[needed() + 2]) in told(deployment)


def test_a_version_that_waits_is_told_of_after_a_day_and_over_when_it_is_in_production(deployment):
    request = MoveRequest("churn", 2, NIGHTS[0], "ada", "again", make_evidence(NIGHTS[0]))
    deployment.state.append_moves(stage_candidate(deployment.state.ledger("churn"), request))
    play(deployment, NIGHTS[1], now=datetime.now(UTC))
    assert told(deployment) == []
    play(deployment, NIGHTS[2], now=datetime.now(UTC) + timedelta(hours=25))
    deployment.state.append_moves(promote(deployment.state.ledger("churn"), replace(request, partition=NIGHTS[2])))
    play(deployment, NIGHTS[3], now=datetime.now(UTC) + timedelta(hours=49))
    assert told(deployment) == [("approval", NIGHTS[2], NIGHTS[3])]


def test_two_looks_at_once_raise_one_alert(deployment):
    look = Look((Finding("drift", ("why",)),))

    def record(_):
        deployment.state.record_look("churn", look, partition=NIGHTS[0], decision="", link=link)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(8)))
    assert told(deployment) == [("drift", NIGHTS[0], None)]


def test_a_message_that_got_through_is_not_due_again_to_that_connection(deployment):
    deployment.state.record_look(
        "churn", Look((Finding("drift", ("why",)),)), partition=NIGHTS[0], decision="", link=link
    )
    (message,) = untold(deployment.state.alerts("churn"), "mail", night=NIGHTS[0])
    for _ in range(2):
        deployment.state.record_message(message, "mail")
    assert list(untold(deployment.state.alerts("churn"), "mail", night=NIGHTS[0])) == []
    assert len(list(untold(deployment.state.alerts("churn"), "chat", night=NIGHTS[0]))) == 1
    deployment.state.record_look("churn", Look(()), partition=NIGHTS[1], decision="", link=link)
    assert [m.is_over for m in untold(deployment.state.alerts("churn"), "mail", night=NIGHTS[0])] == [True]
    assert list(untold(deployment.state.alerts("group x"), "mail", night=NIGHTS[0])) == []
