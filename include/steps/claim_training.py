"""Claim the decision that a training run works for.

What belongs here: finding that decision, or making it where a person or a business event asked. What
does not: what speaks for or against a retrain (`monitoring.decision`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRequest, DecisionRow
from include.errors import RefusedError
from include.monitoring.decision import Decision
from include.monitoring.retraining_switch import find_stops
from include.specs.models import load_model
from include.steps.decide_retrain import judge_night, judge_request
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
    keys : tuple of str
        What business events are known by, where they say so: the same key again gets the same decision. Without
        one the run is the request.
    requester : str
        Who asked, by name: the ledger keeps it.
    """

    run_id: str
    asked_by: str | None = None
    by_hand: bool = False
    keys: tuple[str, ...] = ()
    requester: str = "monitoring"


def claim_training(deployment: Deployment, model_id: str, *, partition: str, request: TrainingRequest) -> DecisionRow:
    """Return the decision that the run trains on, as of the decision's partition; again for it the same one.

    A business event is judged now, whichever night it names: at the newest published one, with all that has happened
    since. A person names the day that the training looks back from; a veto of that day stands above it, and one of now.

    Raises
    ------
    RefusedError
        If it may not train, with the reason; what a person or an event asked for is on record all the same.
    """
    if request.asked_by is None:
        return _claim_signalled(deployment, model_id, partition, request.run_id)
    return _claim(deployment, _decide(deployment, model_id, partition, request), request.run_id)


def request_training(deployment: Deployment, model_id: str, request: TrainingRequest) -> DecisionRow:
    """Decide on a business event at the newest published night, and return the decision; again for its key the same.

    What was asked for is on record before any run has heard of it: a training that is paused trains on it later.

    Raises
    ------
    RefusedError
        If no training may start, with the reason, which is on record too.
    """
    return _decide(deployment, model_id, newest_night(deployment, model_id), request)


def request_keys(request: TrainingRequest) -> tuple[str, ...]:
    """Return what a request is known by where decisions are kept."""
    return tuple(f"event {key}" for key in request.keys) or (f"run {request.run_id}",)


def newest_night(deployment: Deployment, model_id: str) -> str:
    """Return the newest night of the features that a model is built from: what is asked for is judged at it.

    Raises
    ------
    RefusedError
        If none is published.
    """
    group = load_model(model_id).features.group
    newest = deployment.state.newest_publication(features_name(group))
    if newest is None:
        raise RefusedError(
            f"{model_id} can't be trained: the newest published features are of no day; build some first (mlops "
            f"features build --group {group} …)"
        )
    return newest


def _decide(deployment: Deployment, model_id: str, partition: str, request: TrainingRequest) -> DecisionRow:
    spec, newest = load_model(model_id), newest_night(deployment, model_id)
    if request.by_hand and partition > newest:
        raise RefusedError(
            f"{model_id} {partition}: the newest published features are of {newest}; name an earlier day"
        )
    asked = _asked(deployment, model_id, request)
    decision = _judge(deployment, model_id, partition, request, newest=newest)
    judged_on = partition if request.by_hand else newest
    row = record_decision(deployment, spec, decision, partition=judged_on, run_id=request.run_id, request=asked)
    if not row.acted:
        raise RefusedError(f"decision {row.number} is {row.action}: {'; '.join(row.reasons)}")
    return row


def _asked(deployment: Deployment, model_id: str, request: TrainingRequest) -> DecisionRequest:
    acted = (decision.decision_id for decision in deployment.state.decisions(model_id) if decision.acted)
    return DecisionRequest(request_keys(request), seen=max(acted, default=None))


def _judge(deployment: Deployment, model_id: str, partition: str, request: TrainingRequest, *, newest: str) -> Decision:
    asked_by = request.asked_by or request.requester
    now = judge_request(deployment, model_id, newest, event=asked_by)
    if not request.by_hand or now.action == "veto":
        return now
    return _above_holds(judge_night(deployment, model_id, partition, event=asked_by), asked_by)


def _above_holds(judged: Decision, asked_by: str) -> Decision:
    if judged.action != "hold":
        return judged
    held, *told = judged.reasons
    others = (reason for reason in told if reason != asked_by)
    return Decision("retrain", "event", (asked_by, f"overruled: {held}", *others))


def _claim_signalled(deployment: Deployment, model_id: str, partition: str, run_id: str) -> DecisionRow:
    if stops := find_stops(deployment.state.switch_moves(), model_id):
        # It waits: monitoring asks for it again each night.
        raise RefusedError(f"{model_id} {partition}: {'; '.join(map(str, stops))}")
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
