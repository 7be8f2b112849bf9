"""A sensor for drift.

What belongs here: waiting for a measured night and judging its PSI. What does not: measuring it.
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
    """Wait until monitoring has measured a partition; go on when enough features drifted, else skip.

    Parameters
    ----------
    model_id : str
        The model's spec.
    partition : str
        Whose night (templated).
    threshold : float
        PSI from which a feature counts as drifted. 0.2: Siddiqi (2006), "significant shift".
    features_min : int
        How many features must have drifted together.

    Returns
    -------
    dict of str to float
        PSI by drifted feature.
    """

    template_fields: Sequence[str] = ("partition",)

    def __init__(
        self, *, model_id: str, partition: str, threshold: float = 0.2, features_min: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if threshold <= 0:
            raise UsageError(f"PsiDriftSensor {self.task_id}: threshold={threshold} must be above 0, e.g. 0.2")
        if features_min < 1:
            raise UsageError(f"PsiDriftSensor {self.task_id}: features_min={features_min} must be at least 1")
        self.model_id = model_id
        self.partition = partition
        self.threshold = threshold
        self.features_min = features_min

    def execute(self, context: Context) -> dict[str, float]:
        """Judge at once where the night has been measured, else hand the wait to the triggerer."""
        from include.steps.monitor_model import drifted_features

        drifted = drifted_features(self.model_id, self.partition, self.threshold)
        if drifted is not None:
            return self.execute_complete(context, PsiDriftEvent(partition=self.partition, drifted=drifted))
        self.defer(
            trigger=PsiDriftTrigger(self.model_id, self.partition, self.threshold, self.poke_interval),
            method_name="execute_complete",
            timeout=timedelta(seconds=float(self.timeout)),
        )

    def execute_complete(self, context: Context, event: PsiDriftEvent) -> dict[str, float]:
        """Judge the night that has been measured."""
        drifted = event["drifted"]
        if len(drifted) < self.features_min:
            skip(
                f"{self.model_id} {event['partition']}: {len(drifted)} features at or above PSI {self.threshold}, "
                f"{self.features_min} are needed"
            )
        return drifted
