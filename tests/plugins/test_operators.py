from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.errors import RefusedError
from include.steps.claim_training import TrainingRequest
from mlops.operators.approval import read_answer
from mlops.operators.feature_store import FeastMaterializeOperator
from mlops.operators.model_registry import MLflowPromoteModelOperator
from mlops.requests import describe_request


def test_the_window_of_a_materialisation_is_templated():
    assert set(FeastMaterializeOperator.template_fields) == {"start", "end"}


@pytest.fixture
def promoted(monkeypatch):
    made = {}

    def promote(deployment, model_id, **move):
        made.update(move, model_id=model_id)
        return move["version"]

    monkeypatch.setattr("include.steps.move_model.promote_version", promote)
    return made


def promote(answer):
    operator = MLflowPromoteModelOperator(task_id="p", model_id="churn", version="3", approval_task_id="approve")
    return operator.execute({"ti": SimpleNamespace(xcom_pull=lambda task_ids, key: answer)})


def test_promotion_is_made_in_the_name_of_who_approved(promoted):
    assert promote({"option": "Approve", "actor": "ada", "reason": "better"}) == 3
    assert promoted == {"model_id": "churn", "version": 3, "actor": "ada", "reason": "better"}


def test_approving_a_superseded_version_is_a_no_not_a_failure(promoted, monkeypatch):
    from airflow.sdk.exceptions import AirflowSkipException

    def refuse(*_, **__):
        raise RefusedError("churn version 3 is in stage Archived, not in Staging")

    monkeypatch.setattr("include.steps.move_model.promote_version", refuse)
    with pytest.raises(AirflowSkipException, match="version 3 is in stage Archived"):
        promote({"option": "Approve", "actor": "ada", "reason": "better"})


def test_nothing_is_promoted_without_an_answer_on_record(promoted):
    with pytest.raises(RefusedError, match="needs a person's name"):
        promote(None)
    assert promoted == {}


def response(**facts):
    return {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": None, **facts}


def test_an_answer_carries_option_name_and_reason():
    told = response(responded_by_user={"id": "1", "name": "ada"}, params_input={"reason": "too soon"})
    assert read_answer(told) == {"option": "Reject", "actor": "ada", "reason": "too soon"}


def test_an_answer_without_a_name_or_reason_is_said_to_have_none():
    assert read_answer(response()) == {"option": "Reject", "actor": "unknown", "reason": "no reason given"}


def run(kind, **facts):
    return SimpleNamespace(run_id="r", run_type=kind, **facts)


def test_a_run_by_hand_names_the_person():
    asked = describe_request(run("manual", triggering_user_name="ada"), {})
    assert asked == TrainingRequest("r", "asked for by hand by ada", by_hand=True)


def test_a_posted_event_is_a_business_event_with_its_reason():
    posted = {"a": [SimpleNamespace(extra={"from_rest_api": True, "reason": "price change"})]}
    asked = describe_request(run("asset_triggered"), {"triggering_asset_events": posted})
    assert asked == TrainingRequest("r", "business event: price change")


def test_monitorings_own_signal_asks_in_nobodys_name():
    emitted = {"a": [SimpleNamespace(extra={})]}
    assert describe_request(run("asset_triggered"), {"triggering_asset_events": emitted}) == TrainingRequest("r")
