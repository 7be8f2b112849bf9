"""Compare what should be of every night with what is, and make an incident of each night that is missing.

What belongs here: recording once, and what is told of it. What does not: what is missing (``night_status``), and
making up for it (``repair_nights``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.errors import RefusedError, UsageError
from include.monitoring.missed_nights import tell_holes
from include.specs.deployed import load_specs
from include.steps.night_status import read_night_status

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.monitoring.missed_nights import NightIncident

log = logging.getLogger(__name__)


def watch_nights(deployment: Deployment, *, until: str, run_id: str) -> dict[str, int]:
    """Record what is missing up to a night, tell what was not known yet, and end what is missing no more.

    Nothing of it depends on an event, or on another DAG: only on what is on record, in the lake and in the landing
    folder. The same run again tells the same. While a file of the specs does not stand nothing is ended: whose nights
    it hides, nobody can say.

    Returns
    -------
    dict of str to int
        How many incidents are ``open``, and how many have ``ended`` by this.

    Raises
    ------
    UsageError
        If the night is later than today: what is to come is not missing.
    RefusedError
        If there are new ones, with a sentence on each cause; they are on record, and the next run does not raise.
    """
    _require_past(until)
    holes = read_night_status(deployment, until=until).holes
    if hidden := load_specs().violations:
        log.warning("nights: nothing is ended while a file does not stand: %s", hidden[0].message)
    deployment.state.record_holes(holes, until=until, run_id=run_id, may_end=not hidden)
    incidents = deployment.state.night_incidents()
    known = _told("known already", (each for each in incidents if each.is_open and each.found_by != run_id))
    ended = _told("over", (each for each in incidents if each.ended_by == run_id))
    if fresh := tell_holes(each.hole for each in incidents if each.found_by == run_id):
        raise RefusedError("; ".join(fresh))
    return {"open": known, "ended": ended}


def _require_past(night: str) -> None:
    today = datetime.now(UTC).date().isoformat()
    if night > today:
        raise UsageError(f"{night} is later than today, {today}: it can't be missing yet; name a day that has come")


def _told(word: str, incidents: Iterable[NightIncident]) -> int:
    """Log the nights of incidents, a line for each cause, and return how many they are."""
    holes = [incident.hole for incident in incidents]
    for sentence in tell_holes(holes):
        log.info("nights %s: %s", word, sentence)
    return len(holes)
