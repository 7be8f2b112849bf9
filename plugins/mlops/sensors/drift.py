"""A sensor for drift.

What belongs here: waiting for a measured night, and how many shifted features are enough. What does not: measuring
or judging a night.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from include.errors import UsageError
from mlops.dag_defaults import skip
from mlops.triggers.drift import PsiDriftEvent, PsiDriftTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class PsiDriftSensor(BaseSensorOperator):
    """Wait until monitoring has measured a partition; go on when enough features have shifted, else skip.

    What counts is the verdict that monitoring stored: features that are ``significant`` by the model's own thresholds
    and beyond chance. The score doesn't count, nor does a feature that looks back further than there was history when
    its reference was sampled, and nothing of a night does whose data or schema can't be trusted.

    Parameters
    ----------
    model_id : str
        The model's spec.
    partition : str
        Whose night (templated).
    features_min : int
        How many features must have shifted together.

    Returns
    -------
    dict of str to str
        What was seen of each feature that shifted.
    """

    template_fields: Sequence[str] = ("partition",)

    def __init__(self, *, model_id: str, partition: str, features_min: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if features_min < 1:
            raise UsageError(f"PsiDriftSensor {self.task_id}: features_min={features_min} must be at least 1")
        self.model_id = model_id
        self.partition = partition
        self.features_min = features_min

    def execute(self, context: Context) -> dict[str, str]:
        """Count at once where the night has been measured, else hand the wait to the triggerer."""
        from include.steps.read_shift import read_shift

        night = read_shift(self.model_id, self.partition)
        if night is not None:
            event = PsiDriftEvent(partition=self.partition, shifted=night.shifted, unjudged=night.unjudged)
            return self.execute_complete(context, event)
        self.defer(
            trigger=PsiDriftTrigger(self.model_id, self.partition, self.poke_interval),
            method_name="execute_complete",
            timeout=timedelta(seconds=float(self.timeout)),
        )

    def execute_complete(self, context: Context, event: PsiDriftEvent) -> dict[str, str]:
        """Count what shifted in the night that has been measured."""
        night, shifted = f"{self.model_id} {event['partition']}", event["shifted"]
        if event["unjudged"] is not None:
            skip(f"{night}: no shift is counted ({event['unjudged']})")
        if len(shifted) < self.features_min:
            told = ", ".join(f"{feature} ({seen})" for feature, seen in shifted.items()) or "none"
            skip(f"{night}: significant features: {told}; {self.features_min} are needed")
        return shifted
