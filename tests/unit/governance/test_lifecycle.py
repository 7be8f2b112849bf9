from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import RefusedError
from include.governance import lifecycle
from include.governance.evidence import GateReport
from include.governance.lifecycle import MoveRequest, Stage
from tests.unit.governance.evidence_builder import GATES, make_evidence


def request(version, partition="2026-01-01", reason="because"):
    return MoveRequest("churn", version, partition, actor="ada", reason=reason, evidence=make_evidence(partition))


def history(*steps):
    moves = []
    for plan, version, partition in steps:
        moves += plan(moves, request(version, partition))
    return moves


STAGED = (lifecycle.stage_candidate, 1, "2026-01-01")
PROMOTED = (lifecycle.promote, 1, "2026-01-01")


def test_promotion_archives_the_version_that_stood_in_production():
    moves = history(
        STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"), (lifecycle.promote, 2, "2026-02-01")
    )
    assert lifecycle.stages(moves) == {1: Stage.ARCHIVED, 2: Stage.PRODUCTION}
    assert lifecycle.aliases(moves) == {"staging": None, "production": 2, "previous": 1}


def test_evidence_stands_beside_the_moves_of_its_own_version_only():
    moves = history(STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"))
    moves += lifecycle.promote(moves, request(2, "2026-02-01"))
    held = [(move.version, move.evidence.as_of if move.evidence else None) for move in moves]
    assert held == [(1, "2026-01-01"), (1, "2026-01-01"), (2, "2026-02-01"), (1, None), (2, "2026-02-01")]


def test_a_move_governs_the_partitions_after_it():
    moves = history(
        STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"), (lifecycle.promote, 2, "2026-02-01")
    )
    assert lifecycle.production_at(moves, "2026-01-01") is None
    assert lifecycle.production_at(moves, "2026-01-02") == 1
    assert lifecycle.production_at(moves, "2026-02-01") == 1
    assert lifecycle.production_at(moves, "2026-02-02") == 2


def test_a_versions_life_begins_with_its_first_promotion_whatever_came_after():
    moves = history(
        STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"), (lifecycle.promote, 2, "2026-02-01")
    )
    moves += lifecycle.roll_back(moves, request(1, "2026-02-10"))
    assert lifecycle.production_at(moves, "2026-02-11") == 1
    assert [lifecycle.produced_at(moves, version) for version in (1, 2, 3)] == ["2026-01-01", "2026-02-01", None]


def test_a_newer_candidate_supersedes_the_one_that_waits():
    moves = history(STAGED, (lifecycle.stage_candidate, 2, "2026-01-05"))
    assert lifecycle.stages(moves) == {1: Stage.ARCHIVED, 2: Stage.STAGING}
    assert moves[1].reason == "superseded by version 2"


def test_an_older_candidate_does_not_supersede_a_newer_one():
    moves = history((lifecycle.stage_candidate, 2, "2026-01-01"))
    with pytest.raises(RefusedError, match="newer version 2 waits"):
        lifecycle.stage_candidate(moves, request(1))


def test_approving_a_superseded_candidate_is_refused():
    moves = history(STAGED, (lifecycle.stage_candidate, 2, "2026-01-05"))
    with pytest.raises(RefusedError, match="version 1 is in stage Archived, not in Staging"):
        lifecycle.promote(moves, request(1))


@pytest.mark.parametrize("answer", [lifecycle.promote, lifecycle.reject])
@pytest.mark.parametrize("before", [(), (STAGED,)], ids=["no version", "another version"])
def test_a_version_that_is_not_there_is_in_no_stage(before, answer):
    with pytest.raises(RefusedError, match=r"churn has no version 3 .* mlops registry status --model churn"):
        answer(history(*before), request(3))


def test_a_version_that_failed_its_gates_never_reaches_staging():
    moves = history((lifecycle.refuse_candidate, 1, "2026-01-01"))
    assert lifecycle.stages(moves) == {1: Stage.ARCHIVED}
    with pytest.raises(RefusedError):
        lifecycle.stage_candidate(moves, request(1))


def test_rejecting_leaves_production_alone():
    moves = history(STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"), (lifecycle.reject, 2, "2026-02-01"))
    assert lifecycle.holder(moves, Stage.PRODUCTION) == 1
    assert lifecycle.holder(moves, Stage.STAGING) is None


def test_a_rollback_goes_to_the_version_before_and_only_there():
    moves = history(
        STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"), (lifecycle.promote, 2, "2026-02-01")
    )
    with pytest.raises(RefusedError, match="that is version 1"):
        lifecycle.roll_back(moves, request(2))
    back = moves + list(lifecycle.roll_back(moves, request(1, "2026-02-03")))
    assert lifecycle.holder(back, Stage.PRODUCTION) == 1
    with pytest.raises(RefusedError, match="there is none"):
        lifecycle.roll_back(history(STAGED, PROMOTED), request(1))


def test_a_second_rollback_goes_further_back_and_never_to_the_version_that_was_left():
    steps = [STAGED, PROMOTED]
    for version in (2, 3):
        steps += [(lifecycle.stage_candidate, version, "2026-02-01"), (lifecycle.promote, version, "2026-02-01")]
    moves = history(*steps)
    for target, previous in ((2, 1), (1, None)):
        moves += lifecycle.roll_back(moves, request(target))
        assert lifecycle.aliases(moves) == {"staging": None, "production": target, "previous": previous}
    with pytest.raises(RefusedError, match="there is none"):
        lifecycle.roll_back(moves, request(3))
    moves += lifecycle.stage_candidate(moves, request(4))
    moves += lifecycle.promote(moves, request(4))
    assert lifecycle.previous_production(moves) == 1


PLANS = (
    lifecycle.stage_candidate,
    lifecycle.stage_again,
    lifecycle.refuse_candidate,
    lifecycle.promote,
    lifecycle.reject,
    lifecycle.roll_back,
)


@given(st.lists(st.tuples(st.sampled_from(PLANS), st.integers(1, 4)), max_size=25))
def test_whatever_is_asked_at_most_one_version_stands_at_each_place_and_moves_count_up(asked):
    moves: list[lifecycle.LedgerMove] = []
    for plan, version in asked:
        try:
            moves += plan(moves, request(version))
        except RefusedError:
            continue
        at = list(lifecycle.stages(moves).values())
        assert at.count(Stage.PRODUCTION) <= 1
        assert at.count(Stage.STAGING) <= 1
        assert [m.seq for m in moves] == list(range(1, len(moves) + 1))


@given(st.sampled_from((lifecycle.stage_candidate, lifecycle.refuse_candidate)))
def test_a_move_that_is_done_already_is_no_move(plan):
    moves = list(plan([], request(1)))
    assert plan(moves, request(1)) == ()


def compared_with(version, champion):
    """A request whose evidence compares with a version."""
    gates = (*GATES, GateReport("champion", "pass", -0.001, -0.01, "as good"))
    return replace(request(version), evidence=replace(make_evidence(gates=gates), champion=champion))


IN_PRODUCTION = (STAGED, PROMOTED, (lifecycle.stage_candidate, 2, "2026-02-01"))


@pytest.mark.parametrize("champion", [None, 3])
def test_what_was_compared_with_another_version_than_that_in_production_is_not_promoted(champion):
    moves = history(*IN_PRODUCTION)
    with pytest.raises(RefusedError, match=r"was compared with .*, and version 1 is in Production now; ask again"):
        lifecycle.promote(moves, compared_with(2, champion))
    assert lifecycle.promote(moves, compared_with(2, 1))[-1].to_stage == Stage.PRODUCTION


def test_what_was_compared_with_a_version_that_is_in_production_no_more_is_not_promoted():
    moves = history(STAGED)
    with pytest.raises(RefusedError, match="was compared with version 7, and nothing is in Production now"):
        lifecycle.promote(moves, compared_with(1, 7))


def test_evidence_from_before_there_was_a_comparison_compares_with_no_other_version():
    moves = history(*IN_PRODUCTION)
    assert lifecycle.tell_other_champion(moves, make_evidence()) is None


def test_an_answer_to_a_question_from_before_other_evidence_promotes_nothing():
    """Whoever renews the evidence may be quicker than the answer that is being taken."""
    moves = history(*IN_PRODUCTION)
    day = datetime(2026, 3, 1, tzinfo=UTC)
    staged = [*moves, *lifecycle.renew_evidence(moves, compared_with(2, 1))]
    staged = [replace(move, recorded_at=day + timedelta(hours=move.seq)) for move in staged]
    renewed = staged[-1].recorded_at
    asked = [replace(compared_with(2, 1), asked_at=renewed + timedelta(minutes=late)) for late in (-1, 0, 1)]
    with pytest.raises(RefusedError, match="churn version 2 has other evidence than it was asked about with"):
        lifecycle.promote(staged, asked[0])
    for request in (*asked[1:], compared_with(2, 1)):
        assert lifecycle.promote(staged, request)[-1].to_stage == Stage.PRODUCTION


def test_other_evidence_of_a_version_that_waits_moves_nothing_else():
    moves = history(*IN_PRODUCTION)
    renewed = [*moves, *lifecycle.renew_evidence(moves, compared_with(2, 1))]
    assert (renewed[-1].seq, renewed[-1].from_stage, renewed[-1].to_stage) == (4, Stage.STAGING, Stage.STAGING)
    assert lifecycle.stages(renewed) == lifecycle.stages(moves)
    assert lifecycle.aliases(renewed) == lifecycle.aliases(moves)
    with pytest.raises(RefusedError, match="is in stage Production, not in Staging"):
        lifecycle.renew_evidence(moves, compared_with(1, 1))
