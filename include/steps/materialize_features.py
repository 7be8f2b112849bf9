"""Materialise partitions of a feature group: from its lake table to the online store, and on record.

What belongs here: the one pass from published features to served ones. What does not: the rule that an
older row never overwrites a newer one, which is in the online store.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import UsageError
from include.features.checks import PARTITION
from include.partitions import span
from include.refs import FeaturesRef
from include.specs.groups import load_feature_group
from include.steps.build_features import count_by_partition
from include.steps.find_person import ERASING

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def materialize_features(deployment: Deployment, group: str, *, start: str, end: str) -> FeaturesRef:
    """Write partitions `start` to `end`, both included, to the online store and record them.

    Of several partitions an entity's newest row is written. Repeating it, or running partitions out of
    order, changes nothing newer.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read, its feature store written, its state told.
    group : str
        Name of the feature group.
    start, end : str
        Partition keys.

    Returns
    -------
    FeaturesRef
        With the version of the lake table that was read and the number of entities written.

    Raises
    ------
    UsageError
        If one of the partitions is not published, or the range is not one.
    """
    spec = load_feature_group(group)
    partitions = span(start, end)
    # Not what the lake holds: a day without entities is published too.
    published = deployment.state.publications(spec.table)
    if absent := [key for key in partitions if key not in published]:
        raise UsageError(
            f"{group} of {absent[0]} can't be materialised: {spec.table} in {deployment.lake.uri} has no partition of "
            f"it (the newest is {max(published, default='none')}); build it first (mlops features build --group "
            f"{group} --date {absent[0]})"
        )
    # By one at a time: else one that has read an older version of the table could write and record it last.
    with deployment.state.alone(f"bringing {group} online", not_during=ERASING):
        version = deployment.lake.version(spec.table) or 0
        held = deployment.lake.read(spec.table, start=start, end=end, columns=[PARTITION], version=version)
        written = deployment.feature_store.materialize(group, start=start, end=end)
        deployment.state.record_publications(f"online/{group}", count_by_partition(held, partitions), version)
    log.info("online group=%s start=%s end=%s entities=%d version=%d", group, start, end, written, version)
    return FeaturesRef(group=group, start=start, end=end, version=version, rows=written)
