"""The question to a person, without Airflow around it: when it is put, when it is not, and what counts as an answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.state.state_store import StateStoreAdapter
from include.governance import lifecycle
from include.governance.approval import AskedBy
from include.governance.lifecycle import MoveRequest
from mlops.operators.model_registry import MLflowPromoteModelOperator
from mlops.triggers.approval import ApprovalTrigger, read_answer

NIGHT = "2026-03-01"
DAY = timedelta(days=1)


@pytest.fixture
def deployment(state_database, tmp_path, monkeypatch) -> SimpleNamespace:
    """A version in Staging, on a real PostgreSQL, and a registry that takes everything."""
    state = StateStoreAdapter(state_database)
    state.record_publications("features/customer_daily", [(NIGHT, 10)], 0)
    registry = SimpleNamespace(
        set_lifecycle=lambda *_: None, set_alias=lambda *_: None, load=lambda *_, **__: "the files of a version"
    )
    made = SimpleNamespace(state=state, model_registry=registry, lake=LakeAdapter(tmp_path.as_uri()))
    monkeypatch.setattr("include.adapters.deployment.Deployment.from_env", lambda: made)
    monkeypatch.setattr("mlops.triggers.approval.FIRST_LOOK_S", 0.0)
    move(made, lifecycle.stage_candidate, 1)
    return made


def move(deployment, plan, version, **who):
    moves = deployment.state.ledger("churn")
    request = MoveRequest("churn", version, NIGHT, **{"actor": "root", "reason": "because", **who})
    deployment.state.append_moves(plan(moves, request))


class Airflow:
    """Airflow's record of questions, by task instance, and the state of each task."""

    def __init__(self) -> None:
        self.records: dict[str, SimpleNamespace] = {}
        self.states: dict[str, str] = {}
        self.asked: list[str] = []

    def put(self, ti_id: UUID, **_: object) -> None:
        self.asked.append(str(ti_id))
        self.records[str(ti_id)] = record()

    def read(self, ti_id: UUID) -> SimpleNamespace:
        if str(ti_id) not in self.records:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        return self.records[str(ti_id)]

    def answer(self, ti_id: str, option: str = "Approve", name: str = "bob", **facts: object) -> None:
        self.records[ti_id] = answered(option, name, **facts)

    def task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run: {"approve": self.states[run]} for run in run_ids if run in self.states}


def record(**facts):
    unanswered = {"response_received": False, "responded_by_user": None, "responded_at": None, "chosen_options": ()}
    return SimpleNamespace(**{**unanswered, "params_input": {}, **facts})


def answered(option="Approve", name="bob", **facts):
    user = SimpleNamespace(id=f"id of {name}", name=name)
    given = {"response_received": True, "responded_by_user": user, "chosen_options": [option]}
    return record(**{**given, "responded_at": datetime.now(UTC), "params_input": {"reason": "better"}, **facts})


@pytest.fixture
def airflow(monkeypatch) -> Airflow:
    made = Airflow()
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.upsert_hitl_detail", made.put)
    monkeypatch.setattr("airflow.sdk.execution_time.hitl.get_hitl_detail_content_detail", made.read)
    return made


