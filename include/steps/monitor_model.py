"""Measure a scored night.

What belongs here: reading what a night left behind, judging it once, keeping the judgement. What does not: how drift
and quality are computed, and what is to be done about a night (``decide_retrain``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pydantic import TypeAdapter

from include import partitions
from include.adapters.deployment import Deployment
from include.errors import RefusedError, UnpublishedError
from include.governance.lifecycle import produced_at
from include.monitoring.data_quality import judge_data_quality, judge_volumes, quality_of, with_volumes
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.decision_words import SCORE
from include.monitoring.drift import judge_drift
from include.monitoring.prediction_drift import prediction_drift
from include.monitoring.serving_health import judge_serving
from include.monitoring.volume import HISTORY_DAYS, REFERENCE_DAYS
from include.monitoring.window_counts import WindowCounts
from include.scoring.predictions import CHAMPION, ROLE
from include.specs.groups import load_feature_group
from include.specs.models import ModelSpec, load_model
from include.specs.services import load_feature_service
from include.specs.sources import SourceSpec, load_source
from include.steps.estimate_night import watch_estimate
from include.steps.find_young import find_young
from include.steps.load_version import load_version
from include.steps.measure_performance import measure_performance
from include.steps.read_arrivals import read_delivery, read_rows_delivered, read_watched
from include.steps.read_inputs import other_groups
from include.steps.read_scores import in_slices_with_features
from include.steps.read_tested import read_tested
from include.tables import predictions_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from include.adapters.registry.model_files import LoadedModel

log = logging.getLogger(__name__)

_NIGHT = TypeAdapter(NightMetrics)
# An estimate says no more of ten million rows than of so many, and would hold them all.
_ROWS_OF_AN_ESTIMATE = 524_288


def measure_night(deployment: Deployment, model_id: str, *, partition: str) -> dict[str, str]:
    """Measure a scored partition and keep the result in place of an earlier one.

    The volume of later nights that were measured already is judged again: they were held against other nights before
    them, and a night that comes late must leave what it would have left in its turn. Nights of a model are measured one
    after the other.

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
    with deployment.state.alone(f"measuring {model_id}"):
        night = _measure(deployment, spec, partition)
        # The night itself last: one that is there is measured by nobody else, and what was killed before is made again.
        for judged in (*_judge_later(deployment, spec, night), night):
            _keep(deployment, spec, judged)
    return {"data_quality": night.data_quality.status, **{d.feature: d.verdict for d in night.drift}}


def load_nights(deployment: Deployment, model_id: str, *, until: str, since: str | None = None) -> list[NightMetrics]:
    """Return the measured nights from `since` up to `until`, both included, by partition."""
    return [_NIGHT.validate_python(night) for night in deployment.state.nights(model_id, since=since, until=until)]


def nullable_features(service: str) -> set[str]:
    """Return the features of a service that may be null by the definition of their group, whichever that is."""
    return {
        column.name
        for group, names in load_feature_service(service).features.items()
        for column in load_feature_group(group).columns
        if column.name in names and column.nulls_max
    }


def _measure(deployment: Deployment, spec: ModelSpec, partition: str) -> NightMetrics:
    scores = _champion_rows(deployment, spec, partition)
    version = _version_of(deployment, spec, partition, scores)
    loaded = load_version(deployment, spec.model_id, version)
    service = loaded.signature.feature_service
    window, sample = _counted(deployment, spec, partition, scores, loaded)
    drift = judge_drift(
        window,
        min_rows=spec.monitoring.min_rows,
        moderate=spec.monitoring.psi_moderate,
        significant=spec.monitoring.psi_significant,
    )
    sources = _sources(spec, service)
    before = load_nights(
        deployment,
        spec.model_id,
        since=partitions.shift(partition, -HISTORY_DAYS),
        until=partitions.shift(partition, -1),
    )
    rows_delivered = {each.source: read_rows_delivered(deployment, each, until=partition) for each in sources}
    quality, checks = judge_data_quality(
        spec.monitoring,
        night=partition,
        rows_scored={**{night.partition: night.rows for night in before}, partition: scores.num_rows},
        drift=drift,
        deliveries={each.source: read_delivery(deployment, each, partition) for each in sources},
        rows_delivered=rows_delivered,
        watched=[found for each in sources for found in read_watched(deployment, spec, each, partition)],
        nullable=nullable_features(service),
    )
    since, until = partitions.start_of(partition), partitions.end_of(partition)
    tested = read_tested(deployment, spec, loaded)
    watched = (
        prediction_drift(
            window.columns.get(SCORE), min_rows=spec.monitoring.min_rows, floor=spec.monitoring.prediction_ks_min
        ),
        *measure_performance(
            deployment,
            spec,
            partition,
            fall_max=spec.monitoring.performance_drop_max,
            tested=tested,
        ),
        *watch_estimate(spec, loaded, tested, sample, before, version=version),
        *judge_serving(spec.monitoring, deployment.state.serving_windows(spec.model_id, since, until)),
    )
    night = NightMetrics(
        partition,
        scores.num_rows,
        quality,
        drift,
        version,
        (*checks, *watched),
        loaded.model.importance,
        find_young(spec, loaded, rows_delivered),
        _age(deployment, spec, version, partition),
    )
    log.info(
        "measure_night model=%s partition=%s rows=%d data=%s", spec.model_id, partition, night.rows, quality.status
    )
    return night


