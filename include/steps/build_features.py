"""Build partitions of a feature group: read orders, compute, check, publish.

What belongs here: the one pass from raw orders to published features. What does not: the definition of
a feature, which is SQL, and of a bound, which is YAML.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include.adapters.compute_duckdb import run_select
from include.adapters.order_deliveries import Arrivals, first_gap, read_arrivals
from include.errors import MlopsError, RefusedError, UsageError
from include.features.checks import PARTITION, find_violations
from include.partitions import span
from include.refs import FeaturesRef
from include.specs import load_feature_group

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

SOURCE = "raw/orders"


def build_features(deployment: Deployment, group: str, *, start: str, end: str) -> FeaturesRef:
    """Compute partitions `start` to `end`, both included, and publish them in one commit.

    A range gives the same rows as its days one by one; a day with no orders has rows too, those of the
    customers as they stood at its end.

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
        If no orders were ever imported, or the range is not one.
    RefusedError
        If `end` is later than the newest day of orders: it has not arrived.
    MlopsError
        If the rows break the group's spec; nothing is published then.
    """
    partitions = span(start, end)
    _require_arrived(deployment, load_feature_group(group).table, end, read_arrivals(deployment.lake))
    return _build(deployment, group, partitions)


def _build(deployment: Deployment, group: str, partitions: list[str]) -> FeaturesRef:
    spec, start, end = load_feature_group(group), partitions[0], partitions[-1]
    rows = run_select(
        spec.sql_path.read_text(encoding="utf-8"),
        {"orders": deployment.lake.dataset(SOURCE)},
        purpose=f"feature group {group} of {start} … {end}",
        parameters={"start_day": start, "end_day": end},
    )
    if violations := find_violations(rows, spec):
        raise MlopsError(
            f"{spec.table} {start} … {end} is not published, it breaks its spec ({group}.yaml): "
            f"{'; '.join(map(str, violations))}; look at {SOURCE} of these days, or correct the bound"
        )
    published = deployment.lake.replace(spec.table, rows, keys=partitions)
    counts = count_by_partition(rows, partitions)
    deployment.state.record_publications(spec.table, counts, published.version)
    log.info(
        "features group=%s start=%s end=%s rows=%d version=%d", group, start, end, rows.num_rows, published.version
    )
    return FeaturesRef(group=group, start=start, end=end, version=published.version, rows=rows.num_rows)


def build_night(deployment: Deployment, group: str, *, partition: str) -> FeaturesRef:
    """Build a night, and with it the nights that its delivery brought late rows or corrections for.

    A late row changes every partition from its own day on, since windows look back. Partitions from before
    the group's first one are not built.

    Parameters
    ----------
    deployment, group
        As for `build_features`, as are the errors.
    partition : str
        The night.
    """
    table, arrivals = load_feature_group(group).table, read_arrivals(deployment.lake)
    _require_arrived(deployment, table, partition, arrivals)
    built = deployment.lake.partitions(table)
    start = max(arrivals.touched.get(partition, partition), min([partition, *built]))
    return _build(deployment, group, span(start, partition))


def count_by_partition(rows: pa.Table, partitions: list[str]) -> list[tuple[str, int]]:
    """Return the number of rows of each partition, 0 where there are none."""
    counted = {str(entry["values"]): entry["counts"] for entry in pc.value_counts(rows[PARTITION]).to_pylist()}
    return [(partition, counted.get(partition, 0)) for partition in partitions]


def _require_arrived(deployment: Deployment, table: str, end: str, arrivals: Arrivals) -> None:
    arrived = arrivals.days
    if not arrived:
        raise UsageError(
            f"{table} can't be built: the lake at {deployment.lake.uri} has no orders (table {SOURCE}); "
            "import some first (mlops orders import FILE --format …), or set MLOPS_LAKE_URI"
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
