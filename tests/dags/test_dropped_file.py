"""The example of docs/events.md: a file that is dropped asks for a training by the form that there is."""

from __future__ import annotations

import asyncio
import re
from copy import deepcopy

import pytest
from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger

from include.settings import PROJECT_ROOT
from mlops.requests import EVENT


@pytest.fixture
def example(tmp_path):
    """What the example's file defines, its file in a folder of this test."""
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "docs" / "events.md").read_text(), re.DOTALL)
    assert "/landing/price_list.ready" in code
    defined: dict[str, object] = {"__name__": "ask_on_a_price_list"}
    exec(code.replace("/landing", str(tmp_path)), defined)
    return defined


def test_a_dropped_file_fires_the_watcher_in_the_runner_and_is_taken(example, tmp_path):
    (watcher,) = example["price_list"].watchers
    path, arguments = watcher.trigger.serialize()
    runner, ready = TriggerRunner(), tmp_path / "price_list.ready"
    kept = Trigger.encrypt_kwargs({**arguments, "poke_interval": 0.05})
    runner.to_create.append(RunTrigger.model_construct(id=1, classpath=path, encrypted_kwargs=kept, ti=None))

    async def run() -> None:
        await runner.create_triggers()
        await asyncio.sleep(0.2)
        assert not runner.events
        ready.touch()
        await runner.triggers[1]["task"]

    asyncio.run(asyncio.wait_for(run(), 20))
    assert (len(runner.events), list(runner.failed_triggers), ready.exists()) == (1, [], False)


def test_its_run_asks_by_the_form_of_a_dag_that_there_is(example, bag):
    made = example["ask_on_a_price_list"]()
    (asked,) = made.tasks
    assert asked.trigger_dag_id in bag.dags
    form = deepcopy(bag.dags[asked.trigger_dag_id].params)
    assert set(asked.conf) <= set(EVENT)
    form.update(asked.conf)
    form.validate()