def _age(deployment: Deployment, spec: ModelSpec, version: int, partition: str) -> int | None:
    promoted = produced_at(deployment.state.ledger(spec.model_id), version)
    return None if promoted is None or promoted >= partition else partitions.days_between(promoted, partition)


def _counted(
    deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table, loaded: LoadedModel
) -> tuple[WindowCounts, pa.Table]:
    """Return a night counted over the version's reference, and its rows, or as many of them evenly as can be held."""
    window, sample = WindowCounts(loaded.profile), list[pa.Table]()
    every, seen = -(-scores.num_rows // _ROWS_OF_AN_ESTIMATE) or 1, 0
    service = loaded.signature.feature_service
    for rows in in_slices_with_features(deployment, spec, partition, scores, service=service):
        window.add({name: _column(rows, name) for name in window.columns})
        sample.append(rows.take(np.arange(-seen % every, rows.num_rows, every)))
        seen += rows.num_rows
    return window, pa.concat_tables(sample)


def _judge_later(deployment: Deployment, spec: ModelSpec, night: NightMetrics) -> Iterator[NightMetrics]:
    """Yield the nights after one that are other ones beside it."""
    partition = night.partition
    since, until = partitions.shift(partition, -HISTORY_DAYS), partitions.shift(partition, REFERENCE_DAYS)
    nights = load_nights(deployment, spec.model_id, since=since, until=until)
    rows_scored = {**{each.partition: each.rows for each in nights}, partition: night.rows}

    @cache
    def rows_delivered(version: int) -> dict[str, dict[str, int]]:
        sources = _sources(spec, load_version(deployment, spec.model_id, version).signature.feature_service)
        return {each.source: read_rows_delivered(deployment, each, until=until) for each in sources}

    for later in nights:
        if later.partition <= partition or not later.checks or later.model_version is None:
            continue
        volumes = judge_volumes(
            spec.monitoring,
            night=later.partition,
            rows_scored=rows_scored,
            rows_delivered=rows_delivered(later.model_version),
        )
        checks = with_volumes(later.checks, volumes)
        if checks != later.checks:
            yield replace(later, checks=checks, data_quality=quality_of(checks, rows_scored=later.rows))


def _keep(deployment: Deployment, spec: ModelSpec, night: NightMetrics) -> None:
    kept = _NIGHT.dump_python(night, mode="json")
    deployment.state.put_night(spec.model_id, night.partition, model_version=night.model_version or 0, night=kept)


def _champion_rows(deployment: Deployment, spec: ModelSpec, partition: str) -> pa.Table:
    """Return the partition's scores of the version that governs it; none where nobody was there to score."""
    table = predictions_name(spec.model_id)
    if partition not in deployment.state.publications(table):
        raise UnpublishedError(
            f"{table} of {partition} is not published: score it before it is monitored (mlops score --model "
            f"{spec.model_id} --date {partition})"
        )
    return deployment.lake.read(table, keys=[partition], where=ds.field(ROLE) == CHAMPION)


def _version_of(deployment: Deployment, spec: ModelSpec, partition: str, scores: pa.Table) -> int:
    governs = deployment.state.production_version_at(spec.model_id, partition)
    version = scores["model_version"][0].as_py() if scores.num_rows else governs
    if version is None:
        raise RefusedError(
            f"no version of {spec.model_id} was in Production before {partition}; there is nothing to measure"
        )
    return int(version)


def _column(rows: pa.Table, name: str) -> NDArray[np.float64]:
    values = rows[name].to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _sources(spec: ModelSpec, service: str) -> list[SourceSpec]:
    """Return the sources of what the model reads, those of its own group first."""
    groups = [load_feature_group(name) for name in (spec.features.group, *other_groups(spec, service))]
    return [load_source(name) for name in dict.fromkeys(name for group in groups for name in group.sources)]
