"""The trigger behind `RawPartitionSensor`.

What belongs here: polling the lake for a delivered day. What does not: reading its rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.triggers.settling import FIRST_LOOK_S


class RawPartitionTrigger(BaseTrigger):
    """Fire when a day of a source has been delivered, or when the wait is over.

    Parameters
    ----------
    source : str
        Its name.
    partition : str
        The day.
    timeout_s, poll_interval_s : float
        How long to wait, and between two looks, in seconds.
    """

    def __init__(self, source: str, partition: str, timeout_s: float, poll_interval_s: float) -> None:
        super().__init__()
        self.source = source
        self.partition = partition
        self.timeout_s = timeout_s
        self.poll_interval_s = poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "mlops.triggers.lake.RawPartitionTrigger",
            {
                "source": self.source,
                "partition": self.partition,
                "timeout_s": self.timeout_s,
                "poll_interval_s": self.poll_interval_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the day is there or the time is over, then fire once with what is known of it."""
        from include.steps.find_day import find_day

        await asyncio.sleep(FIRST_LOOK_S)
        waited = FIRST_LOOK_S
        found = await asyncio.to_thread(find_day, self.source, self.partition)
        while found.status != "delivered" and waited < self.timeout_s:
            await asyncio.sleep(self.poll_interval_s)
            waited += self.poll_interval_s
            found = await asyncio.to_thread(find_day, self.source, self.partition)
        yield TriggerEvent({"partition": self.partition, "arrival": found.status, "day": found.day})
