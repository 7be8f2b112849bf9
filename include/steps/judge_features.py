"""The quality gate of features: judge partitions by their group's YAML and keep the report.

What belongs here: what is judged, in which order, and the refusal. What does not: the expectations, and
publishing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.adapters.lake.partition_reports import write_report
from include.errors import RefusedError, UsageError
from include.features.checks import find_violations
from include.features.partition_report import PartitionCheck, PartitionReport, profile_partitions
from include.features.versions import newest_versions
from include.partitions import span
from include.specs.groups import FeatureGroupSpec, load_feature_group

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def require_quality(
    deployment: Deployment, spec: FeatureGroupSpec, rows: pa.Table, partitions: Sequence[str], *, source_version: int
) -> PartitionReport:
    """Judge computed rows and return the report, or refuse them where a promise is broken.

    Raises
    ------
    RefusedError
        If a promise is broken, with every one that is; the report is kept.
    """
    report = _judge(deployment, spec, rows, partitions, source_version=source_version)
    log.info("quality group=%s passed=%s rows=%d", spec.group, report.passed, report.rows)
    if not report.passed:
        address = write_report(deployment.lake, report)
        raise RefusedError(
            f"{spec.table} {report.start} … {report.end} is not published, it breaks its spec ({spec.group}.yaml): "
            f"{'; '.join(map(str, report.failed))}; look at {spec.source} of these days, or correct the bound; what "
            f"was published before stays; the report is {address}"
        )
    return report


def check_features(deployment: Deployment, group: str, *, start: str, end: str) -> PartitionReport:
    """Judge published partitions again, and keep no report.

    Raises
    ------
    UsageError
        If one of them is not published.
    """
    spec, partitions = load_feature_group(group), span(start, end)
    published = deployment.state.publications(spec.table)
    if absent := [key for key in partitions if key not in published]:
        raise UsageError(
            f"{spec.table} in {deployment.lake.uri} has no published partition {absent[0]}; build it first "
            f"(mlops features build --group {group} --date {absent[0]})"
        )
    rows = deployment.lake.read(spec.table, start=start, end=end)
    source_version = deployment.lake.version(spec.source) or 0
    newest = newest_versions(rows, keys=spec.entity.keys)
    return _judge(deployment, spec, newest, partitions, source_version=source_version)


def _judge(
    deployment: Deployment, spec: FeatureGroupSpec, rows: pa.Table, partitions: Sequence[str], *, source_version: int
) -> PartitionReport:
    structure = find_violations(rows, spec)
    checks = [
        PartitionCheck(
            "keys" if broken.rows else "schema", broken.column, False, broken.rows, broken.observed, broken.allowed
        )
        for broken in structure
    ] or [PartitionCheck("schema", spec.table, True, 0, "as declared", "as declared")]
    if not structure:
        # Great Expectations takes seconds to import: only a build needs it.
        from include.adapters.expectations.feature_expectations import judge_bounds, judge_profile

        profile = profile_partitions(
            rows,
            partitions,
            spec,
            published=deployment.state.publications(spec.table),
            source_days=_source_days(deployment, spec, source_version),
        )
        checks += [*judge_bounds(rows, spec), *judge_profile(profile, spec)]
    return PartitionReport(spec.group, partitions[0], partitions[-1], rows.num_rows, tuple(checks))


def _source_days(deployment: Deployment, spec: FeatureGroupSpec, source_version: int) -> list[str]:
    """Return the days on which the source spoke: a feed by its rows, a model by having scored the night."""
    if spec.scored_by:
        return list(deployment.state.publications(spec.source))
    return deployment.lake.partitions(spec.source, version=source_version)
