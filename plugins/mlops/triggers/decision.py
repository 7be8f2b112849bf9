"""The trigger behind `DecisionSensor`.

What belongs here: polling our state for a night's decision. What does not: deciding.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.triggers.base import BaseTrigger, TriggerEvent

from mlops.triggers.settling import FIRST_LOOK_S

if TYPE_CHECKING:
    from include.adapters.state.decisions import DecisionRow


class DecisionEvent(TypedDict):
    """What the trigger fires with: the decision, and the reason that decided."""

    partition: str
    number: int
    action: str
    trigger: str
    acted: bool
    reason: str


class DecisionTrigger(BaseTrigger):
    """Fire when monitoring has decided on a partition.

    Parameters
    ----------
    model_id, partition : str
        Whose decision is waited for.
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
            "mlops.triggers.decision.DecisionTrigger",
            {"model_id": self.model_id, "partition": self.partition, "poll_interval_s": self.poll_interval_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the decision is there, then fire once."""
        from include.steps.read_decision import read_decision

        await asyncio.sleep(FIRST_LOOK_S)
        while (decision := await asyncio.to_thread(read_decision, self.model_id, self.partition)) is None:
            await asyncio.sleep(self.poll_interval_s)
        yield TriggerEvent(decision_event(decision))


def decision_event(decision: DecisionRow) -> DecisionEvent:
    """Return a decision as an event carries it."""
    return DecisionEvent(
        partition=decision.partition,
        number=decision.number,
        action=decision.action,
        trigger=decision.trigger,
        acted=decision.acted,
        reason=decision.reasons[0],
    )
