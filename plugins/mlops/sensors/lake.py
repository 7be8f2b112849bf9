"""A sensor for delivered days.

What belongs here: waiting for a raw partition. What does not: reading its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from mlops.dag_defaults import skip
from mlops.triggers.lake import RawPartitionTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class RawPartitionSensor(BaseSensorOperator):
    """Wait until a day of a source, and every day before it, has been delivered.

    The time-out counts from when the day is over, by UTC or by the deliverer's clock, whichever is later: before, it
    can't be there. When the wait is over, a day with nothing later has not arrived: the task skips. A day that is
    missing while later ones are there is an incident: the task fails, and retries don't help.

    Parameters
    ----------
    source : str
        Its name.
    partition : str
        The day (templated).

    Returns
    -------
    str
        The partition, from `execute`.
    """

    template_fields: Sequence[str] = ("partition",)

    def __init__(self, *, source: str, partition: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.partition = partition

    def execute(self, context: Context) -> str:
        """Return at once where the day is there, else hand the wait to the triggerer."""
        from include.specs.sources import load_source
        from include.steps.find_day import find_day

        if find_day(self.source, self.partition).status == "delivered":
            return self.partition
        timeout_s = self.timeout + load_source(self.source).over_after(self.partition).total_seconds()
        self.defer(
            trigger=RawPartitionTrigger(self.source, self.partition, timeout_s, self.poke_interval),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, str]) -> str:
        """Judge what the wait has found."""
        if event["arrival"] == "delivered":
            return event["partition"]
        if event["arrival"] == "missing":
            raise AirflowFailException(
                f"{self.source} of {event['day']} are missing while later days are there: deliver the day "
                "(or an empty one, with _SUCCESS), let it be taken, then clear this task"
            )
        skip(f"{self.source} of {event['day']} have not arrived")
