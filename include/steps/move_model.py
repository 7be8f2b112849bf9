"""Move a version through its lifecycle: the ledger first, MLflow's aliases after it.

What belongs here: one move = read the ledger, plan, append by compare-and-set, project. What does
not: which move is allowed (`governance.lifecycle`), whether a gate passes (`governance.gates`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from include.adapters.deployment import Deployment
from include.errors import RefusedError
from include.governance import lifecycle
from include.governance.approval import Approval
from include.governance.evidence import Evidence, GateReport
from include.governance.lifecycle import LedgerMove, MoveRequest, Stage
from include.refs import CandidateRef
from include.specs.models import load_model
from include.steps.anchor_history import anchor_history
from include.steps.compare_champion import find_champion
from include.steps.gate_candidate import gate_candidate, thresholds
from include.steps.load_version import load_version
from include.tables import features_name

log = logging.getLogger(__name__)

_Plan = Callable[[Sequence[LedgerMove], MoveRequest], tuple[LedgerMove, ...]]
_PIPELINE = "train_model"


def stage_or_refuse(deployment: Deployment, candidate: CandidateRef, *, requested_by: str | None = None) -> None:
    """Run a candidate's gates and move it to Staging, or to Archived where one does not pass.

    A version that its gates had archived is held against those of today where they were others: at other thresholds,
    against another version in Production, or where a gate could not tell.

    Parameters
    ----------
    deployment : Deployment
    candidate : CandidateRef
    requested_by : str, optional
        Who asked for the training; the ledger keeps it beside who moves the version.

    Raises
    ------
    RefusedError
        If it does not stand in Staging then: a gate did not pass, as it stands now, or it has left Staging before.
    ConflictError
        If somebody else moved a version at the same time.
    """
    moves = deployment.state.ledger(candidate.model_id)
    present = lifecycle.stages(moves).get(candidate.version)
    if present is not None and not _failed_other_gates(deployment, moves, candidate):
        _leave(deployment, candidate, present)
        return
    evidence = gate_candidate(deployment, candidate)
    failed = _failed(evidence)
    told = "; ".join(_told(report) for report in (failed or evidence.gates))
    stage = lifecycle.stage_candidate if present is None else lifecycle.stage_again
    plan = lifecycle.refuse_candidate if failed else stage
    reason = f"gates not passed: {told}" if failed else f"gates passed: {told}"
    _move(
        deployment,
        plan,
        candidate.model_id,
        candidate.version,
        actor=_PIPELINE,
        reason=reason,
        evidence=evidence,
        requested_by=requested_by,
    )
    if failed:
        raise RefusedError(f"{candidate.model_id} version {candidate.version}: {reason}")


def _leave(deployment: Deployment, candidate: CandidateRef, present: Stage) -> None:
    """Leave a version where it stands, if the gates of today let it; refuse where that is not in Staging."""
    if present == Stage.STAGING:
        _verdict_of_today(deployment, candidate.model_id, candidate.version)
    project(deployment, candidate.model_id)
    if present != Stage.STAGING:
        raise RefusedError(
            f"{candidate.model_id} version {candidate.version} is in {present} already: the same training set gives "
            "the same version; new orders, other features, labels or parameters, or new code give a new one"
        )


def describe_candidate(deployment: Deployment, model_id: str, *, version: int) -> str:
    """Return the evidence of a version that was staged, as Markdown."""
    moves = deployment.state.ledger(model_id)
    evidence = _staging_evidence(moves, version)
    champion = lifecycle.holder(moves, Stage.PRODUCTION)
    other = lifecycle.tell_other_champion(moves, evidence) if evidence else None
    lines = [
        f"Trained as of **{evidence.as_of if evidence else 'an unknown day'}**; in Production now: "
        + (f"version {champion}" if champion is not None else "nothing"),
        *([f"It {other}: to approve it holds it against that first, and asks again."] if other else []),
        "",
        "| gate | verdict | value | threshold | reason |",
        "|---|---|---|---|---|",
        *(
            f"| {g.gate} | {g.verdict} | {_number(g.value)} | {_number(g.threshold)} | {_cell(g.reason)} |"
            for g in (evidence.gates if evidence else ())
        ),
    ]
    return "\n".join(lines)


def promote_version(
    deployment: Deployment,
    model_id: str,
    *,
    version: int,
    actor: str,
    reason: str,
    approval: Approval | None = None,
    asked_at: datetime | None = None,
) -> int:
    """Move a version from Staging to Production and return it; a version that is there already stays.

    Raises
    ------
    RefusedError
        If the version isn't in Staging, or does not pass its gates as they stand now. If it was compared with another
        version than the one in Production: it keeps what it has to show against that one, and is asked about anew. If
        it has got other evidence since the question was recorded that was answered, at `asked_at`.
    MlopsError
        If its files are not what was registered, so that no night could be scored with it.
    ConflictError
        If somebody else moved a version at the same time.
    """
    moves = deployment.state.ledger(model_id)
    staged, verdict = _staging_evidence(moves, version), _verdict_of_today(deployment, model_id, version)
    if staged != verdict and (other := _tell_other_champion(moves, version)):
        raise RefusedError(
            f"{model_id} version {version} {other}: it was held against its gates anew and passes them, which is not "
            f"what was approved; see what they found (mlops registry ledger --model {model_id}) and approve it again"
        )
    if lifecycle.stages(moves).get(version) == Stage.STAGING:
        load_version(deployment, model_id, version)
    _move(
        deployment,
        lifecycle.promote,
        model_id,
        version,
        actor=actor,
        reason=reason,
        evidence=verdict,
        approval=approval,
        asked_at=asked_at,
    )
    return version


def reject_version(
    deployment: Deployment, model_id: str, *, version: int, actor: str, reason: str, approval: Approval | None = None
) -> str:
    """Archive a version that waits in Staging and return the reason; Production stays."""
    why = f"rejected: {reason}"
    _move(deployment, lifecycle.reject, model_id, version, actor=actor, reason=why, approval=approval)
    return reason


def roll_back(deployment: Deployment, model_id: str, *, leaving: int, actor: str, reason: str) -> int:
    """Put the version back that was in Production before `leaving`, and return what is there then.

    Naming the version that is left makes a repeated rollback harmless: once it has been left, nothing moves.

    Raises
    ------
    RefusedError
        If `leaving` was never in Production, or there is no earlier Production version.
    MlopsError
        If the files of that one are not what was registered.
    """
    moves = deployment.state.ledger(model_id)
    current = lifecycle.holder(moves, Stage.PRODUCTION)
    held = {move.version for move in moves if move.to_stage == Stage.PRODUCTION}
    if leaving not in held:
        told = f"version {current} is" if current is not None else "none is"
        raise RefusedError(
            f"{model_id} version {leaving} was never in Production, so it can't be left; {told} there now"
        )
    if current is not None and current != leaving:
        project(deployment, model_id)
        return current
    target = lifecycle.previous_production(moves)
    if target is None:
        raise RefusedError(f"{model_id} has no earlier Production version to roll back to")
    load_version(deployment, model_id, target)
    _move(deployment, lifecycle.roll_back, model_id, target, actor=actor, reason=f"rollback: {reason}")
    return target


def project(deployment: Deployment, model_id: str) -> None:
    """Make MLflow's aliases and lifecycle tags say what the ledger says, and keep its rows' hashes; safe to repeat."""
    anchor_history(deployment, model_id)
    name = load_model(model_id).registered_name
    # MLflow refuses one of two that write an alias first, and whoever read the ledger earlier must not write later.
    with deployment.state.alone(f"projecting {name}"):
        moves = deployment.state.ledger(model_id)
        for version, stage in lifecycle.stages(moves).items():
            deployment.model_registry.set_lifecycle(name, version, stage.value)
        for alias, held_by in lifecycle.aliases(moves).items():
            deployment.model_registry.set_alias(name, alias, held_by)


def _move(
    deployment: Deployment,
    plan: _Plan,
    model_id: str,
    version: int,
    *,
    actor: str,
    reason: str,
    evidence: Evidence | None = None,
    requested_by: str | None = None,
    approval: Approval | None = None,
    asked_at: datetime | None = None,
) -> None:
    moves = deployment.state.ledger(model_id)
    partition = _newest_published(deployment, model_id)
    request = MoveRequest(
        model_id,
        version,
        partition,
        actor=actor,
        reason=reason,
        evidence=evidence,
        requested_by=requested_by,
        approval=approval,
        asked_at=asked_at,
    )
    planned = plan(moves, request)
    if planned:
        deployment.state.append_moves(planned)
    project(deployment, model_id)
    for move in planned:
        log.info(
            "move model=%s version=%d %s→%s actor=%s", model_id, move.version, move.from_stage, move.to_stage, actor
        )


def _newest_published(deployment: Deployment, model_id: str) -> str:
    group = load_model(model_id).features.group
    newest = deployment.state.newest_publication(features_name(group))
    if newest is None:
        raise RefusedError(f"{features_name(group)} has no published partition; a move has no day to stand at")
    return newest


def _staging_evidence(moves: Sequence[LedgerMove], version: int) -> Evidence | None:
    staged = (m for m in reversed(moves) if m.version == version and m.to_stage == Stage.STAGING)
    return next((m.evidence for m in staged), None)


def _tell_other_champion(moves: Sequence[LedgerMove], version: int) -> str | None:
    """Say of a version that waits where it was compared with another one than that in Production."""
    staged = _staging_evidence(moves, version)
    if staged is None or lifecycle.stages(moves)[version] != Stage.STAGING:
        return None
    return lifecycle.tell_other_champion(moves, staged)


def _verdict_of_today(deployment: Deployment, model_id: str, version: int) -> Evidence | None:
    """Return what a version's gates said, anew where it waits in Staging and a gate has changed since.

    Changed is a threshold, or the version in Production: it keeps the evidence against that one from then on.

    Raises
    ------
    RefusedError
        If it does not pass them now; it is archived, or it would hold every later retrain back.
    """
    moves = deployment.state.ledger(model_id)
    staged = _staging_evidence(moves, version)
    if staged is None or lifecycle.stages(moves)[version] != Stage.STAGING:
        return staged
    candidate = CandidateRef(model_id, version, staged.run_id, staged.as_of)
    if _is_of_today(deployment, candidate, staged):
        return staged
    evidence = gate_candidate(deployment, candidate)
    if failed := _failed(evidence):
        reason = f"gates have changed since it was staged, and are not passed: {'; '.join(map(_told, failed))}"
        _move(deployment, lifecycle.reject, model_id, version, actor=_PIPELINE, reason=reason, evidence=evidence)
        raise RefusedError(f"{model_id} version {version}: {reason}")
    if other := _tell_other_champion(moves, version):
        reason = f"{other}; gates passed: {'; '.join(map(_told, evidence.gates))}"
        _move(
            deployment, lifecycle.renew_evidence, model_id, version, actor=_PIPELINE, reason=reason, evidence=evidence
        )
    return evidence


def _failed_other_gates(deployment: Deployment, moves: Sequence[LedgerMove], candidate: CandidateRef) -> bool:
    """Say whether a version was archived by its gates, which today are others, or of which one could not tell."""
    verdict = lifecycle.archived_by_gates(moves, candidate.version)
    if verdict is None:
        return False
    return _is_unknown(verdict) or not _is_of_today(deployment, candidate, verdict)


def _is_unknown(evidence: Evidence) -> bool:
    return any(report.verdict == "unknown" for report in evidence.gates)


def _is_of_today(deployment: Deployment, candidate: CandidateRef, evidence: Evidence) -> bool:
    """Say whether a verdict was given by the thresholds that stand now, against the version in Production now."""
    champion = find_champion(deployment, candidate)
    today = thresholds(load_model(candidate.model_id).gates, champion)
    return evidence.champion == champion.version and today == {each.gate: each.threshold for each in evidence.gates}


def _failed(evidence: Evidence) -> list[GateReport]:
    return [report for report in evidence.gates if report.verdict not in ("pass", "not_applicable")]


def _told(report: GateReport) -> str:
    return f"{report.gate} {report.verdict} ({report.reason})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())