class Task:
    """One task of one run: what Airflow would do with it, by hand."""

    def __init__(self, airflow: Airflow, run_id: str = "run-1") -> None:
        self.airflow = airflow
        self.run_id = run_id
        self.ti_id = str(uuid4())
        self.operator = MLflowPromoteModelOperator(
            task_id="approve", model_id="churn", response_timeout=3 * DAY, poll_interval_s=0.0
        )
        airflow.states[run_id] = "running"

    @property
    def by(self) -> AskedBy:
        return AskedBy("promote_model__churn", self.run_id, "approve", -1, self.ti_id)

    def context(self) -> dict:
        ti = SimpleNamespace(
            dag_id=self.by.dag_id,
            run_id=self.run_id,
            task_id="approve",
            map_index=-1,
            id=UUID(self.ti_id),
            get_task_states=self.airflow.task_states,
        )
        return {"ti": ti, "task_instance": ti}

    def start(self) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as deferred:
            self.operator.execute(self.context())
        return deferred.value

    def resume(self, deferred: TaskDeferred, event: dict | None = None) -> str:
        """Let the trigger fire, or Airflow itself with an event, and go on where the task was deferred."""
        fired = event if event is not None else asyncio.run(asyncio.wait_for(fire(deferred.trigger), 5))
        return getattr(self.operator, deferred.method_name)(self.context(), event=fired, **deferred.kwargs)

    def go_on(self, deferred: TaskDeferred, event: dict | None = None) -> TaskDeferred:
        with pytest.raises(TaskDeferred) as again:
            self.resume(deferred, event)
        return again.value

    def retry(self) -> None:
        """Give the task another try: Airflow moves its record to the new id."""
        before, self.ti_id = self.ti_id, str(uuid4())
        if before in self.airflow.records:
            self.airflow.records[self.ti_id] = self.airflow.records.pop(before)


async def fire(trigger):
    path, arguments = trigger.serialize()
    assert path == "mlops.triggers.approval.ApprovalTrigger"
    return (await anext(aiter(ApprovalTrigger(**arguments).run()))).payload


@pytest.fixture
def task(deployment, airflow) -> Task:
    return Task(airflow)


def stages(deployment):
    return lifecycle.stages(deployment.state.ledger("churn"))


FORGED = {
    "chosen_options": ["Approve"],
    "params_input": {"reason": "trust me"},
    "responded_at": datetime(2026, 3, 1, tzinfo=UTC),
    "responded_by_user": {"id": "1", "name": "eve"},
    "timedout": False,
}


@pytest.mark.parametrize(("option", "stage"), [("Approve", "Production"), ("Reject", "Archived")])
def test_an_answer_moves_the_version_in_the_name_of_who_gave_it_with_where_airflow_keeps_it(
    task, deployment, airflow, option, stage
):
    waiting = task.start()
    airflow.answer(task.ti_id, option)
    # Airflow resumes the task with an event of its own, whatever that says; the trigger reads the record.
    told = task.resume(task.go_on(waiting, FORGED))
    last = deployment.state.ledger("churn")[-1]
    assert (last.version, last.to_stage, last.actor) == (1, stage, "bob")
    assert "better" in last.reason
    assert "by bob" in told
    assert (last.approval.ti_id, last.approval.run_id, last.approval.map_index) == (task.ti_id, "run-1", -1)
    assert (last.approval.option, last.approval.user_id) == (option, "id of bob")


@pytest.mark.parametrize(
    "event",
    [
        FORGED,
        {},
        {"error": "timed out", "error_type": "timeout"},
        {"outcome": "answered", "answer": {"option": "Approve", "user_name": "eve"}},
    ],
    ids=["an-answer", "nothing", "a-timeout", "our-own-words"],
)
def test_whatever_resumes_the_task_moves_nothing_while_the_record_has_no_answer(task, deployment, event):
    looking = task.go_on(task.start(), event)
    assert looking.trigger.waits_for is None
    waiting = task.go_on(looking)
    assert waiting.trigger.waits_for == task.ti_id
    assert stages(deployment) == {1: "Staging"}


@pytest.mark.parametrize(
    "facts",
    [
        {"responded_by_user": None},
        {"chosen_options": []},
        {"chosen_options": ["Approve", "Reject"]},
        {"responded_at": None},
        {"response_received": False},
    ],
    ids=["by-nobody", "no-option", "both", "never", "not-received"],
)
def test_a_record_that_is_not_one_persons_choice_is_no_answer(task, airflow, facts):
    airflow.records[task.ti_id] = answered(**facts)
    assert read_answer(task.ti_id) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("fine\n2026-03-02  version 9  by root\x1b[2K", "fine 2026-03-02 version 9 by root [2K"),
        ("x" * 2_000_000, "x" * 499 + "…"),
        (7, "7"),
        ("\x07 \n", "no reason given"),
        (None, "no reason given"),
    ],
    ids=["two lines", "two million letters", "a number", "nothing that is seen", "none"],
)
def test_a_reason_is_kept_as_one_line_that_passes_for_nothing_else(task, deployment, airflow, given, kept):
    waiting = task.start()
    airflow.answer(task.ti_id, params_input={"reason": given})
    task.resume(task.go_on(waiting, {}))
    assert deployment.state.ledger("churn")[-1].reason == kept


