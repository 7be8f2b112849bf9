"""What triggers have in common that wait for something of one night of a model.

What belongs here: the wait. What does not: what is waited for, which is each trigger's own.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.triggers.settling import FIRST_LOOK_S


class NightTrigger(BaseTrigger):
    """Fire once, when what is waited for is there.

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
        waits_for = {"model_id": self.model_id, "partition": self.partition}
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {**waits_for, "poll_interval_s": self.poll_interval_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it is there, then fire once."""
        await asyncio.sleep(FIRST_LOOK_S)
        while (found := await asyncio.to_thread(self.look)) is None:
            await asyncio.sleep(self.poll_interval_s)
        yield TriggerEvent(found)

    @abstractmethod
    def look(self) -> Mapping[str, Any] | None:
        """Return the event, or None while there is nothing to fire for."""
