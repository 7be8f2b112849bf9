"""Only an answer on Airflow's own record moves a version: every other way is tried, by REST, as an administrator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from include.embedded.api import AirflowApi
from include.governance import lifecycle
from include.governance.lifecycle import LedgerMove, Stage
from include.steps.move_model import promote_version
from tests.e2e.loop import NIGHT, Loop
from tests.e2e.questions import DAG, WAYS, Asked, ask, be_asked, stage_by_hand
from tests.everyday import members

pytestmark = pytest.mark.timeout(900)


def ledger(loop: Loop) -> tuple[LedgerMove, ...]:
    return loop.deployment.state.ledger("churn")


@pytest.fixture(scope="module")
def staged(loop: Loop) -> int:
    """A version that was trained by hand waits, and nobody has told Airflow."""
    assert loop.waiting() == []
    return stage_by_hand(loop)


@pytest.fixture
def asked(loop: Loop, staged: int) -> Iterator[Asked]:
    """A question about it that waits for an answer; what becomes of it must not move a version."""
    before = ledger(loop)
    yield be_asked(loop)
    assert ledger(loop) == before
    assert lifecycle.holder(before, Stage.STAGING) == staged


def test_a_version_trained_by_hand_is_asked_about_by_the_nightly_reminder_once(loop: Loop, staged: int):
    loop.api.trigger("ask_about_waiting", partition=NIGHT)
    loop.until(lambda: len(loop.waiting()) == 1, "the question")
    assert loop.waiting()[0]["subject"] == f"Promote churn-predictor version {staged} to Production?"
    reminded = loop.api.trigger("ask_about_waiting", partition=NIGHT)
    loop.ended("ask_about_waiting", reminded)
    loop.until(lambda: [run["state"] for run in loop.api.runs(DAG)[-2:]] == ["running", "success"], "the second run")
    assert len(loop.waiting()) == 1


@pytest.mark.parametrize(
    "way",
    members(
        WAYS,
        daily=["an XCom written and the task cleared", "an answer to another map index", "the task marked as success"],
    ),
)
def test_nothing_moves_without_an_answer_and_the_version_waits_and_is_asked_about(loop: Loop, asked: Asked, way):
    WAYS[way](loop, asked)
    again = be_asked(loop)
    assert again.state()[0] == "deferred"
    assert "is on record: asking" in again.log() or "was asked about by a try before: waiting" in again.log()


def test_an_expired_question_moves_nothing_says_so_and_cannot_be_answered_any_more(loop: Loop, asked: Asked):
    state = loop.deployment.state
    own = [q for q in state.questions("churn") if q.by.run_id == asked.run_id][-1]
    now = datetime.now(UTC)
    state.record_question(replace(own, asked_at=now, expires_at=now))
    loop.until(asked.has_ended, "the end of an expired question")
    assert asked.state()[0] == "skipped"
    assert "nobody has answered for churn version" in asked.log()
    asked.answer("Approve", reason="too late")
    again = be_asked(loop)
    assert again.run_id != asked.run_id


def answer_at_once(loop: Loop, who: AirflowApi, option: str, reason: str) -> Asked:
    asked = ask(loop)
    while not asked.is_on_record():
        time.sleep(0.05)
    asked.answer(option, who=who, reason=reason)
    return asked


def test_a_question_whose_version_has_moved_on_is_closed(loop: Loop, staged: int):
    asked = be_asked(loop)
    promote_version(loop.deployment, "churn", version=staged, actor="root", reason="on the command line")
    loop.until(asked.has_ended, "the end of a question that has no version any more")
    assert "does not wait in Staging any more with what was told of it: its question is closed" in asked.log()
    assert loop.waiting() == []


@pytest.mark.parametrize(
    ("option", "stage"),
    [("Approve", Stage.PRODUCTION), pytest.param("Reject", Stage.ARCHIVED, marks=pytest.mark.thorough)],
)
def test_an_answer_within_the_first_second_is_not_lost_and_moves_it_under_the_answering_users_name(
    loop: Loop, option: str, stage: Stage
):
    version = stage_by_hand(loop)
    asked = answer_at_once(loop, loop.as_user("ada"), option, reason="first second")
    loop.until(asked.has_ended, "the taking of an answer")
    last = ledger(loop)[-1]
    assert (last.version, last.to_stage, last.actor) == (version, stage, "ada")
    assert "first second" in last.reason
    assert last.approval is not None
    assert (last.approval.run_id, last.approval.option, last.approval.user_name) == (asked.run_id, option, "ada")
