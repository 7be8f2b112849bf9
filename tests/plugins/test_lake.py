from __future__ import annotations

import asyncio

import pytest

from include.specs.sources import load_source
from include.steps.find_day import DayStatus
from mlops.sensors.lake import RawPartitionSensor
from mlops.triggers.lake import RawPartitionTrigger


def sensor():
    return RawPartitionSensor(task_id="wait", source="orders", partition="2026-01-02", timeout=60, poke_interval=5)


def answering(monkeypatch, *answers):
    left = [DayStatus(status, "2026-01-01") for status in answers]
    monkeypatch.setattr("include.steps.find_day.find_day", lambda *_: left.pop(0) if len(left) > 1 else left[0])


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("mlops.triggers.lake.FIRST_LOOK_S", 0.0)


def fire(trigger):
    async def first():
        return await anext(aiter(trigger.run()))

    return asyncio.run(asyncio.wait_for(first(), 5)).payload


def test_the_trigger_serialises_to_its_path_and_arguments():
    assert RawPartitionTrigger("orders", "2026-01-02", 60.0, 5.0).serialize() == (
        "mlops.triggers.lake.RawPartitionTrigger",
        {"source": "orders", "partition": "2026-01-02", "timeout_s": 60.0, "poll_interval_s": 5.0},
    )


def test_a_day_that_is_there_needs_no_trigger(monkeypatch):
    answering(monkeypatch, "delivered")
    assert sensor().execute({}) == "2026-01-02"


def test_late_data_is_waited_for(monkeypatch):
    answering(monkeypatch, "not_arrived", "missing", "delivered")
    assert fire(RawPartitionTrigger("orders", "2026-01-02", 10.0, 0.01)) == {
        "partition": "2026-01-02",
        "arrival": "delivered",
        "day": "2026-01-01",
    }


@pytest.mark.parametrize(
    ("clock", "day", "over_after_h"),
    [
        ({}, "2026-01-02", 0),
        ({"time_zone": "America/New_York"}, "2026-01-02", 5),
        ({"time_zone": "America/New_York"}, "2026-07-02", 4),
        ({"time_zone": "America/New_York", "day_starts": "04:00"}, "2026-03-07", 8),
        ({"time_zone": "Europe/Berlin"}, "2026-01-02", 0),
        ({"time_zone": "Europe/Berlin", "day_starts": "04:00"}, "2026-01-02", 3),
    ],
)
def test_the_time_out_counts_from_the_end_of_the_deliverers_day(monkeypatch, clock, day, over_after_h):
    from airflow.sdk.exceptions import TaskDeferred

    answering(monkeypatch, "not_arrived")
    spec = load_source("orders").model_copy(update=clock)
    monkeypatch.setattr("include.specs.sources.load_source", lambda _: spec)
    waiting = sensor()
    waiting.partition = day
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({})
    assert deferred.value.trigger.timeout_s == 60 + over_after_h * 3600


@pytest.mark.parametrize("arrival", ["missing", "not_arrived"])
def test_the_wait_ends(monkeypatch, arrival):
    answering(monkeypatch, arrival)
    assert fire(RawPartitionTrigger("orders", "2026-01-02", 0.05, 0.01))["arrival"] == arrival


def test_a_day_with_nothing_later_has_not_arrived_and_skips():
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="have not arrived"):
        sensor().execute_complete({}, {"partition": "2026-01-02", "arrival": "not_arrived", "day": "2026-01-02"})


def test_a_missing_day_with_later_days_present_is_an_incident_that_no_retry_mends():
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(
        AirflowFailException, match="2026-01-01 are missing while later days are there: deliver the day"
    ):
        sensor().execute_complete({}, {"partition": "2026-01-02", "arrival": "missing", "day": "2026-01-01"})
