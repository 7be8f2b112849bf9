"""Claim the decision that a training run works for.

What belongs here: finding that decision, or making it where a person or a business event asked. What
does not: what speaks for or against a retrain (`monitoring.decision`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRow
from include.errors import RefusedError
from include.monitoring.decision import Decision
from include.specs.models import load_model
from include.steps.monitor_model import judge_night
from include.steps.record_decision import record_decision
from include.tables import features_name

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRequest:
    """Who or what started a training run.

    Attributes
    ----------
    run_id : str
        The run; asking again for it gets the same answer.
    asked_by : str or None
        In words; None where monitoring's own signal started it.
    by_hand : bool
        A person asked: only a veto (the stop switch, broken data) stands above that. A business event
        obeys holds too, such as cooldown and budget.
    """

    run_id: str
    asked_by: str | None = None
    by_hand: bool = False


def claim_training(deployment: Deployment, model_id: str, *, partition: str, request: TrainingRequest) -> DecisionRow:
    """Return the decision that the run trains on, as of `partition`; again for the same run the same one.

    Raises
    ------
    RefusedError
        If it may not train, with the reason; what a person or an event asked for is on record all the same.
    """
    if request.asked_by is None:
        return _claim_signalled(deployment, model_id, partition, request.run_id)
    spec = load_model(model_id)
    newest = deployment.state.newest_publication(features_name(spec.features.group))
    if newest is None or partition > newest:
        raise RefusedError(
            f"{model_id} {partition}: the newest published features are of {newest or 'no day'}; name an earlier day"
        )
    judged = judge_night(deployment, model_id, partition, event=request.asked_by)
    decision = _above_holds(judged, request.asked_by) if request.by_hand else judged
    row = record_decision(deployment, spec, decision, partition=partition, run_id=request.run_id, explicit=True)
    if not row.acted:
        raise RefusedError(f"decision {row.number} is {row.action}: {'; '.join(row.reasons)}")
    return _claim(deployment, row, request.run_id)


def _above_holds(judged: Decision, asked_by: str) -> Decision:
    if judged.action != "hold":
        return judged
    held, *told = judged.reasons
    others = (reason for reason in told if reason != asked_by)
    return Decision("retrain", "event", (asked_by, f"overruled: {held}", *others))


def _claim_signalled(deployment: Deployment, model_id: str, partition: str, run_id: str) -> DecisionRow:
    acted = [d for d in deployment.state.decisions(model_id) if d.acted and d.partition == partition]
    open_or_own = [d for d in acted if d.trained_by in (None, run_id)]
    if not open_or_own:
        taken = f"decision {acted[-1].number} was trained by {acted[-1].trained_by}" if acted else "none acted"
        raise RefusedError(f"{model_id} {partition}: no decision waits for a training; {taken}")
    return _claim(deployment, open_or_own[-1], run_id)


def _claim(deployment: Deployment, row: DecisionRow, run_id: str) -> DecisionRow:
    holder = deployment.state.claim_training(row.decision_id, run_id)
    log.info("claim_training model=%s partition=%s decision=%d run=%s", row.model_id, row.partition, row.number, holder)
    if holder != run_id:
        raise RefusedError(f"decision {row.number} is trained by {holder}")
    return replace(row, trained_by=holder)
