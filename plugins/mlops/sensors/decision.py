"""A sensor for a night's decision.

What belongs here: waiting for it, and which action goes on. What does not: deciding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from airflow.sdk import BaseSensorOperator

from include.errors import UsageError, nearest
from mlops.dag_defaults import skip
from mlops.triggers.decision import DecisionEvent, DecisionTrigger, decision_event

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.monitoring.decision import Action


class DecisionSensor(BaseSensorOperator):
    """Wait until monitoring has decided on a partition; go on with an action that is waited for, else skip.

    Parameters
    ----------
    model_id : str
        The model's spec.
    partition : str
        Whose night (templated).
    action : {"retrain", "hold", "veto"}, optional
        What must have been decided; None goes on with any.

    Returns
    -------
    DecisionEvent
        The night's own decision, from `execute`: of one that is replayed the first.
    """

    template_fields: Sequence[str] = ("partition",)

    def __init__(self, *, model_id: str, partition: str, action: Action | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        from include.monitoring.decision import Action

        allowed = get_args(Action)
        if action is not None and action not in allowed:
            raise UsageError(
                f"DecisionSensor {self.task_id}: action={action!r} is none; allowed: {', '.join(allowed)}"
                f"{nearest(action, allowed)}"
            )
        self.model_id = model_id
        self.partition = partition
        self.action = action

    def execute(self, context: Context) -> DecisionEvent:
        """Go on at once where the night has been decided on, else hand the wait to the triggerer."""
        from include.steps.read_decision import read_decision

        decision = read_decision(self.model_id, self.partition)
        if decision is not None:
            return self.execute_complete(context, decision_event(decision))
        self.defer(
            trigger=DecisionTrigger(self.model_id, self.partition, self.poke_interval),
            method_name="execute_complete",
            timeout=timedelta(seconds=float(self.timeout)),
        )

    def execute_complete(self, context: Context, event: DecisionEvent) -> DecisionEvent:
        """Go on with the action that is waited for."""
        if self.action is not None and event["action"] != self.action:
            told = f"{self.model_id} {event['partition']}: decided was {event['action']}, not {self.action}"
            skip(f"{told}: {event['reason']}")
        return event
