from __future__ import annotations

from types import SimpleNamespace

from include.steps.claim_training import TrainingRequest
from mlops.operators.feature_store import FeastMaterializeOperator
from mlops.requests import describe_request


def test_the_window_of_a_materialisation_is_templated():
    assert set(FeastMaterializeOperator.template_fields) == {"start", "end"}


def run(kind, **facts):
    return SimpleNamespace(run_id="r", run_type=kind, **facts)


def test_a_run_by_hand_names_the_person():
    asked = describe_request(run("manual", triggering_user_name="ada"), {})
    assert asked == TrainingRequest("r", "asked for by hand by ada", by_hand=True, requester="ada")


def test_a_posted_event_is_a_business_event_with_its_reason():
    posted = {"a": [SimpleNamespace(extra={"from_rest_api": True, "reason": "price change"})]}
    asked = describe_request(run("asset_triggered"), {"triggering_asset_events": posted})
    assert asked == TrainingRequest("r", "business event: price change", requester="a business event")


def test_monitorings_own_signal_asks_in_nobodys_name():
    emitted = {"a": [SimpleNamespace(extra={})]}
    assert describe_request(run("asset_triggered"), {"triggering_asset_events": emitted}) == TrainingRequest("r")
