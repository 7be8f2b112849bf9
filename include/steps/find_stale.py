"""Find the partitions of a feature group that a correction of its source has reached since they were built.

What belongs here: the comparison of a source's versions. What does not: recording what agrees, and building the
others anew, which are for whoever asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.adapters.lake.history import changed_partitions
from include.specs.groups import FeatureGroupSpec

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


@dataclass(frozen=True)
class SourceComparison:
    """How the published partitions of a group stand to one version of their source.

    Attributes
    ----------
    stale : tuple of str
        Built from a source that has changed up to their day; in order.
    agreeing : dict of str to int
        Built from another version that says the same up to their day: that version, by partition.
    """

    stale: tuple[str, ...]
    agreeing: dict[str, int]


def find_stale(deployment: Deployment, spec: FeatureGroupSpec, *, source_version: int) -> SourceComparison:
    """Compare the versions that the published partitions were built from with `source_version`.

    Nothing is written. A partition whose version is not known, or no longer in the source's log, is stale.
    """
    built = deployment.state.source_versions(spec.table)
    stale: list[str] = []
    agreeing: dict[str, int] = {}
    for version in set(built.values()) - {source_version}:
        partitions = [key for key, known in built.items() if known == version]
        changed = None
        if version is not None:
            changed = changed_partitions(deployment.lake, spec.source, since=version, until=source_version)
        first = partitions[0] if changed is None else min(changed, default=None)
        stale += [key for key in partitions if first is not None and key >= first]
        if version is not None:
            agreeing |= {key: version for key in partitions if first is None or key < first}
    return SourceComparison(tuple(sorted(stale)), agreeing)
