"""The trigger behind `PsiDriftSensor`.

What belongs here: polling our state for a measured night. What does not: measuring or judging it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.triggers.settling import FIRST_LOOK_S


class PsiDriftEvent(TypedDict):
    """What the trigger fires with: the features that shifted, each with what was seen of it, or why nothing counts."""

    partition: str
    shifted: dict[str, str]
    unjudged: str | None


class PsiDriftTrigger(BaseTrigger):
    """Fire when monitoring has measured a partition.

    Parameters
    ----------
    model_id, partition : str
        Whose night is waited for.
    poll_interval_s : float
        Seconds between two looks.
    """

    def __init__(self, model_id: str, partition: str, poll_interval_s: float) -> None:
        super().__init__()
        self.model_id = model_id
        self.partition = partition
        self.poll_interval_s = poll_interval_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        return (
            "mlops.triggers.drift.PsiDriftTrigger",
            {"model_id": self.model_id, "partition": self.partition, "poll_interval_s": self.poll_interval_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the night is there, then fire once."""
        from include.steps.read_shift import read_shift

        await asyncio.sleep(FIRST_LOOK_S)
        while (night := await asyncio.to_thread(read_shift, self.model_id, self.partition)) is None:
            await asyncio.sleep(self.poll_interval_s)
        yield TriggerEvent(PsiDriftEvent(partition=self.partition, shifted=night.shifted, unjudged=night.unjudged))
