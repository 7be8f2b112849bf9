"""The quality gate of features: judge partitions by their group's YAML and keep the report.

What belongs here: what is judged, in which order, and the refusal. What does not: the expectations, and
publishing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from include.adapters.lake.partition_reports import write_report
from include.adapters.lake.portions import fitting
from include.errors import RefusedError, UsageError
from include.features.checks import Offender, Violation, find_violations, first_offenders, told_columns
from include.features.partition_report import (
    PartitionCheck,
    PartitionCounts,
    PartitionReport,
    count_nulls,
    profile_partitions,
)
from include.features.versions import newest_versions
from include.partitions import span
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.steps.find_stale import newest_versions_of

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.deployment import Deployment
    from include.adapters.expectations.feature_expectations import BoundsTally

log = logging.getLogger(__name__)


class BrokenPartitionsError(RefusedError):
    """Partitions break their spec.

    Attributes
    ----------
    report : PartitionReport
        What was found; `PartitionReport.broken_partitions` are those that break it.
    offenders : dict of str to tuple of Offender
        Whose rows break a promise, by column: the first ones. Reports, which stay, name nobody.
    """

    def __init__(
        self, report: PartitionReport, offenders: Mapping[str, Sequence[Offender]], spec: FeatureGroupSpec, address: str
    ) -> None:
        self.report, self.offenders = report, offenders
        broken = "; ".join(
            f"{check}{f' ({said})' if (said := ', '.join(map(str, offenders.get(check.column, ())))) else ''}"
            for check in report.failed
        )
        super().__init__(
            f"{spec.table} {report.start} … {report.end} is not published, it breaks its spec ({spec.group}.yaml): "
            f"{broken}; {_remedy(report, spec)}; what was published before stays; the report is {address}"
        )


def _remedy(report: PartitionReport, spec: FeatureGroupSpec) -> str:
    failed = {check.check for check in report.failed}
    if "schema" in failed:
        return f"{spec.sql_path.name} has to give, in this order: {told_columns(spec)}"
    again = f"correct the rows in {', '.join(spec.read_tables)} and deliver them again"
    if "keys" in failed:
        return f"{again}, or have {spec.sql_path.name} give one row per key, and a value of each key"
    return f"{again}, or correct the bound in {spec.group}.yaml"


class QualityGate:
    """What a group's YAML says of partitions whose rows come a table at a time.

    Parameters
    ----------
    deployment : Deployment
        Asked what was published, and on which days the sources spoke.
    spec : FeatureGroupSpec
        What was promised.
    """

    def __init__(self, deployment: Deployment, spec: FeatureGroupSpec) -> None:
        self._deployment, self._spec = deployment, spec
        self._broken: dict[tuple[str, str, str], Violation] = {}
        self._bounds: BoundsTally | None = None
        self._counted: dict[str, PartitionCounts] = {}
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        """Look at rows: all those of the partitions that they are of."""
        self.rows += rows.num_rows
        for broken in find_violations(rows, self._spec):
            key = (broken.column, broken.found, broken.allowed)
            known = self._broken.setdefault(key, replace(broken, rows=0, partitions=()))
            self._broken[key] = replace(
                known,
                rows=known.rows + broken.rows,
                partitions=(*known.partitions, *broken.partitions),
                offenders=first_offenders((*known.offenders, *broken.offenders)),
            )
        if self._broken:
            return
        if self._bounds is None:
            # Great Expectations takes seconds to import: only a build needs it.
            from include.adapters.expectations.feature_expectations import BoundsTally

            self._bounds = BoundsTally(self._spec)
        self._bounds.add(rows)
        self._counted |= count_nulls(rows, self._spec)

    @property
    def is_misshapen(self) -> bool:
        """Whether the rows are none of the group's table at all: its columns, their types or their order."""
        return any(not broken.rows for broken in self._broken.values())

    def count_by_partition(self, partitions: Sequence[str]) -> list[tuple[str, int]]:
        """Return how many of the rows are of each partition, 0 where none is."""
        return [(key, self._counted[key].rows if key in self._counted else 0) for key in partitions]

    def report(self, partitions: Sequence[str], *, source_versions: Mapping[str, int]) -> PartitionReport:
        """Return what was found of partitions, once all their rows were looked at."""
        spec = self._spec
        checks = [
            PartitionCheck(
                "keys" if broken.rows else "schema",
                broken.column,
                passed=False,
                failures=broken.rows,
                observed=broken.observed,
                allowed=broken.allowed,
                partitions=tuple(sorted(set(broken.partitions) or partitions)),
            )
            for broken in self._broken.values()
        ] or [PartitionCheck("schema", spec.table, True, 0, "as declared", "as declared")]
        if not self._broken and self._bounds is not None:
            from include.adapters.expectations.feature_expectations import judge_profile

            profile = profile_partitions(
                self._counted,
                partitions,
                spec,
                published=self._deployment.state.publications(spec.table),
                source_days=_source_days(self._deployment, spec, source_versions),
            )
            checks += [*self._bounds.checks(), *judge_profile(profile, spec)]
        return PartitionReport(spec.group, partitions[0], partitions[-1], self.rows, tuple(checks))

    def offenders(self) -> dict[str, tuple[Offender, ...]]:
        """Return whose rows break a promise, by column: by a value out of bounds, or by their keys and times."""
        found = {violation.column: violation.offenders for violation in self._broken.values()}
        return found if self._bounds is None else found | self._bounds.offenders

    def require(self, partitions: Sequence[str], *, source_versions: Mapping[str, int]) -> PartitionReport:
        """Return the report, or refuse the partitions where a promise is broken.

        Raises
        ------
        BrokenPartitionsError
            If a promise is broken, with every one that is; the report is kept.
        """
        spec, report = self._spec, self.report(partitions, source_versions=source_versions)
        log.info("quality group=%s passed=%s rows=%d", spec.group, report.passed, report.rows)
        if not report.passed:
            address = write_report(self._deployment.lake, report)
            raise BrokenPartitionsError(report, self.offenders(), spec, address)
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
    version, source_versions = deployment.lake.version(spec.table), newest_versions_of(deployment, spec)
    gate = QualityGate(deployment, spec)
    for days in fitting([(key, published[key]) for key in partitions]):
        rows = deployment.lake.read(spec.table, keys=days, version=version)
        gate.add(newest_versions(rows, keys=spec.entity.keys))
    return gate.report(partitions, source_versions=source_versions)


def _source_days(
    deployment: Deployment, spec: FeatureGroupSpec, source_versions: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return the days on which each table spoke: a feed by its rows, a model by having scored the night."""
    if spec.scored_by:
        return {table: list(deployment.state.publications(table)) for table in spec.read_tables}
    return {table: deployment.lake.partitions(table, version=source_versions[table]) for table in spec.read_tables}
