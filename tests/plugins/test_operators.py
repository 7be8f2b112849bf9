from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from include.errors import UsageError
from include.steps.claim_training import TrainingRequest
from mlops.operators.feature_store import FeastMaterializeOperator
from mlops.requests import describe_event, describe_request, posted_unheard


def test_the_window_of_a_materialisation_is_templated():
    assert set(FeastMaterializeOperator.template_fields) == {"start", "end"}


def run(kind, **facts):
    return SimpleNamespace(run_id="r", run_type=kind, **facts)


def test_a_run_by_hand_names_the_person():
    asked = describe_request(run("manual", triggering_user_name="ada"), {})
    assert asked == TrainingRequest("r", "asked for by hand by ada", by_hand=True, requester="ada")


AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
KNOWN_BY_TIME = "posted at 2026-03-01T12:00:00+00:00"


def posted(*extras):
    return {"triggering_asset_events": {"a": [SimpleNamespace(extra=extra, timestamp=AT) for extra in extras]}}


@pytest.mark.parametrize(
    "told",
    [{"from_rest_api": True}, {"from_rest_api": True, "by": "ada"}, {"by": "ada"}, {"by": "ada", "key": "k"}],
    ids=["by hand", "by hand in another's name", "by a run", "with a key"],
)
def test_an_event_with_a_reason_is_a_business_event(told):
    asked = describe_request(run("asset_triggered"), posted({**told, "reason": "price change"}))
    keys = tuple(filter(None, [told.get("key") or ("from_rest_api" in told and KNOWN_BY_TIME)]))
    who = {"requester": "ada" if told.get("by") and "from_rest_api" not in told else "a business event"}
    assert asked == TrainingRequest("r", "business event: price change", keys=keys, **who)


def test_the_reason_of_an_event_is_one_line_that_can_be_seen():
    told = {"from_rest_api": True, "reason": "price\nchange\x1b[2K", "key": "k"}
    assert describe_request(run("asset_triggered"), posted(told)).asked_by == "business event: price change [2K"


@pytest.mark.parametrize("reason", [{}, {"reason": None}, {"reason": ""}, {"reason": "  "}, {"reason": "\a"}], ids=repr)
def test_an_event_by_hand_without_a_reason_is_refused(reason):
    with pytest.raises(UsageError, match=r"gives no reason; post it again .* request_retrain__<model>"):
        describe_request(run("asset_triggered"), posted({"from_rest_api": True, "key": "k", **reason}))


def test_an_event_without_a_reason_does_not_take_down_the_one_that_came_with_it():
    bare, told = {"from_rest_api": True}, {"from_rest_api": True, "reason": "price change", "key": "k"}
    asked = describe_request(run("asset_triggered"), posted(bare, told))
    assert asked == TrainingRequest("r", "business event: price change", keys=("k",), requester="a business event")


NOT_KEPT = [{"reason": "x" * 501}, {"key": "k" * 501}, {"reason": "a\0b"}, {"key": "\ud800"}]


@pytest.mark.parametrize("words", NOT_KEPT, ids=["a long reason", "a long key", "a null byte", "half a character"])
def test_an_event_whose_words_no_database_keeps_is_refused_and_takes_down_no_other(words):
    strange, told = ({"from_rest_api": True, "reason": "price change", "key": "k", **each} for each in (words, {}))
    with pytest.raises(UsageError, match="500 characters"):
        describe_request(run("asset_triggered"), posted(strange))
    asked = TrainingRequest("k", "business event: price change", keys=("k",), requester="a business event")
    lost = {"timestamp": AT, "partition_key": "2026-03-01", "created_dagruns": []}
    assert posted_unheard(SimpleNamespace(extra=extra, **lost) for extra in (strange, told)) == [asked]


@pytest.mark.parametrize(("key", "known_by"), [(None, "r"), ("order-7", "order-7")], ids=["none", "its own"])
def test_a_request_carries_its_reason_who_told_and_what_it_is_known_by(key, known_by):
    params = {"reason": " price change ", "key": key}
    event = describe_event(run("manual", triggering_user_name="ada"), params)
    assert event == {"reason": "price change", "by": "ada", "key": known_by}


def test_a_word_that_the_form_does_not_have_is_refused():
    # Airflow puts every word of conf among the params.
    params = {"reason": "price change", "key": None, "kee": "k"}
    with pytest.raises(UsageError, match=r"conf has 'kee', .* allowed: reason, key; did you mean 'key'"):
        describe_event(run("manual"), params)


def test_events_that_airflow_has_put_into_one_run_are_one_request_with_every_key_and_reason():
    extras = [{"key": "a", "reason": "price change"}, {"reason": "new shop"}, {"key": "b", "reason": "price change"}]
    asked = describe_request(run("asset_triggered"), posted(*({"from_rest_api": True, **extra} for extra in extras)))
    told = "business event: price change; new shop"
    assert asked == TrainingRequest("r", told, keys=("a", KNOWN_BY_TIME, "b"), requester="a business event")


def test_of_events_that_were_posted_those_that_no_run_has_taken_ask_by_their_key_or_their_time():
    told = {"from_rest_api": True, "reason": "price change"}
    events = [
        SimpleNamespace(extra=extra, timestamp=AT, partition_key=key, created_dagruns=runs)
        for extra, key, runs in (
            ({**told, "key": "k"}, "2026-03-01", []),
            (told, "2026-03-01", []),
            (told, "2026-03-01", ["train_model__churn"]),
            (told, None, []),
            ({"from_rest_api": True}, "2026-03-01", []),
            ({"reason": "asked by a run, which is on record", "key": "r"}, "2026-03-01", []),
            (None, "2026-03-01", []),
        )
    ]
    asked = [
        TrainingRequest(key, "business event: price change", keys=(key,), requester="a business event")
        for key in ("k", KNOWN_BY_TIME)
    ]
    assert posted_unheard(events) == asked


def test_monitorings_own_signal_asks_in_nobodys_name():
    emitted = {"a": [SimpleNamespace(extra={})]}
    assert describe_request(run("asset_triggered"), {"triggering_asset_events": emitted}) == TrainingRequest("r")
