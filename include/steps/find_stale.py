"""Find the partitions of a feature group that a correction of its sources has reached since they were built.

What belongs here: the comparison of the sources' versions. What does not: recording what agrees, and building the
others anew, which are for whoever asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.adapters.lake.history import changed_partitions
from include.specs.groups import FeatureGroupSpec

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


@dataclass(frozen=True)
class SourceComparison:
    """How the published partitions of a group stand to one version of each of its sources.

    Attributes
    ----------
    stale : tuple of str
        Built from sources of which one has changed up to their day; in order.
    agreeing : dict of str to dict of str to int
        Built from other versions that say the same up to their day: those versions, by partition and table.
    """

    stale: tuple[str, ...]
    agreeing: dict[str, dict[str, int]]


def newest_versions_of(deployment: Deployment, spec: FeatureGroupSpec) -> dict[str, int]:
    """Return the newest version of each table that a group reads."""
    return {table: deployment.lake.version(table) or 0 for table in spec.read_tables}


def find_stale(
    deployment: Deployment, spec: FeatureGroupSpec, *, source_versions: Mapping[str, int]
) -> SourceComparison:
    """Compare the versions that the published partitions were built from with `source_versions`, of the same tables.

    Nothing is written. A partition is stale where the version of a table is not known or no longer in its log, too.
    """
    built = deployment.state.source_versions(spec.table)
    stale: list[str] = []
    agreeing: dict[str, dict[str, int]] = {}
    for versions in _distinct(built.values()):
        if versions == source_versions:
            continue
        partitions = [key for key, known in built.items() if known == versions]
        reached = _reached(partitions, _changed(deployment, versions, source_versions))
        stale += reached
        agreeing |= {key: versions for key in partitions if versions is not None and key not in reached}
    return SourceComparison(tuple(sorted(stale)), agreeing)


def _distinct(built: Iterable[dict[str, int] | None]) -> list[dict[str, int] | None]:
    """Return each of them once."""
    return list({None if each is None else tuple(sorted(each.items())): each for each in built}.values())


def _changed(deployment: Deployment, since: Mapping[str, int] | None, until: Mapping[str, int]) -> list[str] | None:
    """Return the days on which a table has changed; None where that is not known of one."""
    if since is None or since.keys() != until.keys():
        return None
    found: set[str] = set()
    for table, version in until.items():
        if since[table] != version:
            changed = changed_partitions(deployment.lake, table, since=since[table], until=version)
            if changed is None:
                return None
            found.update(changed)
    return sorted(found)


def _reached(partitions: Sequence[str], changed: Sequence[str] | None) -> set[str]:
    """Return the partitions from the first changed one on; all where it is not known which have changed."""
    if changed is None:
        return set(partitions)
    return {key for key in partitions if changed and key >= changed[0]}
