"""The lifecycle of a model's versions, as a function of its ledger.

What belongs here: which move is allowed next, and what a history of moves means. What does not:
where the history is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from include.errors import RefusedError
from include.governance.approval import Approval
from include.governance.evidence import Evidence


class Stage(StrEnum):
    """Where a version stands."""

    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


@dataclass(frozen=True)
class LedgerMove:
    """One row of the promotion ledger.

    Attributes
    ----------
    seq : int
        Counts the model's moves from 1.
    partition : str
        The newest published partition when the move was made; the move governs the partitions after it.
    actor, reason : str
        Who moved it and why.
    evidence : Evidence or None
        Of the moves that rest on one: into Staging, into Production, and of a version that failed its gates.
    recorded_at : datetime or None
        Wall clock, for people; None before it is recorded.
    requested_by : str or None
        Who asked for the training that the move ended, whoever moved the version.
    approval : Approval or None
        The answered question that the move rests on; None where Airflow was not asked.
    """

    model_id: str
    seq: int
    version: int
    from_stage: Stage
    to_stage: Stage
    partition: str
    actor: str
    reason: str
    evidence: Evidence | None = None
    recorded_at: datetime | None = None
    requested_by: str | None = None
    approval: Approval | None = None


@dataclass(frozen=True)
class MoveRequest:
    """Who wants what moved, when and why; of one that was asked about, when the question was recorded."""

    model_id: str
    version: int
    partition: str
    actor: str
    reason: str
    evidence: Evidence | None = None
    requested_by: str | None = None
    approval: Approval | None = None
    asked_at: datetime | None = None


def stages(moves: Sequence[LedgerMove]) -> dict[int, Stage]:
    """Return each version's present stage."""
    return {move.version: move.to_stage for move in sorted(moves, key=lambda m: m.seq)}


def holder(moves: Sequence[LedgerMove], stage: Stage) -> int | None:
    """Return the version that stands at `stage`, Staging or Production; None where nobody does."""
    return next((version for version, at in stages(moves).items() if at == stage), None)


def into_production(moves: Sequence[LedgerMove]) -> LedgerMove | None:
    """Return the move by which the version in Production came there; None where nothing is there."""
    version = holder(moves, Stage.PRODUCTION)
    came = [move for move in moves if move.version == version and move.to_stage == Stage.PRODUCTION]
    return max(came, key=lambda move: move.seq, default=None)


def trained_as_of(moves: Iterable[LedgerMove]) -> set[str]:
    """Return the days that the versions of some moves were trained as of, where that is known."""
    return {move.evidence.as_of for move in moves if move.evidence is not None}


def production_at(moves: Sequence[LedgerMove], partition: str) -> int | None:
    """Return the version whose scores a partition gets: the one in Production before it.

    A move made at partition P governs the partitions after P, so a replay of P gives P's answers.
    """
    return holder([move for move in moves if move.partition < partition], Stage.PRODUCTION)


def produced_at(moves: Sequence[LedgerMove], version: int) -> str | None:
    """Return the partition after which a version first scored in Production; None where it never did."""
    own = (move.partition for move in moves if move.version == version and move.to_stage == Stage.PRODUCTION)
    return min(own, default=None)


def staging_at(moves: Sequence[LedgerMove], partition: str) -> int | None:
    """Return the version that scores a partition beside the one in Production: the one in Staging before it."""
    return holder([move for move in moves if move.partition < partition], Stage.STAGING)


def staged_at(moves: Sequence[LedgerMove], version: int) -> datetime | None:
    """Return when a version last came into Staging, or got other evidence there; None where it never did."""
    staged = [move for move in moves if move.version == version and move.to_stage == Stage.STAGING]
    return max(staged, key=lambda move: move.seq).recorded_at if staged else None


def previous_production(moves: Sequence[LedgerMove]) -> int | None:
    """Return the version that a rollback puts back: the one that the present one took the place of.

    A rollback undoes a promotion, so that the next one goes further back: the version that was left does not come
    again. None where there is no earlier one.
    """
    held: list[int] = []
    for move in sorted(moves, key=lambda m: m.seq):
        if move.to_stage != Stage.PRODUCTION:
            continue
        if move.from_stage != Stage.STAGING and move.version in held:
            del held[held.index(move.version) + 1 :]
        else:
            held.append(move.version)
    return held[-2] if len(held) > 1 else None


def aliases(moves: Sequence[LedgerMove]) -> dict[str, int | None]:
    """Return the registry's aliases that the ledger implies."""
    return {
        "staging": holder(moves, Stage.STAGING),
        "production": holder(moves, Stage.PRODUCTION),
        "previous": previous_production(moves),
    }


