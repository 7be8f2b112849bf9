"""What is known of the outcomes of a model's predictions at the end of a night.

What belongs here: counts by night, and how long labels take. What does not: reading outcomes, which a step does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include import partitions
from include.monitoring.maturity import MaturityCurve, mature_after
from include.specs.models import load_model
from include.steps.read_outcomes import count_known, learn_from
from include.tables import predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_NIGHTS = 28


@dataclass(frozen=True)
class NightOutcomes:
    """Of the entities that one night scored: how many labels are known, and how many of those are positive."""

    partition: str
    scored: int
    known: int
    positives: int


@dataclass(frozen=True)
class Outcomes:
    """What is known at the end of a night.

    Attributes
    ----------
    model_id, partition : str
    nights : tuple of NightOutcomes
        Those whose time is not over, and four weeks before them.
    maturity : MaturityCurve
    mature_after_days : int
        The age from which a night is judged.
    """

    model_id: str
    partition: str
    nights: tuple[NightOutcomes, ...]
    maturity: MaturityCurve
    mature_after_days: int

    @property
    def told(self) -> str:
        """In words, from when on a night is judged."""
        learned = "as was learned" if self.maturity.rows else "as the spec says; none is that old yet"
        return f"a night can be judged after {self.mature_after_days} days, {learned}"


def read_outcomes(deployment: Deployment, model_id: str, *, partition: str) -> Outcomes:
    """Return what is known at the end of a night."""
    spec = load_model(model_id)
    first = partitions.shift(partition, -spec.label.horizon_days - _NIGHTS)
    scored = deployment.state.publications(predictions_name(model_id))
    counts = count_known(
        deployment, spec, [night for night in scored if first <= night <= partition], partition=partition
    )
    curve = learn_from(deployment, spec, partition=partition)
    nights = tuple(NightOutcomes(night, *count) for night, count in counts.items())
    return Outcomes(model_id, partition, nights, curve, mature_after(curve, horizon_days=spec.label.horizon_days))
