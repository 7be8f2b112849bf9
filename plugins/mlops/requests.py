"""Who or what asked for a training, read off the run that it started.

What belongs here: Airflow's facts about a run, as plain values. What does not: whether the
request is granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_request(dag_run: Any, context: Mapping[str, Any]) -> dict[str, str | None]:
    """Return ``run_id`` and, where a person or a business event asked, ``asked_by``, in words.

    A run that monitoring's own signal started has no ``asked_by``.
    """
    asked_by = None
    if getattr(dag_run.run_type, "value", dag_run.run_type) == "manual":
        asked_by = f"asked for by hand by {getattr(dag_run, 'triggering_user_name', None) or 'an unknown user'}"
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            extra = event.extra or {}
            if extra.get("from_rest_api"):
                asked_by = f"business event: {extra.get('reason', 'posted without a reason')}"
    return {"run_id": dag_run.run_id, "asked_by": asked_by}
