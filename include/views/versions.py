"""A model's versions and its ledger: what stands where, what was where, and on what evidence.

What belongs here: one read of the ledger, as what a person asks of it. What does not: the rules of moving
(`governance.lifecycle`), and words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from include import partitions
from include.adapters.deployment import Deployment
from include.governance import lifecycle
from include.governance.approval import Question, asked_since
from include.governance.evidence import GateReport
from include.governance.lifecycle import LedgerMove, Stage
from include.monitoring.untrained import UntrainedRetrain
from include.specs.models import load_model
from include.steps.find_untrained import find_untrained


@dataclass(frozen=True)
class ModelVersion:
    """A version, where it stands now, and the gates it was held against."""

    version: int
    stage: Stage
    as_of: str | None
    gates: tuple[GateReport, ...]


@dataclass(frozen=True)
class ModelStanding:
    """Which version of a model stands where.

    Attributes
    ----------
    model_id : str
    versions : tuple of ModelVersion
        By number.
    aliases : mapping of str to int or None
        The registry's, as the ledger implies them.
    question : Question or None
        The newest one about the version that waits in Staging; None where nobody was asked, or none waits.
    untrained : UntrainedRetrain or None
        The last retrain, where its training has come to no version.
    """

    model_id: str
    versions: tuple[ModelVersion, ...]
    aliases: Mapping[str, int | None]
    question: Question | None
    untrained: UntrainedRetrain | None


@dataclass(frozen=True)
class ModelLedger:
    """A model's moves, or those that made one partition's version what it was.

    Attributes
    ----------
    model_id : str
    at : str or None
        The partition that was asked about; None where all were asked for.
    production : int or None
        The version that was in Production for it; None where nothing was, or no partition was asked about.
    moves : tuple of LedgerMove
        In order; of a partition, those of that version before it.
    """

    model_id: str
    at: str | None
    production: int | None
    moves: tuple[LedgerMove, ...]


def read_standing(deployment: Deployment, model_id: str) -> ModelStanding:
    """Return which version of a model stands where.

    Raises
    ------
    SpecError
        If there is no such model, and never was.
    """
    moves = _read_moves(deployment, model_id)
    waiting = lifecycle.holder(moves, Stage.STAGING)
    asked = [question for question in deployment.state.questions(model_id) if question.version == waiting]
    of_it = asked_since(asked, lifecycle.staged_at(moves, waiting)) if waiting is not None else ()
    question = of_it[-1] if of_it else None
    untrained = find_untrained(deployment, model_id)
    return ModelStanding(model_id, tuple(list_versions(moves)), lifecycle.aliases(moves), question, untrained)


def read_ledger(deployment: Deployment, model_id: str, *, at: str | None = None) -> ModelLedger:
    """Return a model's moves, all of them or those that answer what was in Production for a partition.

    Raises
    ------
    SpecError
        If there is no such model, and never was.
    UsageError
        If `at` is no partition.
    """
    if at is not None:
        partitions.parse(at)
    moves = _read_moves(deployment, model_id)
    if at is None:
        return ModelLedger(model_id, None, None, moves)
    version = lifecycle.production_at(moves, at)
    return ModelLedger(model_id, at, version, tuple(m for m in moves if m.version == version and m.partition < at))


def _read_moves(deployment: Deployment, model_id: str) -> tuple[LedgerMove, ...]:
    """Return the moves of a model, of one whose spec is wrong or gone too: what was decided stays readable."""
    moves = deployment.state.ledger(model_id)
    if not moves:
        load_model(model_id)
    return moves


def list_versions(moves: Sequence[LedgerMove]) -> Iterator[ModelVersion]:
    """Yield the versions of a ledger by number, each with its latest evidence."""
    evidence = {m.version: m.evidence for m in moves if m.evidence is not None}
    for version, stage in sorted(lifecycle.stages(moves).items()):
        shown = evidence.get(version)
        yield ModelVersion(version, stage, shown.as_of if shown else None, shown.gates if shown else ())
