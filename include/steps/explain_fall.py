"""Explain a fall of a model's performance: whom and what it is of.

What belongs here: which rows are looked at, and their features. What does not: what they say (``monitoring.causes``),
and that there was a fall (``measure_performance``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.features.checks import EVENT_TIMESTAMP
from include.features.row_order import ordered
from include.monitoring.causes import cut_features, find_causes
from include.monitoring.fall_parts import split_fall
from include.monitoring.fall_sides import Judged, JudgedLists, JudgedRows
from include.monitoring.performance import Reference
from include.monitoring.slices import Cells, gather, gathered_as
from include.question.labels import LABEL
from include.question.matrix import feature_matrix
from include.scoring.predictions import CHAMPION, FEATURE_CREATED, ROLE
from include.specs.models import RankingModelSpec
from include.steps.measure_slices import cut_lists, cut_rows
from include.steps.measured_lists import MeasuredLists, measure_rows, whole_lists
from include.steps.read_scores import scored_rows, with_features
from include.steps.read_slices import KNOWN_BY, read_slices
from include.tables import predictions_name
from include.training.clusters import number_entities

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel
    from include.specs.models import ModelSpec

# From the newest night on back, until there are so many entities: a fall of fewer can hardly be told from chance.
_ENOUGH = 1_000
# Of a slice; whether it is large enough to be held against the others is said there.
_LEAST = 50


def explain_fall(
    deployment: Deployment,
    spec: ModelSpec,
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
        once, of a ranking the lists of one night of each, from the newest night on back.
    tested : pyarrow.Table
        As `read_tested` returns it.
    promise : Reference
        The judged metric of the test.
    """
    names = sorted(loaded.signature.feature_names, key=lambda name: -loaded.model.importance.get(name, 0.0))
    told = names_of_lists(names) if isinstance(spec, RankingModelSpec) else names
    then = _side(deployment, spec, tested.append_column(KNOWN_BY, tested[EVENT_TIMESTAMP]), names)
    came = _side(deployment, spec, _newest(deployment, spec, rows, loaded.signature.feature_service), names)
    parts = split_fall(then.judged, came.judged, promise, seed=spec.training.seed)
    cells = [*_pairs(then.cells, came.cells), *cut_features(then.judged, came.judged, told)]
    return find_causes(then.judged, came.judged, parts, cells, promise=promise, names=told)


def names_of_lists(names: Sequence[str]) -> list[str]:
    """Return what the columns of `judge_lists` are called, by those of the features."""
    return ["items of a list", *(f"mean {name}" for name in names)]


def judge_lists(lists: MeasuredLists, names: Sequence[str]) -> JudgedLists:
    """Return lists with a positive item: a longer one is the harder to order, whoever it is for."""
    told = lists.metrics.measured
    means = lists.means(feature_matrix(lists.rows, names).astype(np.float64))
    features = np.column_stack([lists.metrics.sizes, means])
    return JudgedLists(lists.metrics.ndcg[told], features[told], number_entities(lists.owners)[told])


@dataclass(frozen=True)
class _Side:
    judged: Judged
    cells: dict[str, Cells]


def _side(deployment: Deployment, spec: ModelSpec, rows: pa.Table, names: Sequence[str]) -> _Side:
    if columns := [each.column for each in spec.monitoring.slices]:
        rows = read_slices(deployment, spec, rows, columns)
    if not isinstance(spec, RankingModelSpec):
        return _Side(JudgedRows(**vars(scored_rows(spec, rows, names))), cut_rows(spec, rows))
    lists = measure_rows(spec, rows, EVENT_TIMESTAMP)
    return _Side(judge_lists(lists, names), cut_lists(spec, lists))


def _pairs(then: dict[str, Cells], came: dict[str, Cells]) -> Iterator[tuple[Cells, Cells]]:
    for column, own in came.items():
        if column in then:
            cells = gather(own, np.ones(len(own.of_row), int), rows_min=_LEAST)
            yield gathered_as(then[column], cells.names), cells


def _newest(deployment: Deployment, spec: ModelSpec, rows: pa.Table, service: str) -> pa.Table:
    """Return the newest labelled rows of each entity, of the newest nights, beside what they were scored by."""
    entity, keys = spec.entity.keys[0], list(spec.entity.keys)
    if isinstance(spec, RankingModelSpec):
        labelled = whole_lists(spec, rows, "dt")
    else:
        labelled = rows.filter(pc.is_valid(rows[LABEL]))
    newest = labelled.group_by(entity).aggregate([("dt", "max")]).rename_columns([entity, "dt"])
    chosen = labelled.join(newest, keys=[entity, "dt"], join_type="inner")
    found, enough = [], _ENOUGH
    for day in sorted(chosen["dt"].unique().to_pylist(), reverse=True):
        own = chosen.filter(pc.equal(chosen["dt"], day)).select([*keys, LABEL, FEATURE_CREATED])
        night = str(day)
        scores = deployment.lake.read(predictions_name(spec.model_id), start=night, end=night)
        is_same = pc.and_(pc.equal(scores[ROLE], CHAMPION), pc.equal(scores["model_version"], rows["model_version"][0]))
        read = with_features(deployment, spec, night, scores.filter(is_same), service=service)
        read = ordered(read.join(own, keys=keys, join_type="inner"), keys).rename_columns({FEATURE_CREATED: KNOWN_BY})
        at = pa.array([partitions.end_of(night)] * len(read), pa.timestamp("us", tz="UTC"))
        found.append(read.append_column(EVENT_TIMESTAMP, at))
        enough -= len(read[entity].unique())
        if enough <= 0:
            break
    return pa.concat_tables(found)
