"""What `mlops registry status|ledger` prints of a ledger in a real PostgreSQL, word for word."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from include.adapters.state.state_store import StateStoreAdapter
from include.cli.main import cli
from include.errors import UsageError
from include.governance.approval import Answer, Approval, AskedBy, Question
from include.governance.lifecycle import MoveRequest, promote
from tests.unit.demo.accounts import make_moves
from tests.unit.governance.evidence_builder import make_evidence

FIRST, LATER = "2026-03-14", "2026-03-20"
STEPS = (
    (1, "None", "Staging", FIRST, "train_model", "gates passed"),
    (1, "Staging", "Production", FIRST, "ada", "first"),
    (2, "None", "Staging", LATER, "train_model", "gates passed"),
    (1, "Production", "Archived", LATER, "ada", "replaced by version 2"),
    (2, "Staging", "Production", LATER, "ada", "better"),
)
TRAINED = """\
            trained as of: 2026-03-14
            rows: 8123
            set id: 2026-03-14-0123456789ab
            sources: {'raw/orders': 3, 'features/customer_daily': 4}
            provenance: {'code_commit': 'c0ffee', 'lock_sha256': '10c4', 'code_changed': False, 'image_digest': None}
            rows sha256: aa
            spec sha256: bb
"""


@pytest.fixture
def ledger(state_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions, of which the second replaced the first."""
    monkeypatch.setenv("MLOPS_DATABASE_URL", state_database)
    state = StateStoreAdapter(state_database)
    state.append_moves(
        [
            replace(move, evidence=None if move.to_stage == "Archived" else make_evidence(move.partition))
            for move in make_moves(*STEPS)
        ]
    )