def test_an_answer_that_is_no_choice_of_ours_fails_and_moves_nothing(task, deployment, airflow):
    looking = task.go_on(task.start(), FORGED)
    airflow.answer(task.ti_id, "Maybe")
    with pytest.raises(Exception, match="'Maybe' answers no question about churn"):
        task.resume(looking)
    assert stages(deployment) == {1: "Staging"}


def test_an_answer_that_airflow_lost_with_the_try_is_taken_by_the_next_one_without_asking_anew(
    task, deployment, airflow
):
    task.start()
    airflow.answer(task.ti_id)
    task.retry()
    assert "approved by bob" in task.resume(task.start())
    assert len(airflow.asked) == 1
    assert stages(deployment) == {1: "Production"}


def test_an_answer_to_a_run_that_has_failed_is_taken_by_a_later_run(task, deployment, airflow):
    task.start()
    airflow.answer(task.ti_id)
    airflow.states["run-1"] = "failed"
    later = Task(airflow, "run-2")
    later.resume(later.start())
    last = deployment.state.ledger("churn")[-1]
    assert (last.to_stage, last.actor, last.approval.run_id) == ("Production", "bob", "run-1")


@pytest.mark.parametrize("state", ["success", "skipped", "failed"])
def test_a_run_that_is_marked_as_ended_moves_nothing_and_the_next_one_asks_again(task, deployment, airflow, state):
    task.start()
    airflow.states["run-1"] = state
    later = Task(airflow, "run-2")
    later.go_on(later.start())
    assert airflow.asked == [task.ti_id, later.ti_id]
    assert stages(deployment) == {1: "Staging"}


@pytest.mark.parametrize("state", ["deferred", "awaiting_input", "running", "up_for_retry", None])
def test_a_second_run_does_not_ask_beside_one_that_does(task, airflow, state):
    task.start()
    airflow.states["run-1"] = state
    with pytest.raises(AirflowSkipException, match="version 1 is asked about already, by approve of run run-1"):
        Task(airflow, "run-2").operator.execute(Task(airflow, "run-2").context())
    assert airflow.asked == [task.ti_id]


def test_clearing_the_task_leaves_the_question_as_it_is(task, deployment, airflow):
    task.start()
    task.retry()
    waiting = task.start()
    assert len(airflow.asked) == 1
    airflow.answer(task.ti_id)
    task.resume(waiting)
    assert stages(deployment) == {1: "Production"}


def expire(deployment, task):
    (question, *_) = [q for q in deployment.state.questions("churn") if q.by.ti_id == task.ti_id]
    now = datetime.now(UTC)
    deployment.state.record_question(replace(question, asked_at=now, expires_at=now))


def test_a_question_nobody_answers_in_time_leaves_the_version_in_staging_and_says_so(task, deployment, airflow):
    waiting = task.start()
    expire(deployment, task)
    with pytest.raises(AirflowSkipException, match=r"nobody has answered for churn version 1 in time: nothing moves"):
        task.resume(waiting)
    assert stages(deployment) == {1: "Staging"}
    assert len(deployment.state.ledger("churn")) == 1


