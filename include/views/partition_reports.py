"""What the quality gate found of a build, beside what its group says of itself.

What belongs here: one read of a report and its group. What does not: the checks (`include.features`), and HTML.
"""

from __future__ import annotations

from dataclasses import dataclass

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.partition_reports import read_report
from include.features.partition_report import PartitionReport
from include.specs.groups import FeatureGroupSpec, load_feature_group


@dataclass(frozen=True)
class GroupReport:
    """The report of the last build of a group that ended with a partition, and the group's spec."""

    report: PartitionReport
    spec: FeatureGroupSpec


def read_group_report(deployment: Deployment, group: str, partition: str) -> GroupReport:
    """Return what the quality gate found of the build that ended with a partition.

    Raises
    ------
    UsageError
        If there is no such group, day or report.
    """
    partitions.parse(partition)
    spec = load_feature_group(group)
    return GroupReport(read_report(deployment.lake, spec.group, partition), spec)
