"""Each task whose step may say no: a no skips and is not tried again; a conflict and a failure are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ConflictError, MlopsError, RefusedError

ANSWER = {"option": "Reject", "actor": "ada", "reason": "too soon"}
ASKED = SimpleNamespace(
    xcom_pull=lambda task_ids, key="return_value": {"version": "3"} if key == "return_value" else ANSWER
)
DAY = "2026-03-01"

MEMBERS = {
    "build_training_set": ("train_model__churn", "include.steps.build_training_set.build_training_set", {"day": DAY}),
    "train": ("train_model__churn", "include.steps.train_model.train_model", {"training_set": None}),
    "gate": ("train_model__churn", "include.steps.move_model.stage_or_refuse", {"candidate": None}),
    "find_candidate": ("promote_model__churn", "include.steps.move_model.describe_candidate", {}),
    "promote": ("promote_model__churn", "include.steps.move_model.promote_version", {"ti": ASKED}),
    "record_rejection": ("promote_model__churn", "include.steps.move_model.close_question", {"ti": ASKED}),
    "audit": (
        "monitor_model__churn",
        "include.steps.audit_features.require_no_skew",
        {"dag_run": SimpleNamespace(partition_key=DAY, conf={}), "params": {}},
    ),
    "score": (
        "score_batch__churn",
        "include.steps.score_batch.score_batch",
        {"dag_run": SimpleNamespace(partition_key=DAY, conf={}), "params": {}},
    ),
}


@pytest.fixture(params=MEMBERS)
def answer(request: pytest.FixtureRequest, bag: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a task whose step answers with an error."""
    dag_id, step, given = MEMBERS[request.param]
    task = bag.dags[dag_id].get_task(request.param)

    def run(error: Exception) -> object:
        def asked(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(step, asked)
        if hasattr(task, "python_callable"):
            return task.python_callable(**given)
        monkeypatch.setattr(task, "version", "3")
        return task.execute(given)

    return run


def test_a_no_skips_with_its_reason(answer):
    with pytest.raises(AirflowSkipException, match="version 3 is in stage Archived"):
        answer(RefusedError("version 3 is in stage Archived"))


@pytest.mark.parametrize(
    "error", [ConflictError("somebody else moved"), MlopsError("MLflow is down")], ids=["conflict", "failure"]
)
def test_a_conflict_and_a_failure_are_tried_again(answer, error):
    with pytest.raises(type(error), match=str(error)):
        answer(error)
