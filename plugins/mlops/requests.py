"""Who or what asked for a training, read off the run that it started.

What belongs here: Airflow's facts about a run, as a plain value. What does not: whether the
request is granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from include.steps.claim_training import TrainingRequest


def describe_request(dag_run: Any, context: Mapping[str, Any]) -> TrainingRequest:
    """Return the request behind a run: a person's, a business event's, or monitoring's own signal."""
    from include.steps.claim_training import TrainingRequest

    if getattr(dag_run.run_type, "value", dag_run.run_type) == "manual":
        person = getattr(dag_run, "triggering_user_name", None) or "an unknown user"
        return TrainingRequest(dag_run.run_id, f"asked for by hand by {person}", by_hand=True, requester=person)
    posted = [extra for extra in _extras(context) if extra.get("from_rest_api")]
    if not posted:
        return TrainingRequest(dag_run.run_id)
    reasons = dict.fromkeys(str(extra.get("reason", "posted without a reason")) for extra in posted)
    keys = dict.fromkeys(str(extra["key"]) for extra in posted if extra.get("key"))
    told = f"business event: {'; '.join(reasons)}"
    return TrainingRequest(dag_run.run_id, told, keys=tuple(keys), requester="a business event")


def _extras(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what came with the events of a run; Airflow may have put several of one partition key into one."""
    triggering = (context.get("triggering_asset_events") or {}).values()
    return [event.extra or {} for events in triggering for event in events]
