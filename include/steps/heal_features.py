"""Heal a feature group: build anew what a correction of its sources has reached, and bring it online.

What belongs here: which partitions are built anew, and in what portions. What does not: building and materialising
partitions, which are steps of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from include.errors import RefusedError, UsageError
from include.partitions import consecutive, span
from include.refs import FeaturesRef
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.steps.build_features import RefusedDays, build_days, building_of
from include.steps.find_person import ERASING
from include.steps.find_stale import find_stale, newest_versions_of
from include.steps.materialize_features import materialize_features

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

# What is in memory at once, and what a heal that is stopped loses.
_DAYS_PER_COMMIT = 30


def heal_features(deployment: Deployment, group: str) -> FeaturesRef | None:
    """Build anew every partition that a source has changed for since it was built, and bring it online.

    A late row or a correction changes every partition from its own day on, since windows look back. Days that
    follow one another are built in one pass and published in one commit, a month at most. What was built anew is
    materialised where it was online before. Safe to repeat: what one heal has left, the next one does.

    Returns
    -------
    FeaturesRef or None
        From the first to the last healed partition; None where there is none.

    Raises
    ------
    UsageError
        If the group was never built.
    RefusedError
        If the quality gate refuses days, once every other one is healed; what was published of them stays.
    """
    spec = load_feature_group(group)
    if not deployment.state.publications(spec.table):
        raise UsageError(f"{group} was never built, there is nothing to heal (mlops features build --group {group} …)")
    outcomes = list(_heal(deployment, spec))
    _bring_online(deployment, spec)
    built = [outcome for outcome in outcomes if isinstance(outcome, FeaturesRef)]
    # One bad day must not keep the others as they were.
    if refused := [outcome for outcome in outcomes if isinstance(outcome, RefusedDays)]:
        raise RefusedError(_told(group, built, refused))
    return _joined(group, built)


def _heal(deployment: Deployment, spec: FeatureGroupSpec) -> Iterator[FeaturesRef | RefusedDays]:
    tried: set[str] = set()
    while _next_portion(deployment, spec, tried)[0]:
        # A night of the group that waits has its turn before the next portion, and may have changed what is stale.
        with deployment.state.alone(building_of(spec.group), not_during=ERASING):
            days, source_versions = _next_portion(deployment, spec, tried)
            if days:
                yield from build_days(deployment, spec, days, source_versions=source_versions)
        tried.update(days)


def _next_portion(
    deployment: Deployment, spec: FeatureGroupSpec, tried: Collection[str]
) -> tuple[list[str], dict[str, int]]:
    """Return the first portion that is stale and was not tried, and the versions of the sources by which it is.

    What agrees with these is put down as such, so that the next heal does not compare it again.
    """
    source_versions = newest_versions_of(deployment, spec)
    compared = find_stale(deployment, spec, source_versions=source_versions)
    deployment.state.confirm_sources(spec.table, compared.agreeing, source_versions)
    return next(_portions([key for key in compared.stale if key not in tried]), []), source_versions


def _told(group: str, built: Sequence[FeaturesRef], refused: Sequence[RefusedDays]) -> str:
    kept, reasons = sum(len(each.days) for each in refused), "; ".join(each.reason for each in refused)
    stale = kept + sum(len(span(ref.start, ref.end)) for ref in built)
    return (
        f"{kept} of {stale} days of {group} that received late rows or corrections keep what was published of "
        f"them: {reasons}"
    )


def _joined(group: str, built: Sequence[FeaturesRef]) -> FeaturesRef | None:
    if not built:
        return None
    start, end = min(ref.start for ref in built), max(ref.end for ref in built)
    return FeaturesRef(group, start, end, max(ref.version for ref in built), rows=sum(ref.rows for ref in built))


def _bring_online(deployment: Deployment, spec: FeatureGroupSpec) -> None:
    published = deployment.state.table_versions(spec.table)
    online = deployment.state.table_versions(f"online/{spec.group}")
    outdated = [key for key, version in online.items() if published.get(key, version) > version]
    for days in _portions(outdated):
        materialize_features(deployment, spec.group, start=days[0], end=days[-1])


def _portions(keys: Sequence[str]) -> Iterator[list[str]]:
    for run in consecutive(keys):
        for start in range(0, len(run), _DAYS_PER_COMMIT):
            yield run[start : start + _DAYS_PER_COMMIT]
