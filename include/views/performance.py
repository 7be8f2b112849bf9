"""What is known at the end of a night of how well a model predicts, and what is estimated.

What belongs here: one reading of both, in plain values. What does not: measuring and estimating, which are steps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from include.errors import RefusedError
from include.monitoring.check import Check
from include.monitoring.estimated_performance import CAVEAT, EstimatedAuc
from include.specs.models import load_model
from include.steps.estimate_night import estimate_night
from include.steps.load_version import load_version
from include.steps.measure_performance import measure_performance
from include.steps.read_tested import read_tested

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


@dataclass(frozen=True)
class Performance:
    """How well a model predicts.

    Attributes
    ----------
    model_id, partition : str
    checks : tuple of Check
        By labels that are known at the end of the partition.
    estimated : EstimatedAuc or None
        Of the night's own scores.
    why_not : str or None
        Why there is no estimate.
    """

    model_id: str
    partition: str
    checks: tuple[Check, ...]
    estimated: EstimatedAuc | None
    why_not: str | None

    @property
    def told(self) -> str:
        """The estimate in words."""
        if self.estimated is None:
            return f"nothing is estimated: {self.why_not}"
        found = self.estimated
        by = "corrected for covariate shift" if found.is_corrected else "by confidence alone"
        return f"AUC of {self.partition}: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], {by}; {CAVEAT}"

    def to_json(self) -> dict[str, Any]:
        """Return it as ``mlops performance show --json`` prints it."""
        found = self.estimated
        return {
            "model_id": self.model_id,
            "partition": self.partition,
            "checks": [asdict(check) for check in self.checks],
            "estimated": None
            if found is None
            else {"auc": {"value": found.value, "low": found.low, "high": found.high}, "caveat": CAVEAT},
            "why_not": self.why_not,
        }


def read_performance(deployment: Deployment, model_id: str, *, partition: str) -> Performance:
    """Return what is known at the end of a night; nothing is kept."""
    spec = load_model(model_id)
    version = deployment.state.production_version_at(model_id, partition)
    tested = None if version is None else read_tested(deployment, spec, load_version(deployment, model_id, version))
    fall_max = spec.monitoring.performance_drop_max
    checks = measure_performance(deployment, spec, partition, fall_max=fall_max, tested=tested)
    try:
        return Performance(model_id, partition, checks, estimate_night(deployment, spec, partition), None)
    except RefusedError as no:
        return Performance(model_id, partition, checks, None, str(no))