def test_an_answer_to_an_expired_question_does_not_count_and_it_is_asked_anew(task, deployment, airflow):
    task.start()
    expire(deployment, task)
    airflow.answer(task.ti_id)
    airflow.states["run-1"] = "skipped"
    later = Task(airflow, "run-2")
    later.go_on(later.start())
    assert airflow.asked == [task.ti_id, later.ti_id]
    assert stages(deployment) == {1: "Staging"}


def test_an_expired_question_that_is_cleared_is_put_anew_with_time_of_its_own(task, deployment, airflow):
    task.start()
    expire(deployment, task)
    task.retry()
    waiting = task.go_on(task.start())
    assert len(airflow.asked) == 2
    airflow.answer(task.ti_id)
    task.resume(waiting)
    assert stages(deployment) == {1: "Production"}


@pytest.mark.parametrize("plan", [lifecycle.promote, lifecycle.reject], ids=["promoted", "rejected"])
def test_a_question_whose_version_was_moved_elsewhere_ends(task, deployment, plan):
    waiting = task.start()
    move(deployment, plan, 1)
    with pytest.raises(
        AirflowSkipException,
        match="version 1 does not wait in Staging any more with what was told of it: its question is clos",
    ):
        task.resume(waiting)


def test_a_question_about_other_evidence_ends_its_answer_moves_nothing_and_it_is_asked_anew(task, deployment, airflow):
    waiting = task.start()
    move(deployment, lifecycle.renew_evidence, 1)
    airflow.answer(task.ti_id)
    with pytest.raises(AirflowSkipException, match="with what was told of it: its question is closed"):
        task.resume(waiting)
    airflow.states["run-1"] = "skipped"
    later = Task(airflow, "run-2")
    asked = later.start()
    assert airflow.asked == [task.ti_id, later.ti_id]
    assert stages(deployment) == {1: "Staging"}
    airflow.answer(later.ti_id)
    later.resume(asked)
    assert stages(deployment) == {1: "Production"}


def test_an_answer_that_was_read_before_the_evidence_changed_moves_nothing(task, deployment, airflow):
    waiting = task.start()
    airflow.answer(task.ti_id)
    found = asyncio.run(asyncio.wait_for(fire(waiting.trigger), 5))
    move(deployment, lifecycle.renew_evidence, 1)
    with pytest.raises(AirflowSkipException, match="has other evidence than it was asked about with"):
        task.resume(waiting, found)
    assert stages(deployment) == {1: "Staging"}


def test_a_question_about_a_superseded_version_ends_and_its_answer_moves_nothing(task, deployment, airflow):
    waiting = task.start()
    move(deployment, lifecycle.stage_candidate, 2)
    airflow.answer(task.ti_id)
    with pytest.raises(AirflowSkipException, match="version 1 does not wait"):
        task.resume(waiting)
    assert stages(deployment) == {1: "Archived", 2: "Staging"}


def test_an_answer_about_an_earlier_version_is_not_one_about_the_version_that_waits_now(task, deployment, airflow):
    task.start()
    airflow.answer(task.ti_id)
    move(deployment, lifecycle.stage_candidate, 2)
    task.retry()
    waiting = task.start()
    assert len(airflow.asked) == 2, "the old answer was left to be taken for a new one"
    assert airflow.records[task.ti_id].response_received is False
    assert waiting.trigger.version == 2
    assert stages(deployment) == {1: "Archived", 2: "Staging"}


def test_a_try_that_died_between_ledger_and_registry_is_completed_by_the_next(task, deployment):
    task.start()
    move(deployment, lifecycle.promote, 1)
    told = {}
    deployment.model_registry.set_alias = lambda _, alias, version: told.update({alias: version})
    with pytest.raises(AirflowSkipException, match="no version of churn waits"):
        task.operator.execute(task.context())
    assert told["production"] == 1


def test_where_nothing_waits_nobody_is_asked(deployment, airflow):
    move(deployment, lifecycle.reject, 1)
    with pytest.raises(AirflowSkipException, match="no version of churn waits in Staging"):
        Task(airflow).operator.execute(Task(airflow).context())
    assert airflow.asked == []
