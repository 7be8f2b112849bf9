"""A system asks for a training over Airflow's own API, as docs/events.md says it can."""

from __future__ import annotations

import pytest

from include.errors import MlopsError
from tests.e2e.loop import NIGHT, Loop

pytestmark = pytest.mark.timeout(1200)

DAG = "request_retrain__churn"


@pytest.fixture
def answered(night: Loop) -> Loop:
    """No version waits for an answer: one that did would stand above whoever asks."""
    for approval in night.waiting():
        night.api.answer(approval, "Reject", reason="others are to come")
        night.ended("promote_model__churn", approval["task_instance"]["dag_run_id"])
    return night


def test_a_run_that_is_posted_twice_asks_for_one_training(answered):
    posted = [answered.api.trigger(DAG, conf={"reason": "new prices", "key": "order-7"}) for _ in range(2)]
    for run_id in posted:
        answered.ended(DAG, run_id)
    decision = the_decision(answered, "new prices")
    assert (decision.trigger, decision.acted, decision.partition) == ("event", True, NIGHT)


def test_an_event_that_is_posted_twice_is_decided_once_and_trains_as_that_decision(answered):
    (asset,) = answered.api.request("GET", "/assets", uri_pattern="mlops://retrain/churn")["assets"]
    event = {"asset_id": asset["id"], "partition_key": NIGHT, "extra": {"reason": "a merger", "key": "order-8"}}
    before = len(answered.trainings())
    for times in (1, 2):
        answered.api.request("POST", "/assets/events", event)
        answered.until(lambda times=times: len(ended_since(answered, before)) >= times, f"training {times}")
    runs, decision = ended_since(answered, before), the_decision(answered, "a merger")
    assert {run["state"] for run in runs} == {"success"}
    assert decision.trigger == "event" or not decision.acted
    assert [run["dag_run_id"] for run in runs].count(decision.trained_by) == int(decision.acted)


def test_a_run_without_a_reason_is_refused_where_it_is_posted(night):
    with pytest.raises(MlopsError, match="Airflow said 400"):
        night.api.trigger(DAG, conf={"key": "order-9"})


def ended_since(loop, before):
    return [run for run in loop.trainings()[before:] if run["state"] in ("success", "failed")]


def the_decision(loop, reason):
    (decision,) = [d for d in loop.deployment.state.decisions("churn") if any(reason in each for each in d.reasons)]
    return decision
