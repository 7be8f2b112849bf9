"""Operators of the feature store: apply, build, materialise, verify, heal.

What belongs here: Airflow's side of a step. What does not: the step itself.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from include.refs import FeaturesRef


class QualityReportLink(BaseOperatorLink):
    """Open what the quality gate found of the partitions that a task built."""

    name = "Quality report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the page's address; none for another operator."""
        if not isinstance(operator, FeatureGroupBuildOperator):
            return ""
        # Written out: to import the app for it would bring a web server into every task.
        return f"/mlops/quality/{operator.group}/{operator.end}"


class FeastApplyOperator(BaseOperator):
    """Make Feast's registry and online tables as ``feature_repo`` declares them: the feature store's deployment.

    Safe to repeat: what is there already stays as it is.

    Returns
    -------
    list of str
        The feature views that are declared now, from `execute`.
    """

    def execute(self, context: Context) -> list[str]:
        """Apply and return the views."""
        from include.adapters.deployment import Deployment
        from include.specs.deployed import load_specs
        from include.steps.apply_features import apply_features

        apply_features(Deployment.from_env())
        return list(load_specs().groups)


class FeatureGroupBuildOperator(BaseOperator):
    """Compute the partitions `start` to `end` of a feature group, hold them to its quality gate and publish them.

    Parameters
    ----------
    group : str
        The feature group.
    start, end : str
        First and last partition, both included (templated).

    Returns
    -------
    FeaturesRef
        What was published, from `execute`. Partitions that the gate refuses fail the task at once, when all others
        of the range are published: trying again would not change them.
    """

    template_fields: Sequence[str] = ("start", "end")
    operator_extra_links = (QualityReportLink(),)

    def __init__(self, *, group: str, start: str, end: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.start = start
        self.end = end

    def execute(self, context: Context) -> FeaturesRef:
        """Build and return the reference."""
        from include.adapters.deployment import Deployment
        from include.steps.build_features import build_features

        return build_features(Deployment.from_env(), self.group, start=self.start, end=self.end)


class FeatureGroupHealOperator(BaseOperator):
    """Build anew the partitions that have received late rows or corrections, and bring them online.

    Parameters
    ----------
    group : str
        The feature group.

    Returns
    -------
    FeaturesRef or None
        From the first to the last healed partition, from `execute`. Days that the gate refuses fail the task once
        all others are healed.
    """

    def __init__(self, *, group: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def execute(self, context: Context) -> FeaturesRef | None:
        """Heal and return the reference."""
        from include.adapters.deployment import Deployment
        from include.steps.heal_features import heal_features

        return heal_features(Deployment.from_env(), self.group)


class FeastMaterializeOperator(BaseOperator):
    """Write the partitions `start` to `end` of a feature group into the online store.

    Safe to repeat and safe out of order: the store keeps the newest row of each entity.

    Parameters
    ----------
    group : str
        The feature group.
    start, end : str
        First and last partition, both included (templated).

    Returns
    -------
    FeaturesRef
        What was written, from `execute`.
    """

    template_fields: Sequence[str] = ("start", "end")

    def __init__(self, *, group: str, start: str, end: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group
        self.start = start
        self.end = end

    def execute(self, context: Context) -> FeaturesRef:
        """Materialise and return the reference."""
        loaded, started = "feast" in sys.modules, time.monotonic()
        from include.adapters.feature_store.load_feast import load_feast

        load_feast()
        if loaded:
            self.log.info("the worker had loaded feast")
        else:
            self.log.info("feast imported in %.3f s, as a cold worker pays for it", time.monotonic() - started)
        from include.adapters.deployment import Deployment
        from include.steps.materialize_features import materialize_features

        return materialize_features(Deployment.from_env(), self.group, start=self.start, end=self.end)


class FeastVerifyOperator(BaseOperator):
    """Compare a sample of a feature group's online rows with the offline table, and fail with the keys that differ.

    Parameters
    ----------
    group : str
        The feature group.
    partition : str
        Whose entities are sampled (templated).
    sample : int
        How many entities.

    Returns
    -------
    int
        How many were compared, from `execute`.
    """

    template_fields: Sequence[str] = ("partition",)

    def __init__(self, *, group: str, partition: str, sample: int = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= sample <= 10_000:
            raise ValueError(f"sample={sample} is not in [1, 10000]")
        self.group = group
        self.partition = partition
        self.sample = sample

    def execute(self, context: Context) -> int:
        """Compare, tell the outlets, and return the number of entities."""
        from include.adapters.deployment import Deployment
        from include.steps.verify_online import verify_online

        compared = verify_online(Deployment.from_env(), self.group, partition=self.partition, sample=self.sample)
        for outlet in self.outlets:
            context["outlet_events"][outlet].add_partitions(self.partition)
        return compared
