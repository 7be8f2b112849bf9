"""The drift of several days together, from what each of them stored.

What belongs here: sums of stored counts. What does not: counting rows (``binning``), and verdicts: days of the same
entities are no sample of so many rows, so that nothing is known of chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from include.errors import UsageError
from include.monitoring.columns import Precision
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.psi import psi_from_counts


def psi_of_days(feature: FeatureProfile, days: Sequence[FeatureDrift]) -> float | None:
    """Return the PSI of the days' rows together, without reading one of them again.

    Parameters
    ----------
    feature : FeatureProfile
        Of the version that every one of the days was measured against.
    days : sequence of FeatureDrift
        The feature on each day. One that was stored before counts were adds nothing.

    Returns
    -------
    float or None
        As counting all their rows at once would; None where no row was counted, or the reference has no bins.

    Raises
    ------
    UsageError
        If a day was counted over other bins, or in another precision than the others.
    """
    counted = [day.counts for day in days if day.counts]
    if strange := [counts for counts in counted if len(counts) != len(feature.counts) + 1]:
        raise UsageError(
            f"{feature.name} was counted over {len(strange[0]) - 1} bins, and the reference has {len(feature.counts)}: "
            "add up days of one version"
        )
    if feature.unjudged is not None or not feature.rows or not np.sum(counted):
        return None
    reference = feature.counted_in(_precision_of(feature, days))
    return psi_from_counts([*reference, feature.missing], np.sum(counted, axis=0))


def _precision_of(feature: FeatureProfile, days: Sequence[FeatureDrift]) -> Precision:
    found = sorted({day.precision or feature.precision for day in days if any(day.counts[:-1])})
    if len(found) > 1:
        raise UsageError(
            f"{feature.name} was counted in {' and '.join(found)}, which don't add up; "
            "add up days whose numbers are kept in one precision"
        )
    return found[0] if found else feature.precision
