"""Score nights again whose features have been corrected since, as the model's spec says.

What belongs here: the order of finding and scoring. What does not: either.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.specs.models import load_model
from include.steps.find_stale_scores import StaleScores, find_stale_scores
from include.steps.score_batch import score_batch

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def rescore_stale(deployment: Deployment, model_id: str, *, until: str) -> tuple[StaleScores, ...]:
    """Score the stale nights among the last ``scoring.rescore_days`` ones up to `until` again, and return them.

    Each by the version that governs it, as before. Safe to repeat: a night that was scored again is not stale.
    """
    stale = find_stale_scores(deployment, load_model(model_id), until=until)
    for night in stale:
        log.warning("score model=%s: %s; scoring them again", model_id, night)
        score_batch(deployment, model_id, partition=night.partition)
    return stale
