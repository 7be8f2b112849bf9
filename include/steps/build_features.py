"""Build partitions of a feature group: read the sources, compute, judge, publish.

What belongs here: the one pass from its sources to published features. What does not: the definition of a feature,
which is SQL, and of a bound, which is YAML; and which partitions a correction has reached (``heal_features``).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.partition_reports import write_report
from include.adapters.lake.portions import ROWS_AT_ONCE, in_portions
from include.adapters.sources.deliveries import delivered_days, first_gap
from include.errors import RefusedError, UncomputableError, UsageError
from include.features.checks import PARTITION, other_types
from include.features.statements import statement_of
from include.features.versions import add_versions
from include.partitions import consecutive, parse, span
from include.refs import FeaturesRef
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.source_rules import RECEIVED_AT
from include.specs.sources import SourceSpec, load_source
from include.steps.find_person import ERASING
from include.steps.find_stale import find_stale
from include.steps.judge_features import BrokenPartitionsError, QualityGate
from include.steps.trace_rows import trace_rows, trace_values

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.adapters.lake.portions import Portion
    from include.features.partition_report import PartitionReport

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefusedDays:
    """Days that follow one another and are not published, and why."""

    days: tuple[str, ...]
    reason: str


# How many times the days of one statement those of the next may be.
_GROWTH = 8


def building_of(group: str) -> str:
    """Return what a group is built under: one that read its sources earlier is not to write over what is newer."""
    return f"building {group}"


def build_features(deployment: Deployment, group: str, *, start: str, end: str) -> FeaturesRef:
    """Compute partitions `start` to `end`, both included, and publish them: in one commit where none is refused.

    A range gives the same rows as its days one by one; a day with no orders has rows too, those of the
    customers as they stood at its end. Where a partition was published before, rows that say something else
    are added as later versions; none is erased.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written; the publication is recorded in its state.
    group : str
        Name of the feature group.
    start, end : str
        Partition keys.

    Raises
    ------
    UsageError
        If a source is not there, or the range is not one.
    RefusedError
        If `end` is later than the newest day of a source: it has not arrived. If days break the group's spec, once
        all others are published; of each run of them a report is kept.
    """
    partitions, spec = span(start, end), load_feature_group(group)
    with deployment.state.alone(building_of(group), not_during=ERASING):
        source_versions = _require_arrived(deployment, spec, end)
        # What differs in a partition that is on record as agreeing with its sources is no correction.
        compared = find_stale(deployment, spec, source_versions=source_versions)
        deployment.state.confirm_sources(spec.table, compared.agreeing, source_versions)
        outcomes = list(build_days(deployment, spec, partitions, source_versions=source_versions))
    built = [outcome for outcome in outcomes if isinstance(outcome, FeaturesRef)]
    if refused := [outcome for outcome in outcomes if isinstance(outcome, RefusedDays)]:
        raise RefusedError(_told(spec, partitions, built, refused))
    return built[0]


def build_days(
    deployment: Deployment, spec: FeatureGroupSpec, days: Sequence[str], *, source_versions: Mapping[str, int]
) -> Iterator[FeaturesRef | RefusedDays]:
    """Build days that follow one another and publish all that keep to their spec, each run of them in one commit.

    Yields
    ------
    FeaturesRef or RefusedDays
        Of each run, in order: one of all days where none is refused.
    """
    try:
        yield build_partitions(deployment, spec, days, source_versions=source_versions)
        return
    except BrokenPartitionsError as no:
        if not (parts := _runs_apart(days, set(no.report.broken_partitions))):
            yield RefusedDays(tuple(days), f"{no}{trace_rows(deployment, spec, no, source_versions)}")
    except UncomputableError as err:
        # The statement does not say on which days it meets such values.
        if not (parts := _halves(days)):
            yield RefusedDays(tuple(days), f"{err}{trace_values(deployment, spec, days[0], source_versions)}")
    for run in parts:
        yield from build_days(deployment, spec, run, source_versions=source_versions)


def _runs_apart(days: Sequence[str], broken: Collection[str]) -> list[list[str]]:
    """Return the runs of days that are broken and of those that are not, in order; none where all are broken."""
    whole = [key for key in days if key not in broken]
    return sorted(consecutive(whole) + consecutive(set(days) - set(whole))) if whole else []


def _halves(days: Sequence[str]) -> list[list[str]]:
    """Return days in two parts; none where there is one day."""
    middle = len(days) // 2
    return [list(days[:middle]), list(days[middle:])] if middle else []


def _told(
    spec: FeatureGroupSpec, days: Sequence[str], built: Sequence[FeaturesRef], refused: Sequence[RefusedDays]
) -> str:
    said = "; ".join(dict.fromkeys(each.reason for each in refused))
    if not built:
        return said
    published = ", ".join(f"{ref.start} … {ref.end}" for ref in built)
    count = sum(len(each.days) for each in refused)
    return f"{count} of {len(days)} days of {spec.table} are refused, the others ({published}) are published: {said}"


def build_partitions(
    deployment: Deployment, spec: FeatureGroupSpec, partitions: Sequence[str], *, source_versions: Mapping[str, int]
) -> FeaturesRef:
    """Build days that follow one another from one version of each table that is read, which holds them.

    A difference from what is published is a correction, unless the partition is on record as agreeing with
    `source_versions`: then its definition has changed, and nothing was learned later.
    """
    _require_types(deployment, spec)
    start, end = partitions[0], partitions[-1]
    sources = {
        name: deployment.lake.dataset(table, version=source_versions[table]) for name, table in spec.reads.items()
    }
    built_from = deployment.state.source_versions(spec.table)
    corrected = [key for key in partitions if built_from.get(key) != source_versions]
    known_until = cache(lambda: _newest_receipts(sources.values(), corrected))
    known_at_last = cache(lambda: _newest_receipt(sources.values()))
    judged: list[tuple[PartitionReport, list[tuple[str, int]]]] = []

    def with_versions(rows: pa.Table, present: pa.Table | None) -> pa.Table:
        is_first = present is None or present.num_rows == 0
        if is_first:
            return add_versions(present, rows, keys=spec.entity.keys, known_until={})
        last = known_at_last() if corrected else None
        return add_versions(present, rows, keys=spec.entity.keys, known_until=known_until(), known_at_last=last)

    def built() -> Iterator[Portion]:
        gate = QualityGate(deployment, spec)
        for days, rows in _computed(deployment, spec, partitions, sources):
            gate.add(rows)
            if gate.is_misshapen:
                gate.require(partitions, source_versions=source_versions)
            yield days, partial(with_versions, rows)
        # Before the commit, which takes all days or none.
        report = gate.require(partitions, source_versions=source_versions)
        judged.append((report, gate.count_by_partition(partitions)))

    published = deployment.lake.rewrite(spec.table, partitions, in_portions(built))
    report, counts = judged[-1]
    deployment.state.record_publications(spec.table, counts, published.version, source_versions=source_versions)
    # Last, so that a report that says "published" is true.
    write_report(deployment.lake, report)
    log.info(
        "features group=%s start=%s end=%s rows=%d version=%d source_versions=%s",
        spec.group, start, end, report.rows, published.version, dict(source_versions),
    )  # fmt: skip
    return FeaturesRef(spec.group, start, end, published.version, report.rows)


def count_by_partition(rows: pa.Table, partitions: Sequence[str]) -> list[tuple[str, int]]:
    """Return the number of rows of each partition, 0 where there are none."""
    counted = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(rows[PARTITION]).to_pylist()}
    return [(partition, counted.get(partition, 0)) for partition in partitions]


def _computed(
    deployment: Deployment, spec: FeatureGroupSpec, partitions: Sequence[str], sources: Mapping[str, Dataset]
) -> Iterator[tuple[Sequence[str], pa.Table]]:
    """Run the group's statement over days that follow one another, as many at a time as fit into memory.

    A range gives the same rows as its days one by one, whatever a statement does with the entities of a day: days are
    the one cut that is right for every group. From the last day, which tends to have the most rows.
    """
    sql, left, size = statement_of(spec), list(partitions), 1
    while left:
        days, left = left[-size:], left[:-size]
        rows = deployment.compute.run_select(
            sql,
            sources,
            purpose=f"feature group {spec.group} of {days[0]} … {days[-1]}",
            parameters={"start_day": days[0], "end_day": days[-1]},
        )
        yield days, rows
        # Days without rows, as holidays, say little of those before them.
        growth = _GROWTH if rows.num_rows else 2
        size = max(1, min(ROWS_AT_ONCE * len(days) // max(rows.num_rows, 1), growth * len(days)))


def _newest_receipts(sources: Iterable[Dataset], partitions: Collection[str]) -> dict[date, datetime]:
    """Return when the newest row of any source up to each partition was received; empty where none says so."""
    newest: dict[date, datetime] = {}
    for source in sources:
        for day, moment in _newest_of(source, partitions).items():
            newest[day] = max(moment, newest.get(day, moment))
    return newest


def _newest_receipt(sources: Iterable[Dataset]) -> datetime | None:
    """Return when the newest row of all sources was received; None where none says so."""
    columns = (
        each.to_table(columns=[RECEIVED_AT])[RECEIVED_AT] for each in sources if RECEIVED_AT in each.schema.names
    )
    return max(filter(None, (pc.max(column).as_py() for column in columns)), default=None)


def _newest_of(source: Dataset, partitions: Collection[str]) -> dict[date, datetime]:
    if RECEIVED_AT not in source.schema.names or not partitions:
        return {}
    until = pc.field(PARTITION) <= pc.scalar(parse(max(partitions)))
    received = source.to_table(columns=[PARTITION, RECEIVED_AT], filter=until)
    by_day = received.group_by(PARTITION).aggregate([(RECEIVED_AT, "max")]).sort_by(PARTITION)
    days = by_day[PARTITION].to_numpy()
    newest = np.maximum.accumulate(by_day[f"{RECEIVED_AT}_max"].cast("int64").to_numpy())
    wanted = [parse(key) for key in sorted(partitions)]
    at = np.searchsorted(days, np.array(wanted, dtype=days.dtype), side="right") - 1
    kind = source.schema.field(RECEIVED_AT).type
    moments = pc.cast(newest[at[at >= 0]], kind).to_pylist()
    return dict(zip((day for day, place in zip(wanted, at, strict=True) if place >= 0), moments, strict=True))


def _require_arrived(deployment: Deployment, spec: FeatureGroupSpec, end: str) -> dict[str, int]:
    """Return the versions of the tables to build from, once they are known to hold the days up to `end`."""
    for name, table in spec.reads.items():
        if not deployment.lake.exists(table):
            raise UsageError(
                f"{spec.table} can't be built: the lake at {deployment.lake.uri} has no {name} (table {table}); "
                + (
                    f"score first (mlops score --model {spec.scored_by} --date {end})"
                    if spec.scored_by
                    else f"import some first (mlops sources import {name} FILE), or set MLOPS_LAKE_URI"
                )
            )
        if spec.scored_by and end not in deployment.state.publications(table):
            raise RefusedError(
                f"{spec.table} of {end} can't be built: {table} has no published partition {end}; score it first "
                f"(mlops score --model {spec.scored_by} --date {end})"
            )
    for source in spec.sources:
        _require_days(deployment, load_source(source), spec.table, end)
    # Last: what was found to be there is in these versions, whatever has come since.
    return {table: int(deployment.lake.delta(table).version()) for table in spec.read_tables}


def _require_types(deployment: Deployment, spec: FeatureGroupSpec) -> None:
    """Check that what is published has the group's types: rows would be written in those of the table."""
    if not deployment.lake.exists(spec.table):
        return
    if other := other_types(pa.schema(deployment.lake.delta(spec.table).schema().to_arrow()), spec):
        raise RefusedError(
            f"{spec.table} can't be built: {'; '.join(other)}; what is published keeps its type, so give the feature, "
            "or of a key the group, another name in its YAML and SQL"
        )


def _require_days(deployment: Deployment, source: SourceSpec, table: str, end: str) -> None:
    delivered = delivered_days(deployment.lake, source)
    if not delivered:
        raise UsageError(
            f"{table} can't be built: the lake at {deployment.lake.uri} has no record of a delivery of "
            f"{source.source}; import some first (mlops sources import {source.source} FILE), or set MLOPS_LAKE_URI"
        )
    if (gap := first_gap(delivered, end)) is not None and gap < delivered[-1]:
        raise RefusedError(
            f"{table} of {end} can't be built: {source.source} of {gap} are missing while later days are there; "
            f"deliver them (or an empty day, with _SUCCESS) and let {source.ingest_dag_id} take it"
        )
    if end > delivered[-1]:
        raise RefusedError(
            f"{table} of {end} can't be built: the newest delivery of {source.source} is of {delivered[-1]}, so {end} "
            "has not arrived; import it first, or end the range earlier"
        )
