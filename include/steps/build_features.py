"""Build partitions of a feature group: read the source, compute, judge, publish; and heal what a correction reached.

What belongs here: the one pass from a source to published features, and which partitions need it. What does
not: the definition of a feature, which is SQL, and of a bound, which is YAML.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include.adapters.lake_history import changed_partitions
from include.adapters.order_deliveries import first_gap, read_arrivals
from include.errors import RefusedError, UsageError
from include.features.checks import PARTITION
from include.features.versions import add_versions
from include.partitions import consecutive, parse, span
from include.refs import FeaturesRef
from include.specs import FeatureGroupSpec, load_feature_group
from include.steps.judge_features import require_quality

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

_RECEIVED_AT = "received_at"


def build_features(deployment: Deployment, group: str, *, start: str, end: str) -> FeaturesRef:
    """Compute partitions `start` to `end`, both included, and publish them in one commit.

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
        If there is no source, or the range is not one.
    RefusedError
        If `end` is later than the newest day of the source: it has not arrived. If the rows break the group's
        spec: nothing is published then, and the report is kept.
    """
    partitions, spec = span(start, end), load_feature_group(group)
    return _build(deployment, spec, partitions, source_version=_require_arrived(deployment, spec, end))


def build_night(deployment: Deployment, group: str, *, partition: str) -> FeaturesRef:
    """Build a night, and with it the earlier partitions that its source has changed for since they were built.

    A late row or a correction changes every partition from its own day on, since windows look back.

    Parameters
    ----------
    deployment, group
        As for `build_features`, as are the errors.
    partition : str
        The night.
    """
    spec = load_feature_group(group)
    source_version = _require_arrived(deployment, spec, partition)
    stale = [key for key in find_stale(deployment, spec, source_version=source_version) if key < partition]
    return _build_runs(deployment, spec, sorted({*stale, partition}), source_version=source_version)


def heal_features(deployment: Deployment, group: str) -> FeaturesRef | None:
    """Build anew every partition that its source has changed for since it was built; None where there is none.

    Days that follow one another are built in one pass and published in one commit. Safe to repeat.
    """
    spec = load_feature_group(group)
    if not deployment.lake.exists(spec.table):
        raise UsageError(f"{group} was never built, there is nothing to heal (mlops features build --group {group} …)")
    source_version = deployment.lake.version(spec.source) or 0
    stale = find_stale(deployment, spec, source_version=source_version)
    return _build_runs(deployment, spec, stale, source_version=source_version) if stale else None


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


def _build_runs(
    deployment: Deployment, spec: FeatureGroupSpec, partitions: list[str], *, source_version: int
) -> FeaturesRef:
    built = [_build(deployment, spec, run, source_version=source_version) for run in consecutive(partitions)]
    return FeaturesRef(
        spec.group, built[0].start, built[-1].end, built[-1].version, rows=sum(ref.rows for ref in built)
    )


def _build(
    deployment: Deployment, spec: FeatureGroupSpec, partitions: list[str], *, source_version: int
) -> FeaturesRef:
    start, end = partitions[0], partitions[-1]
    source = deployment.lake.dataset(spec.source, version=source_version)
    rows = deployment.compute.run_select(
        spec.sql_path.read_text(encoding="utf-8"),
        {spec.relation: source},
        purpose=f"feature group {spec.group} of {start} … {end}",
        parameters={"start_day": start, "end_day": end},
    )
    require_quality(deployment, spec, rows, partitions, source_version=source_version)

    def with_versions(present: pa.Table | None) -> pa.Table:
        known_until = _newest_receipt(source, end) if present is not None and present.num_rows else None
        return add_versions(present, rows, key=spec.entity.key, known_until=known_until)

    published = deployment.lake.update(spec.table, partitions, with_versions)
    counts = count_by_partition(rows, partitions)
    deployment.state.record_publications(spec.table, counts, published.version, source_version=source_version)
    log.info(
        "features group=%s start=%s end=%s rows=%d version=%d source_version=%d",
        spec.group, start, end, rows.num_rows, published.version, source_version,
    )  # fmt: skip
    return FeaturesRef(spec.group, start, end, published.version, rows.num_rows)


def count_by_partition(rows: pa.Table, partitions: list[str]) -> list[tuple[str, int]]:
    """Return the number of rows of each partition, 0 where there are none."""
    counted = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(rows[PARTITION]).to_pylist()}
    return [(partition, counted.get(partition, 0)) for partition in partitions]


def _newest_receipt(source: Dataset, end: str) -> datetime | None:
    """Return when the newest row up to `end` was received; None where the source does not say."""
    if _RECEIVED_AT not in source.schema.names:
        return None
    until = pc.field(PARTITION) <= pc.scalar(parse(end))
    received: datetime | None = pc.max(source.to_table(columns=[_RECEIVED_AT], filter=until)[_RECEIVED_AT]).as_py()
    return received


def _require_arrived(deployment: Deployment, spec: FeatureGroupSpec, end: str) -> int:
    """Return the version of the source to build from, once it is known to hold the days up to `end`."""
    version = deployment.lake.version(spec.source)
    if version is None:
        raise UsageError(
            f"{spec.table} can't be built: the lake at {deployment.lake.uri} has no {spec.relation} "
            f"(table {spec.source}); "
            + (
                f"score first (mlops score --model {spec.scored_by} --date {end})"
                if spec.scored_by
                else "import some orders first (mlops orders import FILE --format …), or set MLOPS_LAKE_URI"
            )
        )
    if spec.scored_by:
        if end not in deployment.lake.partitions(spec.source, version=version):
            raise RefusedError(
                f"{spec.table} of {end} can't be built: {spec.source} has no partition {end}; score it first "
                f"(mlops score --model {spec.scored_by} --date {end})"
            )
    else:
        _require_orders(deployment, spec.table, end)
    return version


def _require_orders(deployment: Deployment, table: str, end: str) -> None:
    arrived = read_arrivals(deployment.lake)
    if not arrived:
        raise UsageError(
            f"{table} can't be built: the lake at {deployment.lake.uri} has no record of a delivery; "
            "import some orders first (mlops orders import FILE --format …), or set MLOPS_LAKE_URI"
        )
    if (gap := first_gap(arrived, end)) is not None and gap < arrived[-1]:
        raise RefusedError(
            f"{table} of {end} can't be built: {gap} is missing while later days are there; deliver it "
            "(or an empty day, with _SUCCESS) and let ingest_orders take it"
        )
    if end > arrived[-1]:
        raise RefusedError(
            f"{table} of {end} can't be built: the newest delivery is of {arrived[-1]}, so {end} has not arrived; "
            "import its orders first, or end the range earlier"
        )
