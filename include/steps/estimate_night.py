"""Estimate what the scores of a night are worth before its labels are known.

What belongs here: which rows such an estimate is learned from. What does not: the estimate
(``monitoring.estimated_performance``), and what labels that came true say (``measure_performance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import RefusedError
from include.monitoring.estimated_performance import EstimatedAuc, ScoredRows, estimate_auc
from include.question.labels import LABEL
from include.question.matrix import feature_matrix
from include.scoring.predictions import CHAMPION, ROLE
from include.specs.models import BinaryModelSpec, ModelSpec
from include.steps.load_version import load_version
from include.steps.monitor_model import with_features
from include.steps.read_tested import read_tested
from include.tables import predictions_name
from include.training.clusters import number_entities

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel


def estimate_night(deployment: Deployment, spec: ModelSpec, partition: str) -> EstimatedAuc:
    """Estimate the AUC of a night's scores, by the test rows of the version that governs it.

    Raises
    ------
    RefusedError
        If the model is no classifier, nobody was scored or no version governs the night, its training set is not kept
        any more, or there are too few rows to tell anything.
    """
    if not isinstance(spec, BinaryModelSpec):
        raise RefusedError(f"{spec.model_id} orders lists: a score is no chance, and nothing is estimated from it")
    version = deployment.state.production_version_at(spec.model_id, partition)
    if version is None or partition not in deployment.state.publications(predictions_name(spec.model_id)):
        raise RefusedError(f"{spec.model_id} has no scores of {partition} that anybody answers for")
    loaded = load_version(deployment, spec.model_id, version)
    rows = deployment.lake.read(predictions_name(spec.model_id), start=partition, end=partition)
    own = rows.filter(pc.and_(pc.equal(rows[ROLE], CHAMPION), pc.equal(rows["model_version"], version)))
    scored = with_features(deployment, spec, partition, own, service=loaded.signature.feature_service)
    current = ScoredRows(scored["score"].to_numpy().astype(np.float64), _matrix(scored, loaded.signature.feature_names))
    return estimate_auc(
        _test_rows(deployment, spec, loaded, version),
        current,
        samples=spec.training.bootstrap_samples,
        seed=spec.training.seed,
    )


def _test_rows(deployment: Deployment, spec: ModelSpec, loaded: LoadedModel, version: int) -> ScoredRows:
    tested = read_tested(deployment, spec, loaded)
    if tested is None:
        raise RefusedError(
            f"the lake does not keep training set {loaded.manifest.set_id} of version {version} of {spec.model_id} any "
            "more: what its scores meant on its test is not known"
        )
    return ScoredRows(
        tested["score"].to_numpy().astype(np.float64),
        _matrix(tested, loaded.signature.feature_names),
        tested[LABEL].to_numpy().astype(np.float64),
        number_entities(tested[spec.entity.keys[0]].to_pylist()),
    )


def _matrix(rows: pa.Table, names: Sequence[str]) -> np.ndarray:
    return feature_matrix(rows, names).astype(np.float64)
