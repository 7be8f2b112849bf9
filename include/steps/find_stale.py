"""Find the partitions of a feature group that a correction of its source has reached since they were built.

What belongs here: the comparison of a source's versions. What does not: building them anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.lake.history import changed_partitions
from include.specs.groups import FeatureGroupSpec

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


def find_stale(deployment: Deployment, spec: FeatureGroupSpec, *, source_version: int) -> list[str]:
    """Return the published partitions that were built from a source that has changed up to their day, in order.

    What is found to agree with `source_version` is put on record, so that it is not asked again.
    """
    built = deployment.state.source_versions(spec.table)
    stale: list[str] = []
    for version in sorted(set(built.values()), key=lambda known: -1 if known is None else known):
        if version == source_version:
            continue
        partitions = [key for key, known in built.items() if known == version]
        changed = None
        if version is not None:
            changed = changed_partitions(deployment.lake, spec.source, since=version, until=source_version)
        first = partitions[0] if changed is None else min(changed, default=None)
        stale += [key for key in partitions if first is not None and key >= first]
        agreeing = [key for key in partitions if first is None or key < first]
        deployment.state.confirm_source(spec.table, agreeing, source_version)
    return sorted(stale)
