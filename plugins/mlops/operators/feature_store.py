"""Operators around Feast.

What belongs here: Airflow's side of a Feast call. What does not: the call itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.refs import FeaturesRef


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
        started = time.monotonic()
        import feast  # noqa: F401 - what a cold worker pays shows in the log

        self.log.info("feast imported in %.3f s", time.monotonic() - started)
        from include.adapters.deployment import Deployment
        from include.steps.materialize_features import materialize_features

        written = materialize_features(Deployment.from_env(), self.group, start=self.start, end=self.end)
        for outlet in self.outlets:
            context["outlet_events"][outlet].add_partitions(self.end)
        return written
