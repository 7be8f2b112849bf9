"""What a decision says: sentences for a person.

What belongs here: wording. What does not: what is decided (``decision``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from include.monitoring.drift import FeatureDrift
from include.specs.model_sections import DecisionSpec, MonitoringSpec

# The prediction is profiled beside the features; its shift is told, but it is no cause of its own.
SCORE = "score"


def waiting(night: str) -> str:
    """Say that nobody trains."""
    return f"the retrain that was decided on {night} waits: no training has claimed it, and it is asked for again"


def prediction_drift(found: Iterable[FeatureDrift]) -> Iterator[str]:
    """Say that the predictions have shifted, if they have."""
    for drift in found:
        if drift.feature == SCORE and drift.verdict == "significant":
            yield f"prediction drift: {SCORE} psi {drift.psi:.3f} ({drift.psi_expected:.3f} expected by chance)"


def tally(found: int, policy: DecisionSpec) -> str:
    """Say how many nights showed a shift."""
    features = count(policy.features_min, "feature")
    return f"{found} of the last {count(policy.windows, 'night')} showed a significant shift of at least {features}"


def tell_shift(drift: FeatureDrift, monitoring: MonitoringSpec) -> str:
    """Say of a feature by how much it has shifted."""
    return (
        f"{drift.feature} psi {drift.psi:.3f} > {monitoring.psi_significant:g} "
        f"({drift.psi_expected:.3f} expected by chance)"
    )


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "night"), count(2, "night")
    ('1 night', '2 nights')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
