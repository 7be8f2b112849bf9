"""Each part of a home was killed while a night was on its way: it is back, it is named, and nothing is lost."""

from __future__ import annotations

import re

import psutil
import pytest

from tests.e2e.killing import BACK_WITHIN_S, CHAIN
from tests.e2e.loop import NIGHT
from tests.e2e.watched import WATCHING
from tests.shop import on_days

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("part", ["api-server", "scheduler", "dag-processor", "triggerer", "serving", "PostgreSQL"])
def test_a_part_that_is_killed_is_named_and_back_within_seconds(killed, part):
    assert len(re.findall(rf"{part} ended \(signal 9, SIGKILL\)", killed.told())) == 1
    assert killed.away_s[part] < BACK_WITHIN_S
    assert psutil.pid_exists(killed.pid(part))


def test_who_fails_of_a_killed_database_is_not_named_as_the_cause(killed):
    others = [line for line in killed.told().splitlines() if "exit code" in line]
    assert [line for line in others if "for want of" not in line] == []


def test_a_task_whose_scheduler_was_killed_is_tried_again(killed):
    assert killed.tries_of_build == 2


def test_the_night_went_through_the_whole_chain_once(killed):
    assert killed.states == {dag_id: ["success"] for dag_id in CHAIN}


def test_no_row_of_the_night_is_lost_or_doubled(killed):
    lake, delivered = killed.loop.deployment.lake, on_days(killed.loop.orders, NIGHT, NIGHT)
    there = lake.read("raw/orders", start=NIGHT, end=NIGHT)["order_id"].to_pylist()
    assert sorted(there) == sorted(delivered["order_id"].to_pylist())
    for table in ("features/customer_daily", "predictions/churn"):
        keys = lake.read(table, start=NIGHT, end=NIGHT)["customer_id"].to_pylist()
        assert len(keys) == len(set(keys)) > 0, table


def test_a_file_that_is_dropped_starts_one_run_before_the_triggerer_was_killed_and_after(killed):
    """Asked at the end of the night: a trigger that came back would have fired again by then."""
    api = killed.loop.api
    assert [(run["run_type"], run["state"]) for run in api.runs(WATCHING)] == [("asset_triggered", "success")] * 2
    (asset,) = api.request("GET", "/assets", name_pattern="price_list")["assets"]
    events = api.request("GET", "/assets/events", asset_id=asset["id"])["asset_events"]
    assert [event["extra"]["from_trigger"] for event in events] == [True, True]
