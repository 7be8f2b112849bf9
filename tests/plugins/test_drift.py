from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from include.errors import UsageError
from include.monitoring.decision_facts import NightMetrics
from include.steps.read_shift import NightShift, read_shift
from mlops.sensors.drift import PsiDriftSensor
from mlops.triggers.drift import PsiDriftTrigger
from tests.unit.monitoring.nights import make_night

DAY = "2026-01-01"


def test_the_trigger_serialises_to_its_path_and_arguments():
    assert PsiDriftTrigger("churn", DAY, 30.0).serialize() == (
        "mlops.triggers.drift.PsiDriftTrigger",
        {"model_id": "churn", "partition": DAY, "poll_interval_s": 30.0},
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("mlops.triggers.night.FIRST_LOOK_S", 0.0)


def fire(trigger):
    async def first():
        return await anext(aiter(trigger.run()))

    return asyncio.run(asyncio.wait_for(first(), 5))


def sensor(**arguments):
    return PsiDriftSensor(task_id="wait", model_id="churn", partition=DAY, **arguments)


def test_a_number_of_features_that_makes_no_sense_fails_when_the_dag_is_parsed():
    with pytest.raises(UsageError, match="PsiDriftSensor wait"):
        sensor(features_min=0)


def measured(monkeypatch, *nights):
    """Let these be the nights that are stored; None is one that is not measured yet."""
    answers = iter(nights)
    monkeypatch.setattr("include.steps.read_shift.Deployment.from_env", lambda: None)
    monkeypatch.setattr(
        "include.steps.read_shift.load_nights", lambda *_, until: [night for night in [next(answers)] if night]
    )


def test_the_trigger_waits_for_the_night_and_fires_once_with_what_shifted(monkeypatch):
    measured(monkeypatch, None, None, make_night(DAY, shifted=1))
    event = fire(PsiDriftTrigger("churn", DAY, 0.01))
    seen = "psi 0.310 (0.010 expected by chance)"
    assert event.payload == {"partition": DAY, "shifted": {"f0": seen}, "unjudged": None}


def test_the_sensor_hands_its_wait_to_the_triggerer(monkeypatch):
    from airflow.sdk.exceptions import TaskDeferred

    measured(monkeypatch, None)
    with pytest.raises(TaskDeferred) as deferred:
        sensor().execute({})
    assert isinstance(deferred.value.trigger, PsiDriftTrigger)


def test_a_night_that_has_been_measured_needs_no_trigger(monkeypatch):
    measured(monkeypatch, make_night(DAY, shifted=2))
    assert list(sensor(features_min=2).execute({})) == ["f0", "f1"]


def changed(night, verdict, **changes):
    return replace(night, drift=(replace(night.drift[0], verdict=verdict, **changes), *night.drift[1:]))


SHIFTED = make_night(DAY, shifted=4, score_psi=0.5)
NOT_ENOUGH = {
    "too few": (make_night(DAY, shifted=1), r"f0 \(psi 0\.310 .*\); 2 are needed"),
    "the score": (make_night(DAY, score_psi=0.5), "significant features: none; 1 are needed"),
    "within chance": (changed(make_night(DAY), "stable", psi=0.4), "significant features: none"),
    "moderate": (changed(make_night(DAY), "moderate", psi=0.4), "significant features: none"),
    "a broken night": (make_night(DAY, shifted=4, status="incident"), "no shift is counted .*f0 is missing in 40"),
    "a night without rows": (replace(SHIFTED, data_quality=replace(SHIFTED.data_quality, status="unknown")), "unknown"),
    "another schema": (changed(SHIFTED, "schema", reason="no column 'f0'"), "another schema: f0: no column 'f0'"),
}


@pytest.mark.parametrize("case", NOT_ENOUGH)
def test_the_sensor_skips_what_is_no_shift_of_enough_features_and_says_what_it_counted(monkeypatch, case):
    from airflow.sdk.exceptions import AirflowSkipException

    night, said = NOT_ENOUGH[case]
    measured(monkeypatch, night)
    with pytest.raises(AirflowSkipException, match=said):
        sensor(features_min=2 if case == "too few" else 1).execute({})


def test_rows_beyond_the_range_count_though_psi_is_low(monkeypatch):
    measured(monkeypatch, changed(make_night(DAY), "significant", psi=0.04, reason="9.0% of 1000 rows lie beyond"))
    assert sensor().execute({}) == {"f0": "9.0% of 1000 rows lie beyond"}


def test_a_feature_whose_reference_lacks_history_asks_for_nothing(monkeypatch):
    measured(monkeypatch, replace(make_night(DAY, shifted=2), young={"f0": 90}))
    assert read_shift("churn", DAY) == NightShift({"f1": "psi 0.310 (0.010 expected by chance)"})


def test_a_night_that_was_stored_before_verdicts_knew_more_is_still_read(monkeypatch):
    adapter = TypeAdapter(NightMetrics)
    stored = adapter.dump_python(make_night(DAY, shifted=1), mode="json")
    later = {"outside_pvalue", "ks", "ks_pvalue", "wasserstein", "wasserstein_normalised", "reason"}
    stored["drift"] = [{key: value for key, value in row.items() if key not in later} for row in stored["drift"]]
    measured(monkeypatch, adapter.validate_python(stored))
    assert read_shift("churn", DAY) == NightShift({"f0": "psi 0.310 (0.010 expected by chance)"})
