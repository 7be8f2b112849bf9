"""Find the features whose reference lacks history that they look back on.

What belongs here: reading how far features look back, and since when their sources deliver. What does not: holding the
two against one another (``monitoring.young``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from include import partitions
from include.monitoring.young import lacking_history
from include.specs.groups import load_feature_group
from include.specs.services import load_feature_service

if TYPE_CHECKING:
    from include.adapters.registry.model_files import LoadedModel
    from include.specs.groups import FeatureGroupSpec
    from include.specs.models import ModelSpec


def find_young(spec: ModelSpec, loaded: LoadedModel, rows_delivered: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the features of a version that look back further than there was history when it was tested, by days.

    Of a version whose manifest does not say when it was, there are none.

    Parameters
    ----------
    rows_delivered : mapping of str to mapping of str to int
        The rows of each day of each source, from its first day on.
    """
    if not loaded.manifest.last_snapshot:
        return {}
    begins: dict[str, str] = {}
    lookback: dict[str, int] = {}
    for name, features in load_feature_service(loaded.signature.feature_service).features.items():
        group = load_feature_group(name)
        first = _first_day(group, rows_delivered)
        looking_back = {c.name: c.lookback_days for c in group.columns if c.name in features and c.lookback_days}
        lookback |= looking_back
        begins |= dict.fromkeys(looking_back, first) if first is not None else {}
    sampled_from = partitions.shift(loaded.manifest.last_snapshot, 1 - spec.training.test_days)
    return lacking_history(lookback, begins, sampled_from=sampled_from)


def _first_day(group: FeatureGroupSpec, rows_delivered: Mapping[str, Mapping[str, int]]) -> str | None:
    """Return the first day that all sources of a group have; None where none has a log."""
    return max((min(rows_delivered[each]) for each in group.sources if rows_delivered.get(each)), default=None)
