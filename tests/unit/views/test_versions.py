"""What stands where, and what was in Production when, read off a ledger."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from include.errors import SpecError, UsageError
from include.governance.lifecycle import LedgerMove, Stage
from include.views.versions import ModelVersion, list_versions, read_ledger, read_standing
from tests.unit.demo.accounts import FIRST_VERSION, HISTORY_END, make_moves
from tests.unit.governance.evidence_builder import GATES, make_evidence

LATER = "2026-03-20"
STEPS = (
    *FIRST_VERSION,
    (2, "None", "Staging", LATER, "train_model", "gates passed"),
    (1, "Production", "Archived", LATER, "ada", "replaced by version 2"),
    (2, "Staging", "Production", LATER, "ada", "better"),
)


def home(moves: tuple[LedgerMove, ...], *, model_id: str = "churn") -> SimpleNamespace:
    def ledger(asked: str) -> tuple[LedgerMove, ...]:
        return moves if asked == model_id else ()

    return SimpleNamespace(state=SimpleNamespace(ledger=ledger, questions=lambda _: (), decisions=lambda _: ()))


def test_each_version_stands_once_by_number_with_its_evidence():
    moves = tuple(
        replace(move, evidence=make_evidence(move.partition) if move.to_stage == Stage.STAGING else None)
        for move in make_moves(*STEPS)
    )
    assert list(list_versions(moves)) == [
        ModelVersion(1, Stage.ARCHIVED, HISTORY_END, GATES),
        ModelVersion(2, Stage.PRODUCTION, LATER, GATES),
    ]


def test_an_older_version_that_was_judged_later_stands_first():
    moves = make_moves((2, "None", "Staging", LATER, "a", "b"), (1, "None", "Archived", LATER, "a", "gates not passed"))
    assert [version.version for version in list_versions(moves)] == [1, 2]


def test_a_version_without_evidence_has_no_gates():
    assert list(list_versions(make_moves(FIRST_VERSION[0]))) == [ModelVersion(1, Stage.STAGING, None, ())]


def test_a_models_standing_is_its_versions_and_what_the_registry_points_at():
    standing = read_standing(home(make_moves(*STEPS)), "churn")
    assert [(v.version, v.stage) for v in standing.versions] == [(1, "Archived"), (2, "Production")]
    assert standing.aliases == {"staging": None, "production": 2, "previous": 1}


@pytest.mark.parametrize(
    ("at", "production", "seqs"),
    [
        (None, None, [1, 2, 3, 4, 5]),
        (HISTORY_END, None, []),
        ("2026-03-15", 1, [1, 2]),
        (LATER, 1, [1, 2]),
        ("2026-03-21", 2, [3, 5]),
    ],
)
def test_the_ledger_of_a_partition_is_what_made_its_version_what_it_was(at, production, seqs):
    found = read_ledger(home(make_moves(*STEPS)), "churn", at=at)
    assert (found.at, found.production, [move.seq for move in found.moves]) == (at, production, seqs)


def test_what_is_no_model_and_what_is_no_day_are_told():
    with pytest.raises(SpecError, match="no model 'chrun'"):
        read_standing(home(()), "chrun")
    with pytest.raises(UsageError, match="3 March"):
        read_ledger(home(()), "churn", at="3 March")


def test_a_ledger_is_readable_when_its_models_spec_is_gone_and_a_model_that_never_was_is_not_there():
    moves = make_moves(*STEPS)
    gone = home(moves, model_id="gone")
    assert read_ledger(gone, "gone").moves == moves
    assert [v.version for v in read_standing(gone, "gone").versions] == [1, 2]
    for read in (read_ledger, read_standing):
        with pytest.raises(SpecError, match="there is no model 'churm'; known: churn"):
            read(gone, "churm")
