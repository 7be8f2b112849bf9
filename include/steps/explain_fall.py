"""Explain a fall of a classifier's AUC: whom and what it is of.

What belongs here: which rows are looked at, and their features. What does not: what they say (``monitoring.causes``),
and that there was a fall (``measure_performance``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.features.checks import EVENT_TIMESTAMP
from include.monitoring.causes import cut_features, find_causes
from include.monitoring.fall_parts import split_fall
from include.monitoring.performance import Reference
from include.monitoring.slices import Cells, cut, gather, gathered_as
from include.question.labels import LABEL
from include.scoring.predictions import CHAMPION, FEATURE_CREATED, ROLE
from include.steps.read_scores import scored_rows, with_features
from include.steps.read_slices import KNOWN_BY, read_slices
from include.tables import predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel
    from include.specs.models import BinaryModelSpec

# From the newest night on back, until there are so many entities: a fall of fewer can hardly be told from chance.
_ENOUGH = 1_000
# Of a slice; whether it is large enough to be held against the others is said there.
_LEAST = 50


def explain_fall(
    deployment: Deployment,
    spec: BinaryModelSpec,
    rows: pa.Table,
    loaded: LoadedModel,
    tested: pa.Table,
    promise: Reference,
) -> tuple[str, ...]:
    """Return what a fall is of, in words: three causes at most.

    Parameters
    ----------
    rows : pyarrow.Table
        What a version scored on the nights that are judged, as `read_labelled` returns it. Looked at is each entity
        once, from the newest night on back.
    tested : pyarrow.Table
        As `read_tested` returns it.
    promise : Reference
        The AUC of the test.
    """
    names = sorted(loaded.signature.feature_names, key=lambda name: -loaded.model.importance.get(name, 0.0))
    now = _newest(deployment, spec, rows, loaded.signature.feature_service)
    reference, current = scored_rows(spec, tested, names), scored_rows(spec, now, names)
    parts = split_fall(reference, current, promise, seed=spec.training.seed)
    cells = [*_slices(deployment, spec, tested, now), *cut_features(reference, current, names)]
    return find_causes(reference, current, parts, cells, promise=promise, names=names)


def _newest(deployment: Deployment, spec: BinaryModelSpec, rows: pa.Table, service: str) -> pa.Table:
    """Return the newest labelled row of each entity, of the newest nights, beside what it was scored by."""
    entity, keys = spec.entity.keys[0], list(spec.entity.keys)
    labelled = rows.filter(pc.is_valid(rows[LABEL]))
    newest = labelled.group_by(entity).aggregate([("dt", "max")]).rename_columns([entity, "dt"])
    chosen = labelled.join(newest, keys=[entity, "dt"], join_type="inner")
    found: list[pa.Table] = []
    for day in sorted(chosen["dt"].unique().to_pylist(), reverse=True):
        own = chosen.filter(pc.equal(chosen["dt"], day)).select([*keys, LABEL, FEATURE_CREATED])
        night = str(day)
        scores = deployment.lake.read(predictions_name(spec.model_id), start=night, end=night)
        is_same = pc.and_(pc.equal(scores[ROLE], CHAMPION), pc.equal(scores["model_version"], rows["model_version"][0]))
        read = with_features(deployment, spec, night, scores.filter(is_same), service=service)
        read = read.join(own, keys=keys, join_type="inner").rename_columns({FEATURE_CREATED: KNOWN_BY})
        at = pa.array([partitions.end_of(night)] * len(read), pa.timestamp("us", tz="UTC"))
        found.append(read.append_column(EVENT_TIMESTAMP, at))
        if sum(map(len, found)) >= _ENOUGH:
            break
    return pa.concat_tables(found)


def _slices(
    deployment: Deployment, spec: BinaryModelSpec, tested: pa.Table, now: pa.Table
) -> Iterator[tuple[Cells, Cells]]:
    columns = [each.column for each in spec.monitoring.slices]
    if not columns:
        return
    then = read_slices(deployment, spec, tested.append_column(KNOWN_BY, tested[EVENT_TIMESTAMP]), columns)
    now = read_slices(deployment, spec, now, columns)
    for each in spec.monitoring.slices:
        cells = gather(cut(now[each.column], each.column, each.ends), np.ones(len(now), int), rows_min=_LEAST)
        yield gathered_as(cut(then[each.column], each.column, each.ends), cells.names), cells
