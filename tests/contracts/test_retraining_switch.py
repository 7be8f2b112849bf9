"""The switch that holds retraining, on a real PostgreSQL: who may throw it, what obeys it, and what is kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from include.adapters.state.state_store import StateStoreAdapter
from include.cli.main import cli
from include.errors import RefusedError, UsageError
from include.governance import lifecycle
from include.governance.lifecycle import MoveRequest
from include.monitoring.decision import Decision
from include.specs.models import load_model
from include.steps.claim_training import TrainingRequest, claim_training, request_training
from include.steps.decide_retrain import judge_night, judge_request
from include.steps.find_waiting import find_waiting
from include.steps.record_decision import record_decision
from include.steps.switch_retraining import switch_retraining

NIGHT = "2026-03-01"
ADA = {"actor": "ada", "reason": "an audit"}
EVENT = TrainingRequest("run-2", "business event: new prices")
BY_HAND = TrainingRequest("run-3", "asked for by hand by bo", by_hand=True)


@pytest.fixture
def deployment(state_database, monkeypatch) -> SimpleNamespace:
    monkeypatch.setenv("MLOPS_DATABASE_URL", state_database)
    state = StateStoreAdapter(state_database)
    state.record_publications("features/customer_daily", [(NIGHT, 10)], 0)
    for plan in (lifecycle.stage_candidate, lifecycle.promote):
        state.append_moves(plan(state.ledger("churn"), MoveRequest("churn", 1, "2026-02-01", "ada", "first")))
    return SimpleNamespace(state=state)


def ask_night(deployment):
    return judge_night(deployment, "churn", NIGHT)


def ask_event(deployment):
    return judge_request(deployment, "churn", NIGHT, event="business event: new prices")


@pytest.mark.parametrize("ask", [ask_night, ask_event])
@pytest.mark.parametrize("held", ["churn", None], ids=["its own", "all"])
def test_every_decision_on_a_held_model_is_a_veto_that_names_who_and_why(deployment, ask, held):
    free = ask(deployment)
    switch_retraining(deployment, held, is_stop=True, **ADA)
    stopped = ask(deployment)
    assert (free.action, stopped.action) == ("hold", "veto")
    assert f"of {held or 'all models'} was stopped by ada at" in stopped.reasons[0]
    assert ": an audit; no retrain starts before mlops retraining start" in stopped.reasons[0]
    assert stopped.reasons[1:] == free.reasons, "what it would have been is told too"
    switch_retraining(deployment, held, is_stop=False, actor="bo", reason="over")
    assert ask(deployment) == free


def test_another_model_is_not_held(deployment):
    free = ask_night(deployment)
    switch_retraining(deployment, "fraud", is_stop=True, **ADA)
    assert ask_night(deployment) == free


def test_to_let_all_go_leaves_a_model_held_that_is_held_by_its_own_switch(deployment):
    for held in ("churn", None):
        switch_retraining(deployment, held, is_stop=True, **ADA)
    switch_retraining(deployment, None, is_stop=False, **ADA)
    assert ask_night(deployment).action == "veto"


@pytest.mark.parametrize("request_", [BY_HAND, EVENT], ids=["by hand", "event"])
def test_what_is_asked_for_meanwhile_is_refused_and_on_record(deployment, request_):
    switch_retraining(deployment, "churn", is_stop=True, **ADA)
    ask = claim_training if request_.by_hand else request_training
    named = {"partition": NIGHT} if request_.by_hand else {}
    given = {"request": request_} if request_.by_hand else {}
    with pytest.raises(RefusedError, match="is veto: retraining of churn was stopped by ada"):
        ask(deployment, "churn", *(() if request_.by_hand else (request_,)), **named, **given)
    assert [d.action for d in deployment.state.decisions("churn")] == ["veto"]


def test_a_training_that_was_granted_before_waits_and_is_trained_on_once_it_is_let_go(deployment):
    retrain = Decision("retrain", "drift", ("because",))
    granted = record_decision(deployment, load_model("churn"), retrain, partition=NIGHT, run_id="night")
    switch_retraining(deployment, "churn", is_stop=True, **ADA)
    signalled = TrainingRequest("training")
    with pytest.raises(RefusedError, match="stopped by ada"):
        claim_training(deployment, "churn", partition=NIGHT, request=signalled)
    assert find_waiting(deployment, "churn") == (NIGHT,)
    switch_retraining(deployment, "churn", is_stop=False, **ADA)
    claimed = claim_training(deployment, "churn", partition=NIGHT, request=signalled)
    assert (claimed.number, claimed.trained_by) == (granted.number, "training")


@pytest.mark.parametrize("is_stop", [True, False])
def test_a_switch_that_stands_so_already_says_who_and_keeps_nothing(deployment, is_stop):
    for thrown in (True, False)[: 1 if is_stop else 2]:
        switch_retraining(deployment, "churn", is_stop=thrown, **ADA)
    before = deployment.state.switch_moves()
    with pytest.raises(RefusedError, match=r"nothing is changed: retraining of churn was .* by ada"):
        switch_retraining(deployment, "churn", is_stop=is_stop, actor="bo", reason="me too")
    assert deployment.state.switch_moves() == before


def test_what_was_never_stopped_is_not_started(deployment):
    with pytest.raises(RefusedError, match="retraining of all models was never stopped"):
        switch_retraining(deployment, None, is_stop=False, **ADA)


def test_of_many_who_stop_at_once_one_is_on_record(deployment):
    def throw(n: int) -> bool:
        return deployment.state.throw_switch("churn", is_stop=True, actor=f"p{n}", reason="now")

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(throw, range(8))) == 1
    assert len(deployment.state.switch_moves()) == 1


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["retraining", *arguments])
    return (done.exception.exit_code if hasattr(done.exception, "exit_code") else done.exit_code), done.output


def test_the_command_throws_it_in_ones_own_name(deployment, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    for code, *arguments in (
        (0, "stop", "--reason", "an audit"),
        (0, "stop", "--model", "churn", "--reason", "new prices"),
        (1, "stop", "--model", "churn", "--reason", "again"),
        (2, "stop", "--model", "chrun", "--reason", "again"),
        (2, "stop", "--model", "churn"),
        (2, "stop", "--reason", " "),
        (0, "start", "--reason", "over"),
    ):
        assert run(*arguments)[0] == code, arguments
    _, told = run("status", "--json")
    assert json.loads(told)["held"] == ["churn"]
    assert [(m["model_id"], m["stopped"], m["actor"], m["reason"]) for m in json.loads(told)["moves"]] == [
        (None, True, "ada", "an audit"),
        ("churn", True, "ada", "new prices"),
        (None, False, "ada", "over"),
    ]
    assert "held: retraining of churn was stopped by ada" in run("status")[1]


def test_a_model_that_its_spec_holds_is_told_though_nobody_threw_a_switch(deployment, monkeypatch, tmp_path):
    (tmp_path / "fraud.yaml").write_text("decision:\n  stop: true\n")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    assert run("status") == (0, "held: no retrain of fraud starts while decision.stop is true in fraud.yaml\n")
    told = json.loads(run("status", "--json")[1])
    assert (told["held"], told["held_by_spec"]) == ([], ["fraud"])
    for arguments in (
        ["stop", "--model", "fraud", "--reason", "an audit"],
        ["start", "--model", "fraud", "--reason", "over"],
    ):
        assert "still held: no retrain of fraud starts while decision.stop is true in fraud.yaml" in run(*arguments)[1]


def test_the_reason_of_a_switch_is_one_line_that_can_be_seen(deployment):
    thrown = {"is_stop": True, "actor": "eve"}
    with pytest.raises(UsageError, match="gives none; write why"):
        switch_retraining(deployment, "churn", **thrown, reason="\x07\n")
    assert switch_retraining(deployment, "churn", **thrown, reason="an\naudit\x1b[2K").reason == "an audit [2K"
