"""Find the retrain that a training claimed and no version came of, and keep why a training came to nothing.

What belongs here: holding the decisions against the ledger. What does not: retrains that no training has claimed
(``find_waiting``), and training again, which is a person's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.governance.lifecycle import trained_as_of
from include.monitoring.untrained import UntrainedRetrain
from include.steps.read_decision import read_acted

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def find_untrained(deployment: Deployment, model_id: str, *, before: str | None = None) -> UntrainedRetrain | None:
    """Return the last retrain that acted, of nights before `before`, where its training has come to no version.

    An earlier one is not looked for: who retrained after it has made up for it.
    """
    acted = read_acted(deployment, model_id, before=before)
    if not acted or acted[-1].trained_by is None:
        return None
    last = acted[-1]
    if last.partition in trained_as_of(deployment.state.ledger(model_id)):
        return None
    return UntrainedRetrain(model_id, last.partition, str(last.trained_by), last.failed_at)


def record_failure(deployment: Deployment, model_id: str, *, run_id: str, why: str) -> None:
    """Keep why a training run came to nothing, beside the decision that it had claimed; without one, only log it."""
    log.info("training model=%s run=%s came to nothing at %s", model_id, run_id, why)
    for decision in deployment.state.decisions(model_id):
        if decision.trained_by == run_id:
            deployment.state.record_training_failure(decision.decision_id, why)
