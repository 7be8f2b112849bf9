"""Each task whose step may say no: a no skips and is not tried again; a conflict and a failure are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ConflictError, MlopsError, RefusedError, UsageError

ASKING = SimpleNamespace(dag_id="promote_model__churn", run_id="run-1", task_id="approve", map_index=-1, id="try-1")
ANSWER = {"ti_id": "try-1", "option": "Approve", "user_id": "1", "user_name": "ada", "reason": "better"}
ANSWERED = {"found": {"outcome": "answered", "answer": {**ANSWER, "answered_at": "2026-03-01T08:00:00+00:00"}}}
DAY = "2026-03-01"
# Whose reason is kept: a run of a training that is green says none.
TRAINING = {"task_instance": SimpleNamespace(run_id="run-1", task_id="train")}

MEMBERS = {
    "build_training_set": (
        "train_model__churn",
        "include.steps.build_training_set.build_training_set",
        {"day": DAY, **TRAINING},
    ),
    "train": ("train_model__churn", "include.steps.train_model.train_model", {"training_set": None, **TRAINING}),
    "audit": (
        "monitor_model__churn",
        "include.steps.audit_features.require_no_skew",
        {"dag_run": SimpleNamespace(partition_key=DAY, conf={}), "params": {}},
    ),
    "gate": (
        "train_model__churn",
        "include.steps.move_model.stage_or_refuse",
        {"candidate": None, "dag_run": SimpleNamespace(run_type="manual", run_id="run-1"), **TRAINING},
    ),
    "approve": ("promote_model__churn", "include.steps.ask_approval.find_candidate", {"ti": ASKING}),
    "remind_of_churn": ("ask_about_waiting", "include.steps.ask_approval.find_candidate", {}),
    "switch": (
        "switch_retraining",
        "include.steps.switch_retraining.switch_retraining",
        {"params": {"switch": "stop", "model": None, "reason": "an audit"}, "dag_run": SimpleNamespace()},
    ),
    "score": (
        "score_batch__churn",
        "include.steps.score_batch.score_batch",
        {"dag_run": SimpleNamespace(partition_key=DAY, conf={}), "params": {}},
    ),
}


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reasons that were put beside a decision."""
    found: list[str] = []
    monkeypatch.setattr("include.steps.find_untrained.record_failure", lambda *_, why, **__: found.append(why))
    return found


@pytest.fixture(params=MEMBERS)
def answer(request: pytest.FixtureRequest, bag: Any, monkeypatch: pytest.MonkeyPatch, kept: list[str]) -> Any:
    """Runs a task whose step answers with an error."""
    dag_id, step, given = MEMBERS[request.param]
    task = bag.dags[dag_id].get_task(request.param)

    def run(error: Exception) -> object:
        def asked(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(step, asked)
        if hasattr(task, "python_callable"):
            return task.python_callable(**given)
        return task.execute(given)

    return run


def test_an_answer_to_a_version_that_has_moved_on_is_a_no_too(bag, monkeypatch):
    def moved_on(*_: object) -> None:
        raise RefusedError("version 3 is in stage Archived")

    monkeypatch.setattr("include.steps.ask_approval.take_answer", moved_on)
    with pytest.raises(AirflowSkipException, match="version 3 is in stage Archived"):
        bag.dags["promote_model__churn"].get_task("approve").execute_complete({"ti": ASKING}, ANSWERED)


def test_a_no_skips_with_its_reason(answer, kept, request):
    with pytest.raises(AirflowSkipException, match="version 3 is in stage Archived"):
        answer(RefusedError("version 3 is in stage Archived"))
    is_training = MEMBERS[request.node.callspec.params["answer"]][0].startswith("train_model__")
    assert kept == (["train: version 3 is in stage Archived"] if is_training else [])


@pytest.mark.parametrize(
    "error", [ConflictError("somebody else moved"), MlopsError("MLflow is down")], ids=["conflict", "failure"]
)
def test_a_conflict_and_a_failure_are_tried_again(answer, error):
    with pytest.raises(type(error), match=str(error)):
        answer(error)


@pytest.mark.parametrize(
    ("dag", "task_id", "before"),
    [
        ("monitor_model__churn", "signal", "decide"),
        ("train_model__churn", "build_training_set", "claim"),
        ("train_model__churn", "gate", "train"),
    ],
)
def test_a_task_that_was_handed_nothing_says_what_to_do(bag, dag, task_id, before):
    task = bag.dags[dag].get_task(task_id).prepare_for_execution()
    task.op_args, task.op_kwargs = [None], {}
    with pytest.raises(UsageError, match=f"{before} has handed nothing on: it was marked as success before it ran"):
        task._pre_execute_hook({"task": task})


def test_a_plan_of_chunks_that_is_refused_skips_the_night_and_a_commit_that_is_fails(bag_of_chunks, monkeypatch):
    def no(*_: object, **__: object) -> None:
        raise RefusedError("no version was in Production")

    for step in ("plan_chunks", "commit_chunks"):
        monkeypatch.setattr(f"include.steps.score_chunks.{step}", no)
    dag = bag_of_chunks.dags["score_batch__churn"]
    with pytest.raises(AirflowSkipException, match="no version was in Production"):
        dag.get_task("plan").python_callable(dag_run=SimpleNamespace(partition_key=DAY, conf={}), params={})
    with pytest.raises(RefusedError, match="no version was in Production"):
        dag.get_task("commit").python_callable([None], [])
