"""Asset events that no DAG takes: which they are, and what to do instead.

What belongs here: one look at the events that started a run. What does not: who asked for a training (``requests``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from include.errors import UsageError

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import AssetEventDagRunReferenceResult


def require_taken(events: Iterable[AssetEventDagRunReferenceResult]) -> None:
    """Go through the events of a run that waits for unpartitioned ones.

    Raises
    ------
    UsageError
        If one of them has no partition key, with each that hasn't. Those that have one are taken by others.
    """
    if ignored := [_told(event) for event in events if not event.partition_key]:
        raise UsageError(
            f"no DAG takes {'; '.join(ignored)}: every DAG that waits for such an event works on a day, which it has "
            "from the event's partition key; post it again with partition_key YYYY-MM-DD, a training by a run of "
            "request_retrain__<model>"
        )


def _told(event: AssetEventDagRunReferenceResult) -> str:
    by = f"by {event.source_task_id} of {event.source_dag_id}" if event.source_dag_id else "by hand"
    return f"the event of {event.asset.name} that was posted {by} at {event.timestamp:%Y-%m-%d %H:%M:%S}Z without a key"
