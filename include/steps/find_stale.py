"""Find the partitions of a feature group that a correction of its source has reached since they were built.

What belongs here: the comparison of a source's versions. What does not: recording what agrees, and building the
others anew, which are for whoever asked.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        if version is None:
            stale += partitions
            continue
        changed = changed_partitions(deployment.lake, spec.source, since=version, until=source_version)
        reached = _reached(partitions, changed)
        stale += reached
        agreeing |= {key: version for key in partitions if key not in reached}
    return SourceComparison(tuple(sorted(stale)), agreeing)


def _reached(partitions: Sequence[str], changed: Sequence[str] | None) -> set[str]:
    """Return the partitions from the first changed one on; all where it is not known which have changed."""
    if changed is None:
        return set(partitions)
    return {key for key in partitions if changed and key >= changed[0]}
