"""Claim the decision that a training run works for.

What belongs here: finding or recording that decision, once per run. What does not: deciding on
drift or schedule, which is monitoring's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from include.adapters.deployment import Deployment
from include.specs import load_model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingClaim:
    """Whether a run may train, and why or why not."""

    granted: bool
    reason: str


def claim_training(
    deployment: Deployment, model_id: str, *, partition: str, run_id: str, asked_by: str | None
) -> TrainingClaim:
    """Return whether the run may train.

    Parameters
    ----------
    partition : str
        As of which day.
    run_id : str
        The training run; asking again gets the same answer.
    asked_by : str or None
        Who asked, where it wasn't monitoring: recorded as a decision of its own.
    """
    if asked_by is not None:
        decision = deployment.state.record_decision(
            model_id=model_id,
            partition=partition,
            action="retrain",
            trigger="event",
            reasons=[asked_by],
            run_id=run_id,
            newest_published=deployment.state.newest_publication(f"features/{load_model(model_id).features.group}"),
            explicit=True,
        )
    else:
        acted = [d for d in deployment.state.decisions(model_id) if d.acted and d.partition == partition]
        open_or_own = [d for d in acted if d.trained_by in (None, run_id)]
        if not open_or_own:
            taken = f"decision {acted[-1].decision_id} was trained by {acted[-1].trained_by}" if acted else "none acted"
            return TrainingClaim(False, f"{model_id} {partition}: no decision waits for a training; {taken}")
        decision = open_or_own[-1]
    holder = deployment.state.claim_training(decision.decision_id, run_id)
    log.info(
        "claim_training model=%s partition=%s decision=%d run=%s", model_id, partition, decision.decision_id, holder
    )
    if holder != run_id:
        return TrainingClaim(False, f"decision {decision.decision_id} is trained by {holder}")
    return TrainingClaim(True, f"decision {decision.decision_id}: {'; '.join(decision.reasons)}")
