from __future__ import annotations

import asyncio

import pytest

from include.errors import UsageError
from mlops.sensors.drift import PsiDriftSensor
from mlops.triggers.drift import PsiDriftTrigger


def test_the_trigger_serialises_to_its_path_and_arguments():
    trigger = PsiDriftTrigger("churn", "2026-01-01", 0.2, 30.0)
    assert trigger.serialize() == (
        "mlops.triggers.drift.PsiDriftTrigger",
        {"model_id": "churn", "partition": "2026-01-01", "threshold": 0.2, "poll_interval_s": 30.0},
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("mlops.triggers.drift.FIRST_LOOK_S", 0.0)


def fire(trigger):
    async def first():
        return await anext(aiter(trigger.run()))

    return asyncio.run(asyncio.wait_for(first(), 5))


def test_the_trigger_waits_for_the_night_and_fires_once_with_what_drifted(monkeypatch):
    answers = iter([None, None, {"recency": 0.4}])
    monkeypatch.setattr("include.steps.monitor_model.drifted_features", lambda *_: next(answers))
    event = fire(PsiDriftTrigger("churn", "2026-01-01", 0.2, 0.01))
    assert event.payload == {"partition": "2026-01-01", "drifted": {"recency": 0.4}}


def sensor(**arguments):
    return PsiDriftSensor(task_id="wait", model_id="churn", partition="2026-01-01", **arguments)


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": -0.1}, {"features_min": 0}])
def test_a_threshold_that_makes_no_sense_fails_when_the_dag_is_parsed(wrong):
    with pytest.raises(UsageError, match="PsiDriftSensor wait"):
        sensor(**wrong)


def test_the_sensor_goes_on_when_enough_features_drifted():
    event = {"partition": "2026-01-01", "drifted": {"a": 0.3, "b": 0.5}}
    assert sensor(features_min=2).execute_complete({}, event) == {"a": 0.3, "b": 0.5}


def test_the_sensor_skips_when_too_few_drifted():
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match=r"1 features at or above PSI 0\.2, 2 are needed"):
        sensor(features_min=2).execute_complete({}, {"partition": "2026-01-01", "drifted": {"a": 0.3}})


def measured(monkeypatch, drifted):
    monkeypatch.setattr("include.steps.monitor_model.drifted_features", lambda *_: drifted)


def test_a_night_that_has_been_measured_needs_no_trigger(monkeypatch):
    measured(monkeypatch, {"recency": 0.4})
    assert sensor().execute({}) == {"recency": 0.4}


def test_the_sensor_hands_its_wait_to_the_triggerer(monkeypatch):
    from airflow.sdk.exceptions import TaskDeferred

    measured(monkeypatch, None)
    with pytest.raises(TaskDeferred) as deferred:
        sensor(threshold=0.3).execute({})
    assert deferred.value.trigger.threshold == 0.3
