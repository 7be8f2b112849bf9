"""Our triggers in Airflow's own runner: found by their paths, made of what was serialised, fired by the record."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from airflow.triggers.base import BaseTrigger
from pydantic import TypeAdapter

from include.adapters.state.state_store import StateStoreAdapter
from include.errors import UsageError
from include.monitoring.acting import acts
from include.monitoring.decision import Decision
from include.monitoring.decision_facts import NightMetrics
from mlops.sensors.decision import DecisionSensor
from mlops.sensors.drift import PsiDriftSensor
from mlops.triggers.decision import DecisionTrigger
from mlops.triggers.drift import PsiDriftTrigger
from tests.unit.monitoring.nights import make_night

NIGHT = "2026-03-01"
HOLD = Decision("hold", "none", ("cooldown: 3 days left", "2 features shifted"))
DECIDED = {
    "partition": NIGHT,
    "number": 1,
    "action": "hold",
    "trigger": "none",
    "acted": False,
    "reason": "cooldown: 3 days left",
}


@pytest.fixture(autouse=True)
def state(state_database, monkeypatch) -> StateStoreAdapter:
    monkeypatch.setenv("MLOPS_DATABASE_URL", state_database)
    monkeypatch.setattr("mlops.triggers.night.FIRST_LOOK_S", 0.0)
    return StateStoreAdapter(state_database)


def measure(state: StateStoreAdapter) -> None:
    night = TypeAdapter(NightMetrics).dump_python(make_night(NIGHT, shifted=1), mode="json")
    state.put_night("churn", NIGHT, model_version=1, night=night)


def decide(state: StateStoreAdapter, decision: Decision = HOLD, run_id: str = "run-1") -> None:
    rule = partial(acts, decision, partition=NIGHT)
    state.record_decision("churn", decision, partition=NIGHT, run_id=run_id, reads="features/x", rule=rule)


def fire(trigger: BaseTrigger, then) -> object:
    """Have a runner run a trigger as a triggerer does, let something happen meanwhile, and return what it fires."""
    path, arguments = trigger.serialize()
    runner = TriggerRunner()
    workload = RunTrigger.model_construct(
        id=1, classpath=path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments), ti=None, timeout_after=None
    )
    runner.to_create.append(workload)

    async def run() -> object:
        await runner.create_triggers()
        await asyncio.sleep(0.2)
        assert (list(runner.events), list(runner.failed_triggers)) == ([], []), "fired before anything was on record"
        await asyncio.to_thread(then)
        while not runner.events:
            assert not runner.failed_triggers
            await asyncio.sleep(0.02)
        await runner.triggers[1]["task"]
        (entry,) = runner.events
        return entry[1].payload

    return asyncio.run(asyncio.wait_for(run(), 20))


def test_a_wait_for_drift_ends_in_the_runner_when_the_night_is_measured(state):
    event = fire(PsiDriftTrigger("churn", NIGHT, 0.05), lambda: measure(state))
    assert event == {"partition": NIGHT, "shifted": {"f0": "psi 0.310 (0.010 expected by chance)"}, "unjudged": None}


def test_a_wait_for_a_decision_ends_in_the_runner_when_it_is_recorded(state):
    assert fire(DecisionTrigger("churn", NIGHT, 0.05), lambda: decide(state)) == DECIDED


SENSORS = {
    "drift": (PsiDriftSensor(task_id="wait", model_id="churn", partition=NIGHT), measure),
    "decision": (DecisionSensor(task_id="wait", model_id="churn", partition=NIGHT), decide),
}


@pytest.mark.parametrize("case", SENSORS)
def test_a_sensor_that_was_deferred_goes_on_as_one_that_finds_the_night_there(state, case):
    sensor, record = SENSORS[case]
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    trigger = deferred.value.trigger
    trigger.poll_interval_s = 0.05
    event = fire(trigger, lambda: record(state))
    assert getattr(sensor, deferred.value.method_name)({}, event) == sensor.execute({})


def test_the_first_decision_of_a_night_is_waited_for_whatever_a_replay_says(state):
    decide(state)
    decide(state, Decision("retrain", "drift", ("because",)), run_id="replay")
    sensor = DecisionSensor(task_id="wait", model_id="churn", partition=NIGHT, action="hold")
    assert sensor.execute({}) == DECIDED


def test_another_action_than_the_one_that_is_waited_for_skips_with_its_reason(state):
    decide(state)
    sensor = DecisionSensor(task_id="wait", model_id="churn", partition=NIGHT, action="retrain")
    with pytest.raises(AirflowSkipException, match="decided was hold, not retrain: cooldown: 3 days left"):
        sensor.execute({})


def test_an_action_that_is_none_fails_when_the_dag_is_parsed():
    with pytest.raises(UsageError, match=r"allowed: retrain, hold, veto; did you mean 'retrain'\?"):
        DecisionSensor(task_id="wait", model_id="churn", partition=NIGHT, action="retran")


def test_the_trigger_serialises_to_its_path_and_arguments():
    assert DecisionTrigger("churn", NIGHT, 30.0).serialize() == (
        "mlops.triggers.decision.DecisionTrigger",
        {"model_id": "churn", "partition": NIGHT, "poll_interval_s": 30.0},
    )