def registry(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["registry", *arguments, "--model", "churn"], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def without_times(told: str) -> str:
    return re.sub(r" at \d{4}-\d\d-\d\d \d\d:\d\dZ: ", " at NOW: ", told)


def test_status_lists_the_versions(ledger):
    assert registry("status") == "version    1  Archived\nversion    2  Production\n"


@pytest.fixture
def waiting(ledger, state_database) -> StateStoreAdapter:
    """A third version waits in Staging, whose training ada asked for."""
    state = StateStoreAdapter(state_database)
    staged = make_moves(*STEPS, (3, "None", "Staging", LATER, "train_model", "gates passed"))[-1]
    state.append_moves([replace(staged, requested_by="ada")])
    return state


ASKED_AT = datetime(2026, 3, 20, 8, tzinfo=UTC)
QUESTION = Question(
    "churn", 3, AskedBy("promote_model__churn", "run-1", "approve", -1, "try-1"), ASKED_AT, ASKED_AT + timedelta(days=3)
)


def test_status_says_where_a_version_that_waits_is_asked_about(waiting):
    nobody = (
        "version    3  Staging, nobody was asked: ask_about_waiting does so tonight, promote_model__churn now; "
        "mlops registry promote --model churn --version 3 answers in your name\n"
    )
    assert registry("status").endswith(nobody)
    waiting.record_question(replace(QUESTION, version=2))
    assert registry("status").endswith(nobody)
    waiting.record_question(replace(QUESTION, by=replace(QUESTION.by, ti_id="try-2")))
    assert registry("status").endswith(
        "version    3  Staging, asked about in Airflow: promote_model__churn, run run-1, until 2026-03-23 08:00Z\n"
    )


def test_the_ledger_tells_who_asked_for_a_training_and_whose_answer_moved_its_version(waiting):
    answer = Answer("try-1", "Approve", "7", "bob", ASKED_AT, "better")
    request = MoveRequest("churn", 3, LATER, "bob", "better", approval=Approval.of(QUESTION, answer))
    waiting.append_moves(promote(waiting.ledger("churn"), request))
    told, (*_, staged, _, promoted) = registry("ledger"), json.loads(registry("ledger", "--json"))["moves"]
    assert "            training asked for by: ada\n" in told
    assert told.endswith(
        "            answer on record: Approve by bob at 2026-03-20 08:00Z, promote_model__churn run-1\n"
    )
    assert (staged["requested_by"], staged["approval"]) == ("ada", None)
    assert (promoted["requested_by"], promoted["actor"]) == (None, "bob")
    assert (promoted["approval"]["ti_id"], promoted["approval"]["user_id"]) == ("try-1", "7")


def test_a_promotion_that_an_approval_was_before_says_whose_reason_is_kept(waiting, monkeypatch):
    """It comes between the look at the ledger and the move, which then has nothing to do."""

    def approved_meanwhile(deployment, model_id, *, version, **_):
        request = MoveRequest(model_id, version, LATER, "bob", "approved in Airflow")
        waiting.append_moves(promote(waiting.ledger(model_id), request))

    monkeypatch.setattr("include.steps.load_version.require_known", lambda *_: None)
    monkeypatch.setattr("include.steps.move_model.promote_version", approved_meanwhile)
    told = registry("promote", "--version", "3", "--reason", "mine")
    assert told.startswith("churn version 3 was in Production already, by bob at ")
    assert told.endswith(
        f"for the nights after {LATER}: approved in Airflow; nothing was moved, and this reason is not kept\n"
    )


def test_a_promotion_that_moves_a_version_says_that_it_is_in_production(waiting, monkeypatch):
    def promoted(deployment, model_id, *, version, actor, reason):
        waiting.append_moves(promote(waiting.ledger(model_id), MoveRequest(model_id, version, LATER, actor, reason)))

    monkeypatch.setattr("include.steps.load_version.require_known", lambda *_: None)
    monkeypatch.setattr("include.steps.move_model.promote_version", promoted)
    assert registry("promote", "--version", "3", "--reason", "mine") == "churn version 3 is in Production\n"


def test_the_ledger_of_a_model_without_a_version_says_so(ledger):
    done = CliRunner().invoke(cli, ["registry", "ledger", "--model", "fraud"], catch_exceptions=False)
    assert done.output == "fraud has no version yet\n"


def test_status_as_json_has_the_aliases_too(ledger):
    assert json.loads(registry("status", "--json")) == {
        "model": "churn",
        "versions": {"1": "Archived", "2": "Production"},
        "aliases": {"staging": None, "production": 2, "previous": 1},
        "untrained": None,
    }


def test_the_ledger_tells_each_move_and_what_a_version_was_trained_on(ledger):
    told = without_times(registry("ledger"))
    assert told.startswith(
        "2026-03-14  version 1  None → Staging  by train_model at NOW: gates passed\n"
        + TRAINED
        + "2026-03-14  version 1  Staging → Production  by ada at NOW: first\n"
        "2026-03-20  version 2  None → Staging  by train_model at NOW: gates passed\n"
    )
    assert told.endswith(
        "2026-03-20  version 1  Production → Archived  by ada at NOW: replaced by version 2\n"
        "2026-03-20  version 2  Staging → Production  by ada at NOW: better\n"
    )


def test_the_ledger_tells_at_which_minute_each_move_was_made(ledger, state_database):
    told = registry("ledger")
    for move in StateStoreAdapter(state_database).ledger("churn"):
        assert f"by {move.actor} at {move.recorded_at.astimezone(UTC):%Y-%m-%d %H:%M}Z: {move.reason}" in told


def test_a_version_that_is_in_production_already_is_told_so_with_who_moved_it_and_when(
    ledger, state_database, monkeypatch
):
    monkeypatch.setattr("include.steps.move_model.promote_version", lambda *_, **__: None)
    moved = StateStoreAdapter(state_database).ledger("churn")[-1].recorded_at
    told = registry("promote", "--version", "2", "--reason", "again")
    assert told == (
        f"churn version 2 was in Production already, by ada at {moved.astimezone(UTC):%Y-%m-%d %H:%M}Z, for the nights "
        "after 2026-03-20: better; nothing was moved, and this reason is not kept\n"
    )


@pytest.mark.parametrize(("move", "named"), [("promote", "--version"), ("reject", "--version"), ("rollback", "--from")])
def test_a_version_that_there_is_not_is_wrong_use(ledger, move, named):
    done = CliRunner().invoke(cli, ["registry", move, "--model", "churn", named, "9", "--reason", "better"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == ("churn has no version 9; which there are, says mlops registry status --model churn")


def test_the_ledger_of_a_partition_answers_what_was_in_production_then(ledger):
    assert without_times(registry("ledger", "--at", LATER)) == (
        "in Production at 2026-03-20: version 1\n"
        "2026-03-14  version 1  None → Staging  by train_model at NOW: gates passed\n"
        + TRAINED
        + "2026-03-14  version 1  Staging → Production  by ada at NOW: first\n"
    )
    assert registry("ledger", "--at", FIRST) == "in Production at 2026-03-14: nothing\n"


def test_the_ledger_as_json_holds_evidence_apart_from_gates(ledger):
    told = json.loads(registry("ledger", "--json"))
    assert (told["model"], told["at"], told["production"], len(told["moves"])) == ("churn", None, None, 5)
    staged, archived = told["moves"][0], told["moves"][3]
    assert [gate["gate"] for gate in staged["gates"]] == ["auc", "latency", "manifest"]
    assert staged["trained"]["trained_on"]["set_id"] == "2026-03-14-0123456789ab"
    assert (archived["trained"], archived["gates"]) == ({}, [])
