"""A retrain that was claimed and came to nothing is told until something comes of one, on a real PostgreSQL."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from click.testing import CliRunner
from pydantic import TypeAdapter

from include.adapters.deployment import Deployment
from include.adapters.state.state_store import StateStoreAdapter
from include.cli.main import cli
from include.demo.pace import Pace
from include.demo.play import Demo
from include.errors import MlopsError, NotYetError, RefusedError
from include.governance import lifecycle
from include.governance.lifecycle import MoveRequest
from include.monitoring.decision import Decision
from include.monitoring.decision_facts import NightMetrics
from include.settings import Settings
from include.specs.models import load_model
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.decide_retrain import judge_night, judge_request
from include.steps.find_untrained import find_untrained, record_failure
from include.steps.find_waiting import find_waiting
from include.steps.record_decision import record_decision
from mlops.trainings import failure_callbacks, refusals_kept
from tests.unit.governance.evidence_builder import make_evidence
from tests.unit.monitoring.nights import make_night

RETRAINED, NEXT, LATER = "2026-03-01", "2026-03-02", "2026-03-20"
DRIFT = Decision("retrain", "drift", ("drift",))


@pytest.fixture
def deployment(postgres_database, monkeypatch) -> SimpleNamespace:
    """A version in Production; a retrain was decided on and is claimed by run train-1."""
    monkeypatch.setenv("MLOPS_DATABASE_URL", postgres_database)
    state = StateStoreAdapter(postgres_database)
    state.migrate()
    moves: tuple[lifecycle.LedgerMove, ...] = ()
    for plan in (lifecycle.stage_candidate, lifecycle.promote):
        moves += plan(moves, MoveRequest("churn", 1, "2026-01-01", "ada", "first", evidence=make_evidence()))
    state.append_moves(moves)
    made = SimpleNamespace(state=state, settings=Settings.from_env())
    for night in (RETRAINED, NEXT, LATER):
        measured(made, night)
    retrain(made, RETRAINED, run="train-1")
    return made


def measured(deployment: SimpleNamespace, night: str) -> None:
    deployment.state.record_publications("features/customer_daily", [(night, 1000)], 0)
    found = TypeAdapter(NightMetrics).dump_python(make_night(night), mode="json")
    deployment.state.put_night("churn", night, model_version=1, night=found)


def retrain(deployment: SimpleNamespace, night: str, *, run: str) -> None:
    request = TrainingRequest(run, "asked for by hand by ada", by_hand=True)
    claim_training(deployment, "churn", partition=night, request=request)


def reasons(deployment: SimpleNamespace, night: str) -> str:
    return "; ".join(judge_night(deployment, "churn", night).reasons)


def task(run: str, task_id: str, error: object = None) -> dict[str, object]:
    instance = SimpleNamespace(dag_id="train_model__churn", task_id=task_id, run_id=run, try_number=3)
    return {"task_instance": instance, "exception": error}


def fail(error: object) -> None:
    for callback in failure_callbacks("churn"):
        callback(task("train-1", "train", error))


def refuse(error: Exception) -> None:
    with pytest.raises(AirflowSkipException), refusals_kept("churn", task("train-1", "build_training_set")):
        raise error


ENDS = {
    "failed by an error of ours": (lambda: fail(MlopsError("no room")), "train-1 failed at train: no room"),
    "failed by any other": (lambda: fail(OSError("no room")), "train-1 failed at train: no room"),
    "killed": (lambda: fail("the process is gone"), "train-1 failed at train: the process is gone"),
    "refused": (lambda: refuse(RefusedError("too few rows")), "train-1 failed at build_training_set: too few rows"),
    "without a word": (lambda: None, "train-1 trains on it still, or broke off without a word"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_training_that_comes_to_nothing_is_told_by_the_next_nights_with_run_and_reason(deployment, name):
    end, told = ENDS[name]
    end()
    for night in (NEXT, LATER):
        assert f"the retrain that was decided on {RETRAINED}: {told}" in reasons(deployment, night)
    assert RETRAINED not in reasons(deployment, RETRAINED)
    assert told in "; ".join(judge_request(deployment, "churn", LATER, event="new prices").reasons)
    assert told in CliRunner().invoke(cli, ["registry", "status", "--model", "churn"]).output


def test_the_newest_reason_is_told_once(deployment):
    for reason in ("no room", "no memory"):
        fail(MlopsError(reason))
    assert "no memory" in reasons(deployment, NEXT)
    assert "no room" not in reasons(deployment, NEXT)


def test_a_training_that_another_try_may_bring_is_no_failure(deployment):
    with pytest.raises(NotYetError), refusals_kept("churn", task("train-1", "train")):
        raise NotYetError("wait")
    assert find_untrained(deployment, "churn").why is None


def test_what_came_to_nothing_holds_no_later_retrain_back(deployment):
    fail(MlopsError("no room"))
    assert find_waiting(deployment, "churn") == ()
    assert judge_night(deployment, "churn", LATER).action != "veto"
    assert record_decision(deployment, load_model("churn"), DRIFT, partition=LATER, run_id="night").acted
    assert judge_request(deployment, "churn", LATER, event="new prices").action == "hold"
    claim_training(deployment, "churn", partition=LATER, request=TrainingRequest("train-2"))
    assert find_untrained(deployment, "churn").trained_by == "train-2"


@pytest.fixture
def cooldown(monkeypatch) -> None:
    """Have a retrain wait for two weeks after another one."""
    spec = load_model("churn")
    waits = spec.model_copy(update={"decision": spec.decision.model_copy(update={"cooldown_days": 14})})
    monkeypatch.setattr("include.steps.decide_retrain.load_model", lambda _: waits)


@pytest.mark.usefixtures("cooldown")
def test_what_came_to_nothing_has_spent_neither_cooldown_nor_budget_until_a_version_comes_of_it(deployment):
    event = "new prices"
    assert "cooldown" in judge_night(deployment, "churn", NEXT, event=event).reasons[0]
    fail(MlopsError("no room"))
    assert judge_night(deployment, "churn", NEXT, event=event).action == "retrain"
    assert "came to nothing" in judge_request(deployment, "churn", RETRAINED, event=event).reasons[0]
    moves = deployment.state.ledger("churn")
    trained = MoveRequest("churn", 2, RETRAINED, "train_model", "passed", evidence=make_evidence(RETRAINED))
    deployment.state.append_moves(lifecycle.stage_candidate(moves, trained))
    assert "cooldown" in judge_night(deployment, "churn", NEXT, event=event).reasons[0]


@pytest.mark.usefixtures("cooldown")
def test_a_version_that_its_gates_refused_has_spent_no_cooldown_and_is_tried_again_a_week_later(deployment):
    event, moves = "new prices", deployment.state.ledger("churn")
    refused = MoveRequest("churn", 2, RETRAINED, "train_model", "gates not passed", evidence=make_evidence(RETRAINED))
    deployment.state.append_moves(lifecycle.refuse_candidate(moves, refused))
    fail(RefusedError("gates not passed"))
    assert "its gates refused" in judge_night(deployment, "churn", NEXT, event=event).reasons[0]
    measured(deployment, "2026-03-08")
    assert judge_night(deployment, "churn", "2026-03-08", event=event).action == "retrain"
    assert find_untrained(deployment, "churn") is None


def test_once_a_version_of_its_day_is_there_nothing_is_told_any_more(deployment):
    fail(MlopsError("no room"))
    moves = deployment.state.ledger("churn")
    request = MoveRequest("churn", 2, NEXT, "train_model", "passed", evidence=make_evidence(RETRAINED))
    deployment.state.append_moves(lifecycle.stage_candidate(moves, request))
    assert find_untrained(deployment, "churn") is None
    assert "no version has come" not in reasons(deployment, LATER)


def test_a_run_that_claimed_nothing_leaves_nothing_behind(deployment):
    record_failure(deployment, "churn", run_id="train-9", why="claim: no decision waits")
    assert find_untrained(deployment, "churn").why is None


def test_a_demo_whose_retrain_came_to_nothing_stops_and_says_what_failed_and_where_to_look(deployment):
    fail(MlopsError("no room"))
    airflow = SimpleNamespace(address="http://127.0.0.1:1", runs=lambda _: [], waiting_approvals=list)
    plan = SimpleNamespace(arguments=SimpleNamespace(models=["churn"]))
    demo = Demo(Deployment(deployment.settings), airflow, plan, Pace(), SimpleNamespace(), "")
    with pytest.raises(MlopsError, match=r"train-1 failed at train: no room; .* look at http://127\.0\.0\.1:1/dags/"):
        demo.models[0].settle(demo.narrator)
    assert MlopsError.exit_code != 0
