"""Train a version: from examples to the files that it consists of.

What belongs here: the order of split, fit, conversion, proof and evaluation. What does not: each of
them, and where examples come from or files go to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.monitoring.reference_profile import ReferenceProfile, build_reference_profile
from include.question.labels import LABEL
from include.question.matrix import feature_matrix
from include.scoring.model import ScoringModel
from include.specs.models import ModelSpec
from include.training import artifacts
from include.training.conversion import check_parity, to_onnx
from include.training.evaluation import Evaluation, evaluate
from include.training.fitting import feature_importance, fit_booster, to_bytes
from include.training.manifest import TrainingSetManifest
from include.training.model_card import write_model_card
from include.training.plots import draw_plots
from include.training.split import split_by_time

SCORE = "score"


@dataclass(frozen=True)
class TrainedVersion:
    """A version before it is registered.

    Attributes
    ----------
    files : mapping of str to bytes
        By name, ``checksums.json`` among them.
    evaluation : Evaluation
        Of the test window.
    metrics : mapping of str to float
        The evaluation's, and the largest difference between the two formats.
    """

    files: Mapping[str, bytes]
    evaluation: Evaluation
    metrics: Mapping[str, float]


def train_version(spec: ModelSpec, manifest: TrainingSetManifest, examples: pa.Table) -> TrainedVersion:
    """Fit on the earlier snapshots, test on the later ones, and return what a version consists of.

    Parameters
    ----------
    spec : ModelSpec
    manifest : TrainingSetManifest
        Of the examples.
    examples : pyarrow.Table
        Entity keys, ``event_timestamp``, the manifest's features, ``label`` (int8); one row per entity
        and snapshot. Of several keys the first is the cluster that the interval resamples.

    Returns
    -------
    TrainedVersion
        Equal examples, spec and manifest give equal bytes.

    Raises
    ------
    RefusedError
        If the split leaves nothing to fit on or to test on.
    MlopsError
        If the two formats don't give the same scores.
    """
    names = manifest.feature_names
    split = split_by_time(
        examples["event_timestamp"].to_numpy(),
        test_days=spec.training.test_days,
        horizon_days=spec.label.horizon_days,
    )
    matrix, labels = feature_matrix(examples, names), examples[LABEL].to_numpy()
    booster = fit_booster(matrix[split.train], labels[split.train], feature_names=names, training=spec.training)
    native, onnx = to_bytes(booster), to_onnx(booster)
    model = ScoringModel(names, native=native, onnx=onnx, threads=spec.training.threads)
    test, test_labels = matrix[split.test], labels[split.test]
    difference = check_parity(model, test)
    scores = model.predict(test)
    evaluation = evaluate(
        test_labels,
        scores,
        # Rows of one first key depend on one another, whatever their other keys.
        examples.filter(pa.array(split.test))[spec.entity.keys[0]].to_pylist(),
        threshold=spec.scoring.decision_threshold,
        bootstrap_samples=spec.training.bootstrap_samples,
        seed=spec.training.seed,
    )
    metrics = {**evaluation.numbers(), "onnx_difference": difference}
    dtypes = tuple((name, str(examples.schema.field(name).type)) for name in names)
    plots = draw_plots(test_labels, scores, evaluation, feature_importance(booster))
    card = write_model_card(spec, manifest, split, evaluation)
    texts = {
        artifacts.SIGNATURE: artifacts.Signature(manifest.feature_service, manifest.entity_keys, dtypes).to_json(),
        artifacts.REFERENCE_PROFILE: _profile(names, test, scores).to_json(),
        artifacts.METRICS: artifacts.to_json(metrics),
        artifacts.MODEL_CARD: card,
        artifacts.MANIFEST: manifest.to_json(),
    }
    files = {
        artifacts.NATIVE_MODEL: native,
        artifacts.ONNX_MODEL: onnx,
        **{name: text.encode() for name, text in texts.items()},
        **{f"plots/{name}": png for name, png in plots.items()},
    }
    return TrainedVersion(artifacts.with_checksums(files), evaluation, metrics)


def _profile(names: tuple[str, ...], test: NDArray[np.float32], scores: NDArray[np.float32]) -> ReferenceProfile:
    # The latest rows, with scores that nothing was fitted to: what monitoring compares the nights with.
    columns = {name: test[:, index].astype(np.float64) for index, name in enumerate(names)}
    return build_reference_profile({**columns, SCORE: scores.astype(np.float64)})
