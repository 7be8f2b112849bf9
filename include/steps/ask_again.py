"""Ask again for trainings that nobody has heard of: retrains that wait, and business events that were posted meanwhile.

What belongs here: which nights are asked for, and deciding on an event as if it came now. What does not: finding
events, which Airflow keeps, and starting a training, which is for whoever asked.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from include.errors import ConflictError, NotYetError, RefusedError
from include.steps.claim_training import TrainingRequest, request_keys, request_training
from include.steps.find_waiting import find_waiting

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def ask_again(
    deployment: Deployment,
    model_id: str,
    posted: Iterable[TrainingRequest],
    *,
    partition: str,
) -> list[str]:
    """Return the nights whose training is to be started: the first that waits, and those of events that act.

    Parameters
    ----------
    deployment : Deployment
        Its state is read, and each event's decision recorded, a "no" as well.
    model_id : str
    posted : iterable of TrainingRequest
        Business events that no run has taken, whenever they were posted. One that was decided on, by its key, gets that
        decision again.
    partition : str
        The night that has been decided on: what waits of nights before it is asked for.
    """
    waiting = find_waiting(deployment, model_id, before=partition)[:1]
    settled = deployment.state.settled_requests(model_id)
    unsettled = [request for request in posted if not settled.issuperset(request_keys(request))]
    return sorted({*waiting, *_decided(deployment, model_id, unsettled)})


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