def stage_candidate(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the moves that put a new version into Staging; a candidate that waits there is superseded.

    Nothing is returned where the version is in Staging already.

    Raises
    ------
    RefusedError
        If the version has left Staging before, or a newer one waits there.
    """
    present = stages(moves).get(request.version, Stage.NONE)
    if present == Stage.STAGING:
        return ()
    _require(request, present, Stage.NONE)
    return _moves(moves, request, _into_staging(moves, request, present))


def stage_again(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the moves that put a version into Staging that its gates had archived, once it passes those of today.

    Raises
    ------
    RefusedError
        If it was archived for another reason, or a newer one waits in Staging.
    """
    if archived_by_gates(moves, request.version) is None:
        _require(request, stages(moves).get(request.version, Stage.NONE), Stage.NONE)
    return _moves(moves, request, _into_staging(moves, request, Stage.ARCHIVED))


def archived_by_gates(moves: Sequence[LedgerMove], version: int) -> Evidence | None:
    """Return the verdict by which a version's gates archived it; None where it stands elsewhere, or a person did."""
    last = max((move for move in moves if move.version == version), key=lambda m: m.seq, default=None)
    return last.evidence if last is not None and last.to_stage == Stage.ARCHIVED else None


def renew_evidence(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the move of a version that waits, Staging → Staging, with evidence in the place of that it was staged on.

    Raises
    ------
    RefusedError
        If it does not wait in Staging.
    """
    present = stages(moves).get(request.version, Stage.NONE)
    _require(request, present, Stage.STAGING)
    return _moves(moves, request, [(request.version, Stage.STAGING, Stage.STAGING, request.reason)])


def tell_other_champion(moves: Sequence[LedgerMove], evidence: Evidence) -> str | None:
    """Say where evidence compares with another version than the one in Production; None where it does not.

    Evidence from before there was a comparison names none, and is none for that reason.
    """
    present = holder(moves, Stage.PRODUCTION)
    if not evidence.is_compared or evidence.champion == present:
        return None
    was, now = (f"version {version}" if version is not None else "nothing" for version in (evidence.champion, present))
    return f"was compared with {was}, and {now} is in Production now"


def refuse_candidate(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the move of a version that failed its gates: None → Archived."""
    present = stages(moves).get(request.version, Stage.NONE)
    if present == Stage.ARCHIVED:
        return ()
    _require(request, present, Stage.NONE)
    return _moves(moves, request, [(request.version, Stage.NONE, Stage.ARCHIVED, request.reason)])


def promote(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the moves Staging → Production, and Production → Archived of the version that stood there.

    Nothing is returned where the version is in Production already.

    Raises
    ------
    RefusedError
        If the version isn't in Staging, for example because a newer one superseded it, was compared with another
        version than the one in Production, or has got other evidence since it was asked about.
    """
    present = stages(moves).get(request.version, Stage.NONE)
    if present == Stage.PRODUCTION:
        return ()
    _require(request, present, Stage.STAGING)
    if request.evidence is not None and (other := tell_other_champion(moves, request.evidence)):
        raise RefusedError(f"{request.model_id} version {request.version} {other}; ask again")
    staged = staged_at(moves, request.version)
    if request.asked_at is not None and staged is not None and request.asked_at < staged:
        raise RefusedError(
            f"{request.model_id} version {request.version} has other evidence than it was asked about with; it is "
            "asked anew"
        )
    return _moves(moves, request, _into_production(moves, request, Stage.STAGING))


def reject(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the move Staging → Archived; Production stays as it is."""
    present = stages(moves).get(request.version, Stage.NONE)
    if present == Stage.ARCHIVED:
        return ()
    _require(request, present, Stage.STAGING)
    return _moves(moves, request, [(request.version, Stage.STAGING, Stage.ARCHIVED, request.reason)])


def roll_back(moves: Sequence[LedgerMove], request: MoveRequest) -> tuple[LedgerMove, ...]:
    """Return the moves that put the previous Production version back.

    Raises
    ------
    RefusedError
        If the version isn't the one that was in Production before.
    """
    target = previous_production(moves)
    if target is None or request.version != target:
        known = "there is none" if target is None else f"that is version {target}"
        raise RefusedError(
            f"{request.model_id} can only be rolled back to the version that was in Production before; {known}"
        )
    return _moves(moves, request, _into_production(moves, request, stages(moves)[target]))


def _into_staging(
    moves: Sequence[LedgerMove], request: MoveRequest, from_stage: Stage
) -> list[tuple[int, Stage, Stage, str]]:
    waiting = holder(moves, Stage.STAGING)
    steps = [(request.version, from_stage, Stage.STAGING, request.reason)]
    if waiting is not None and waiting > request.version:
        raise RefusedError(
            f"{request.model_id} version {request.version}: the newer version {waiting} waits in Staging"
        )
    if waiting is not None:
        steps.insert(0, (waiting, Stage.STAGING, Stage.ARCHIVED, f"superseded by version {request.version}"))
    return steps


def _into_production(
    moves: Sequence[LedgerMove], request: MoveRequest, from_stage: Stage
) -> list[tuple[int, Stage, Stage, str]]:
    steps = [(request.version, from_stage, Stage.PRODUCTION, request.reason)]
    current = holder(moves, Stage.PRODUCTION)
    if current is not None:
        steps.insert(0, (current, Stage.PRODUCTION, Stage.ARCHIVED, f"replaced by version {request.version}"))
    return steps


def _require(request: MoveRequest, present: Stage, wanted: Stage) -> None:
    if present == Stage.NONE != wanted:
        raise RefusedError(
            f"{request.model_id} has no version {request.version} that its gates let pass; see which there are with: "
            f"mlops registry status --model {request.model_id}"
        )
    if present != wanted:
        raise RefusedError(
            f"{request.model_id} version {request.version} is in stage {present}, not in {wanted}; "
            "see what moved it with: mlops registry ledger --model " + request.model_id
        )


def _moves(
    moves: Sequence[LedgerMove], request: MoveRequest, steps: Sequence[tuple[int, Stage, Stage, str]]
) -> tuple[LedgerMove, ...]:
    first = max((move.seq for move in moves), default=0) + 1
    return tuple(
        LedgerMove(
            model_id=request.model_id,
            seq=first + offset,
            version=version,
            from_stage=from_stage,
            to_stage=to_stage,
            partition=request.partition,
            actor=request.actor,
            reason=reason,
            evidence=request.evidence if version == request.version else None,
            requested_by=request.requested_by if version == request.version else None,
            approval=request.approval,
        )
        for offset, (version, from_stage, to_stage, reason) in enumerate(steps)
    )
