"""Measure a scored night.

What belongs here: reading what a night left behind, judging it once, keeping the judgement. What does not: how drift
and quality are computed, and what is to be done about a night (``decide_retrain``).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from include import partitions
from include.adapters.deployment import Deployment
from include.errors import RefusedError, UnpublishedError
from include.features.checks import CREATED_TIMESTAMP
from include.monitoring.data_quality import REFERENCE_DAYS, Delivery, Watched, judge_data_quality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.drift import measure_drift
from include.scoring.predictions import CHAMPION, FEATURE_CREATED
from include.specs.groups import load_feature_group
from include.specs.models import ModelSpec, load_model
from include.specs.services import load_feature_service
from include.specs.source_rules import DAY
from include.specs.sources import SourceSpec, load_source
from include.steps.load_version import load_version
from include.steps.read_inputs import created_column, other_groups, read_scored
from include.tables import predictions_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_NIGHT = TypeAdapter(NightMetrics)
_ACCOUNTED = ("rows_in", "rows_published", "rows_quarantined", "rejected_corrections")


def measure_night(deployment: Deployment, model_id: str, *, partition: str) -> dict[str, str]:
    """Measure a scored partition and keep the result in place of an earlier one.

    The next night that was measured already is measured again: it was held against another night before, and a night
    that comes late must leave what it would have left in its turn.

    Returns
    -------
    dict of str to str
        Data quality's status, and each feature's verdict.

    Raises
    ------
    UnpublishedError
        If the partition has not been scored.
    RefusedError
        If no version was in Production before it.
    """
    spec = load_model(model_id)
    night = _measure(deployment, spec, partition)
    measured = (str(other["partition"]) for other in deployment.state.nights(model_id))
    if later := min((key for key in measured if key > partition), default=None):
        _measure(deployment, spec, later)
    return {"data_quality": night.data_quality.status, **{d.feature: d.verdict for d in night.drift}}


def load_nights(deployment: Deployment, model_id: str, *, until: str) -> list[NightMetrics]:
    """Return the measured nights up to `until`, by partition."""
    return [_NIGHT.validate_python(night) for night in deployment.state.nights(model_id, until=until)]


def nullable_features(service: str) -> set[str]:
    """Return the features of a service that may be null by the definition of their group, whichever that is."""
    return {
        column.name
        for group, names in load_feature_service(service).features.items()
        for column in load_feature_group(group).columns
        if column.name in names and column.nulls_max
    }


def read_delivery(deployment: Deployment, source: SourceSpec, partition: str) -> Delivery | None:
    """Return the account of the night's own delivery; None where the day came with a file import, or didn't."""
    if not deployment.lake.exists(source.deliveries.name):
        return None
    own = pa.array(map(partitions.parse, source.partitions_of(partition)), pa.date32())
    records = deployment.lake.read(source.deliveries.name, columns=[DAY, "delivered", *_ACCOUNTED])
    account = records.filter(pc.and_(pc.equal(records["delivered"], partition), pc.is_in(records[DAY], own)))
    if account.num_rows == 0:
        return None
    return Delivery(*(int(pc.sum(account[name]).as_py()) for name in _ACCOUNTED))


def _measure(deployment: Deployment, spec: ModelSpec, partition: str) -> NightMetrics:
    scores = _champion_rows(deployment, spec, partition)
    version = _version_of(deployment, spec, partition, scores)
    loaded = load_version(deployment, spec.model_id, version)
    profile, names = loaded.profile, [feature.name for feature in loaded.profile.features]
    service = loaded.signature.feature_service
    scored = _with_features(deployment, spec, partition, scores, service=service)
    drift = measure_drift(
        profile,
        {name: _column(scored, name) for name in names},
        min_rows=spec.monitoring.min_rows,
        moderate=spec.monitoring.psi_moderate,
        significant=spec.monitoring.psi_significant,
    )
    sources = _sources(spec, service)
    earlier = load_nights(deployment, spec.model_id, until=partitions.shift(partition, -1))
    quality = judge_data_quality(
        spec.monitoring,
        rows_scored=scored.num_rows,
        previous_rows_scored=earlier[-1].rows if earlier else None,
        drift=drift,
        deliveries={each.source: read_delivery(deployment, each, partition) for each in sources},
        watched=[found for each in sources for found in _watched(deployment, spec, each, partition)],
        nullable=nullable_features(service),
    )
    night = NightMetrics(partition, scored.num_rows, quality, drift, version)
    kept = _NIGHT.dump_python(night, mode="json")
    deployment.state.put_night(spec.model_id, partition, model_version=version, night=kept)
    log.info(
        "measure_night model=%s partition=%s rows=%d data=%s", spec.model_id, partition, night.rows, quality.status
    )
    return night


def _champion_rows(deployment: Deployment, spec: ModelSpec, partition: str) -> pa.Table:
    """Return the partition's scores of the version that governs it; none where nobody was there to score."""
    table = predictions_name(spec.model_id)
    if partition not in deployment.state.publications(table):
        raise UnpublishedError(
            f"{table} of {partition} is not published: score it before it is monitored (mlops score --model "
            f"{spec.model_id} --date {partition})"
        )
    rows = deployment.lake.read(table, start=partition, end=partition)
    return rows.filter(pc.equal(rows["role"], CHAMPION))


def _version_of(deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table) -> int:
    governs = deployment.state.production_version_at(spec.model_id, partition)
    version = scores["model_version"][0].as_py() if scores.num_rows else governs
    if version is None:
        raise RefusedError(
            f"no version of {spec.model_id} was in Production before {partition}; there is nothing to measure"
        )
    return int(version)


def _with_features(
    deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table, *, service: str
) -> pa.Table:
    """Return scores beside the features that they were computed from."""
    keys = list(spec.entity.keys)
    created = [created_column(group) for group in other_groups(spec, service)]
    scored = scores.select([*keys, FEATURE_CREATED, *created]).rename_columns([*keys, CREATED_TIMESTAMP, *created])
    inputs = read_scored(deployment, spec, partition, scored, service=service)
    return scores.select([*keys, "score"]).join(
        inputs.rows.select([*keys, *inputs.features]), keys=keys, join_type="left outer"
    )


def _column(rows: pa.Table, name: str) -> NDArray[np.float64]:
    values = rows[name].to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _sources(spec: ModelSpec, service: str) -> list[SourceSpec]:
    """Return the sources of what the model reads, those of its own group first."""
    groups = [load_feature_group(name) for name in (spec.features.group, *other_groups(spec, service))]
    return [load_source(name) for name in dict.fromkeys(name for group in groups for name in group.sources)]


def _watched(deployment: Deployment, spec: ModelSpec, source: SourceSpec, partition: str) -> list[Watched]:
    """Return what is watched of a source, on each day that is judged, and on those before."""
    if not deployment.lake.exists(source.raw.name):
        return []
    first = partitions.shift(partition, -(spec.monitoring.price_days + REFERENCE_DAYS))
    found = []
    for watched in source.watched:
        wanted = dict.fromkeys([DAY, watched.column, *([watched.where.column] if watched.where else [])])
        rows = deployment.lake.read(source.raw.name, start=first, end=partition, columns=list(wanted))
        if watched.where is not None:
            rows = rows.filter(pc.equal(rows[watched.where.column], watched.where.is_))
        by_day = rows.group_by(DAY).aggregate([(watched.column, "approximate_median")])
        medians = zip(by_day[DAY].to_pylist(), by_day[f"{watched.column}_approximate_median"].to_pylist(), strict=True)
        found.append(
            Watched(watched.name, {day.isoformat(): float(value) for day, value in medians if value is not None})
        )
    return found
