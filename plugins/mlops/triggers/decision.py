"""The trigger behind `DecisionSensor`.

What belongs here: what of a night's decision an event carries. What does not: deciding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from mlops.triggers.night import NightTrigger

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


class DecisionTrigger(NightTrigger):
    """Fire when monitoring has decided on a partition; parameters are those of `NightTrigger`."""

    def look(self) -> DecisionEvent | None:
        """Return the decision as an event, where it is there."""
        from include.steps.read_decision import read_decision

        decision = read_decision(self.model_id, self.partition)
        return None if decision is None else decision_event(decision)


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
