"""Score one partition with the version that governs it.

What belongs here: reading features once, scoring, writing predictions once. What does not: which
version governs a partition, which is the ledger's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include import partitions
from include.errors import MlopsError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.question.matrix import feature_matrix
from include.question.population import select_population
from include.refs import PredictionsRef
from include.specs.models import ModelSpec, load_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

CHAMPION = "champion"


def score_batch(deployment: Deployment, model_id: str, *, partition: str) -> PredictionsRef | None:
    """Score the population of a partition and write its predictions.

    Scored is who placed the last order at most ``label.active_within_days`` whole days before the end
    of the partition, by the features' ``days_since_last_order``: the population that the model was
    trained on.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written, its state asked and told, its model registry read.
    model_id : str
        The model's spec.
    partition : str
        The night. Again gives the same rows.

    Returns
    -------
    PredictionsRef or None
        None where no version was in Production before the partition.

    Raises
    ------
    MlopsError
        If the partition has no features, or the version can't be loaded.
    """
    spec = load_model(model_id)
    model_version = deployment.state.production_version_at(model_id, partition)
    if model_version is None:
        log.info("score model=%s partition=%s: nothing was in Production before it", model_id, partition)
        return None
    loaded = deployment.model_registry.load(spec.registered_name, model_version)
    (key,) = spec.entity.keys
    population = select_population(
        _read_features(deployment, spec, partition),
        key=key,
        active_within_days=spec.label.active_within_days,
    )
    scores = loaded.model.predict(feature_matrix(population, loaded.signature.feature_names))
    rows = _predictions(spec, population, scores, partition=partition, model_version=model_version)
    table = f"predictions/{model_id}"
    written = deployment.lake.replace(table, rows, keys=[partition])
    deployment.state.record_publications(table, [(partition, rows.num_rows)], written.version)
    log.info("score model=%s partition=%s version=%d rows=%d", model_id, partition, model_version, rows.num_rows)
    return PredictionsRef(model_id, partition, model_version, rows.num_rows, written.version)


def _read_features(deployment: Deployment, spec: ModelSpec, partition: str) -> pa.Table:
    table = f"features/{spec.features.group}"
    if partition not in deployment.lake.partitions(table):
        raise MlopsError(
            f"{table} holds no partition {partition}, so {spec.model_id} can't score it; build it: "
            f"mlops features build --group {spec.features.group} --date {partition}"
        )
    return deployment.lake.read(table, start=partition, end=partition)


def _predictions(
    spec: ModelSpec, population: pa.Table, scores: NDArray[np.float32], *, partition: str, model_version: int
) -> pa.Table:
    rows = population.num_rows
    return pa.table(
        {
            **{key: population[key].cast(pa.string()) for key in spec.entity.keys},
            "dt": pa.array([partitions.parse(partition)] * rows, pa.date32()),
            "role": pa.array([CHAMPION] * rows, pa.string()),
            "score": pa.array(scores, pa.float32()),
            "decision": pa.array(scores >= np.float32(spec.scoring.decision_threshold), pa.bool_()),
            "model_version": pa.array([model_version] * rows, pa.int64()),
            "feature_event_timestamp": population[EVENT_TIMESTAMP].cast(pa.timestamp("us", tz="UTC")),
            "feature_created_timestamp": population[CREATED_TIMESTAMP].cast(pa.timestamp("us", tz="UTC")),
        }
    )
