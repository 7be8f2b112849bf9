"""Raise the alerts of a night that was decided on, end those that are over, and say what has to be told to whom.

What belongs here: what the alerts rest on, read from the state. What does not: which are raised and which are over
(``monitoring.alerts``), and sending messages, which is Airflow's side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from include import partitions
from include.governance.lifecycle import Stage, holder
from include.monitoring.alerts import (
    Finding,
    Look,
    look_at_approval,
    look_at_holes,
    look_at_night,
    look_at_training,
    put_together,
)
from include.monitoring.triggers import find_triggers
from include.specs.models import load_model
from include.steps.find_untrained import find_untrained
from include.steps.find_waiting import find_waiting
from include.steps.monitor_model import load_nights

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.monitoring.missed_nights import Hole

log = logging.getLogger(__name__)


def raise_alerts(
    deployment: Deployment, model_id: str, *, partition: str, now: datetime, link: Callable[[Finding], str]
) -> None:
    """Look at a model after the decision on a night; a night that was replayed or backfilled raises and ends nothing.

    Parameters
    ----------
    deployment : Deployment
        Its state is read and written.
    model_id : str
    partition : str
        The night. Only the newest that was decided on says how the model is.
    now : datetime
        A version or a training that has waited for a day is told of by this clock.
    link : callable
        Returns the address of the run that shows a finding.
    """
    if deployment.state.watermark(model_id) != partition:
        log.info("alerts model=%s partition=%s: not the newest night that was decided on", model_id, partition)
        return
    night, training = _night(deployment, model_id, partition), _training(deployment, model_id, now)
    look = put_together((night, training, _approval(deployment, model_id, now)))
    deployment.state.record_look(
        model_id, look, partition=partition, decision=_decision(deployment, model_id, partition), link=link
    )
    told = [finding.kind for finding in look.findings]
    log.info("alerts model=%s partition=%s found=%s", model_id, partition, told)


def raise_missing(deployment: Deployment, *, partition: str, link: Callable[[Finding], str]) -> tuple[str, ...]:
    """Raise an alert for each group and model with missing nights, by the incidents on record, and end it with them.

    Returns
    -------
    tuple of str
        What the alerts are about.
    """
    holes: dict[str, list[Hole]] = {}
    for incident in deployment.state.night_incidents():
        of = holes.setdefault(f"nights of {incident.hole.kind} {incident.hole.name}", [])
        if incident.is_open:
            of.append(incident.hole)
    for about, missing in holes.items():
        look = look_at_holes(missing)
        deployment.state.record_look(about, look, partition=partition, decision="", link=link)
    return tuple(holes)


def _night(deployment: Deployment, model_id: str, partition: str) -> Look:
    spec = load_model(model_id)
    nights = load_nights(
        deployment, model_id, since=partitions.shift(partition, -spec.decision.windows), until=partition
    )
    asking = find_triggers(nights, spec.decision, spec.monitoring, partition=partition, last_trained=None, event=None)
    return look_at_night(nights, list(asking), spec.decision, spec.monitoring)


def _training(deployment: Deployment, model_id: str, now: datetime) -> Look:
    decided_at = {d.partition: d.recorded_at for d in deployment.state.decisions(model_id) if d.acted}
    # A retrain that is decided anew, and that nobody has claimed yet, does not make up for the one before it.
    waiting = find_waiting(deployment, model_id)
    untrained = find_untrained(deployment, model_id, before=waiting[0] if waiting else None)
    at = None if untrained is None else decided_at.get(untrained.partition)
    return look_at_training(untrained, decided_at=at, now=now)


def _approval(deployment: Deployment, model_id: str, now: datetime) -> Look:
    moves = deployment.state.ledger(model_id)
    version = holder(moves, Stage.STAGING)
    # Other evidence for a version that stands there already does not make its wait any shorter.
    came = [m for m in moves if m.version == version and m.from_stage != Stage.STAGING == m.to_stage]
    return look_at_approval(version, staged_at=came[-1].recorded_at if came else None, now=now)


def _decision(deployment: Deployment, model_id: str, partition: str) -> str:
    own = [d for d in deployment.state.decisions(model_id) if d.partition == partition and not d.requested]
    return f"{own[-1].action}: {own[-1].reasons[0]}" if own else ""
