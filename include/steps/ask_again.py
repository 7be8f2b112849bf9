"""Ask again for trainings that nobody has heard of: retrains that wait, and business events that were posted meanwhile.

What belongs here: which nights are asked for, and deciding on an event as if it came now. What does not: finding
events, which Airflow keeps, and starting a training, which is for whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from include.errors import ConflictError, NotYetError, RefusedError
from include.steps.claim_training import TrainingRequest, request_training
from include.steps.find_waiting import find_waiting

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def ask_again(
    deployment: Deployment,
    model_id: str,
    posted: Iterable[tuple[datetime, TrainingRequest]],
    *,
    partition: str,
    run_id: str,
) -> list[str]:
    """Return the nights whose training is to be started: the first that waits, and those of events that act.

    Parameters
    ----------
    deployment : Deployment
        Its state is read, and each event's decision recorded, a "no" as well.
    model_id : str
    posted : iterable of (datetime, TrainingRequest)
        Business events that no run has taken, and when each was posted. Those from before the last night that another
        run decided on have been looked through. One that was decided on, by its key, gets that decision again.
    partition : str
        The night that has been decided on: what waits of nights before it is asked for.
    run_id : str
        Who decided on it.
    """
    waiting = find_waiting(deployment, model_id, before=partition)[:1]
    since = _heard_until(deployment, model_id, run_id)
    unheard = [request for posted_at, request in posted if since is None or posted_at > since]
    return sorted({*waiting, *_decided(deployment, model_id, unheard)})


def _heard_until(deployment: Deployment, model_id: str, run_id: str) -> datetime | None:
    decided = (d for d in deployment.state.decisions(model_id) if not d.requested and d.run_id != run_id)
    return max((decision.recorded_at for decision in decided), default=None)


def _decided(deployment: Deployment, model_id: str, requests: Iterable[TrainingRequest]) -> Iterator[str]:
    for request in requests:
        try:
            decision = request_training(deployment, model_id, request)
        except (ConflictError, NotYetError):
            raise
        except RefusedError as no:
            log.info("posted model=%s %s: %s", model_id, request.asked_by, no)
            continue
        if decision.trained_by is None:
            yield decision.partition
