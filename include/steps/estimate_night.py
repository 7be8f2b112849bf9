"""Estimate what the scores of a night are worth before its labels are known.

What belongs here: which rows such an estimate is learned from, and what is told of it each night. What does not: the
estimate (``monitoring.estimated_performance``), and what labels that came true say (``measure_performance``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import RefusedError
from include.monitoring.check import Check
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.estimated_performance import (
    CAVEAT,
    ESTIMATED,
    EstimatedAuc,
    ScoredRows,
    back_test,
    estimate_auc,
)
from include.monitoring.performance import Figure, judge_fall, promised_by, tell, unjudged
from include.question.matrix import feature_matrix
from include.scoring.predictions import CHAMPION, ROLE
from include.specs.models import BinaryModelSpec, ModelSpec
from include.steps.load_version import load_version
from include.steps.read_scores import scored_rows, with_features
from include.steps.read_tested import read_tested
from include.tables import predictions_name
from include.training.clusters import number_entities

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel

HELD = f"{ESTIMATED}_held"
# Of the interval; a night's costs as much as these.
_SAMPLES = 100


def estimate_night(deployment: Deployment, spec: ModelSpec, partition: str) -> EstimatedAuc:
    """Estimate the AUC of a night's scores, by the test rows of the version that governs it.

    Raises
    ------
    RefusedError
        As `estimate_scored`; also if nobody was scored or no version governs the night.
    """
    version = deployment.state.production_version_at(spec.model_id, partition)
    if version is None or partition not in deployment.state.publications(predictions_name(spec.model_id)):
        raise RefusedError(f"{spec.model_id} has no scores of {partition} that anybody answers for")
    loaded = load_version(deployment, spec.model_id, version)
    rows = deployment.lake.read(predictions_name(spec.model_id), start=partition, end=partition)
    own = rows.filter(pc.and_(pc.equal(rows[ROLE], CHAMPION), pc.equal(rows["model_version"], version)))
    scored = with_features(deployment, spec, partition, own, service=loaded.signature.feature_service)
    return estimate_scored(spec, loaded, read_tested(deployment, spec, loaded), scored)


def estimate_scored(spec: ModelSpec, loaded: LoadedModel, tested: pa.Table | None, scored: pa.Table) -> EstimatedAuc:
    """Estimate the AUC of rows that a version scored.

    Parameters
    ----------
    tested : pyarrow.Table or None
        As `read_tested` returns it.
    scored : pyarrow.Table
        The entity keys, ``score`` and the version's features.

    Raises
    ------
    RefusedError
        If the model is no classifier, its training set is not kept any more, or there are too few rows to tell
        anything.
    """
    names = loaded.signature.feature_names
    owners = number_entities(scored[spec.entity.keys[0]].to_pylist())
    scores = scored["score"].to_numpy().astype(np.float64)
    current = ScoredRows(scores, _matrix(scored, names), entities=owners)
    return estimate_auc(_reference(spec, loaded, tested), current, samples=_SAMPLES, seed=spec.training.seed)


def watch_estimate(
    spec: ModelSpec,
    loaded: LoadedModel,
    tested: pa.Table | None,
    scored: pa.Table,
    before: Iterable[NightMetrics],
    *,
    version: int,
) -> Iterator[Check]:
    """Yield what is estimated of a night, and how such estimates held on windows of the version's test.

    It is told, and judged where ``decision.estimated`` says so; of a ranking there is nothing to say.

    Parameters
    ----------
    before : iterable of NightMetrics
        Earlier nights, by partition: how estimates held is counted once for a version, and is what it was.
    """
    if not isinstance(spec, BinaryModelSpec):
        return
    try:
        found = estimate_scored(spec, loaded, tested, scored)
        held = _held_before(before, version) or _hold(_reference(spec, loaded, tested), spec.training.seed)
    except RefusedError as no:
        yield unjudged(ESTIMATED, str(no), rows=scored.num_rows)
        return
    figure, rows = Figure(found.value, found.low, found.high), scored.num_rows
    by = "corrected for covariate shift" if found.is_corrected else "by confidence alone"
    about = f"{CAVEAT}; {by}; {held.reason}"
    promise = promised_by(loaded.metrics, "auc")
    if spec.decision.estimated and promise is not None:
        yield judge_fall(
            ESTIMATED, figure, promise, rows=rows, about=about, fall_max=spec.monitoring.performance_drop_max
        )
    else:
        yield tell(ESTIMATED, figure, rows=rows, about=about, reference=promise)
    yield held


def _held_before(before: Iterable[NightMetrics], version: int) -> Check | None:
    told = [check for night in before if night.model_version == version for check in night.checks]
    return next((check for check in reversed(told) if check.name == HELD), None)


def _hold(reference: ScoredRows, seed: int) -> Check:
    held = back_test(reference, seed=seed)
    if not held.windows:
        said = "the version's test is too small to try such estimates on"
        return tell(HELD, Figure(None), rows=len(reference.scores), about=said)
    said, share = (
        f"on the version's test {held.within} of {held.windows} such estimates held",
        held.within / held.windows,
    )
    return tell(HELD, Figure(share), rows=len(reference.scores), about=said)


def _reference(spec: ModelSpec, loaded: LoadedModel, tested: pa.Table | None) -> ScoredRows:
    if not isinstance(spec, BinaryModelSpec):
        raise RefusedError(f"{spec.model_id} orders lists: a score is no chance, and nothing is estimated from it")
    if tested is None:
        raise RefusedError(
            f"the lake does not keep training set {loaded.manifest.set_id} any more: what scores of this version of "
            f"{spec.model_id} meant on its test is not known"
        )
    return scored_rows(spec, tested, loaded.signature.feature_names)


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return feature_matrix(rows, names).astype(np.float64)
