"""Train a version: from examples to the files that it consists of.

What belongs here: the order of split, fit, conversion, proof and evaluation. What does not: each of
them, and where examples come from or files go to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import xgboost
from numpy.typing import NDArray

from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.profile_json import profile_to_json
from include.monitoring.reference_profile import build_reference_profile
from include.question.matrix import feature_matrix
from include.scoring.importance import feature_importance
from include.scoring.model import ScoringModel
from include.specs.models import ModelSpec
from include.training import artifacts
from include.training.clusters import number_entities
from include.training.conversion import check_parity, to_onnx
from include.training.fitting import to_bytes
from include.training.manifest import TrainingSetManifest, spec_text
from include.training.mlflow_model import mlmodel_text
from include.training.model_card import write_model_card
from include.training.plots import draw_plots
from include.training.split import TimeSplit, split_snapshots
from include.training.task import Evaluation
from include.training.task_registry import find_task

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
    tested : ndarray of shape (n_rows, n_features), float32
        The rows of the test window.
    """

    files: Mapping[str, bytes]
    evaluation: Evaluation
    metrics: Mapping[str, float]
    tested: NDArray[np.float32]


@dataclass(frozen=True)
class FittedVersion:
    """A model in both formats, and the examples that it was fitted on and is tested on.

    Attributes
    ----------
    booster : xgboost.Booster
    native, onnx : bytes
        ``model.ubj`` and ``model.onnx``.
    matrix : ndarray of shape (n_rows, n_features), float32
    split : TimeSplit
        Which rows are for what.
    """

    booster: xgboost.Booster
    native: bytes
    onnx: bytes
    matrix: NDArray[np.float32]
    split: TimeSplit


def fit_version(spec: ModelSpec, names: Sequence[str], examples: pa.Table) -> FittedVersion:
    """Fit on the earlier snapshots; equal examples in equal order and an equal spec give equal bytes.

    Raises
    ------
    RefusedError
        If the split leaves nothing to fit on or to test on, or nothing was learned.
    """
    split = split_snapshots(spec, examples["event_timestamp"].to_numpy())
    matrix = feature_matrix(examples, names)
    booster = find_task(spec).fit(
        examples.filter(pa.array(split.train)), matrix[split.train], feature_names=tuple(names)
    )
    return FittedVersion(booster, to_bytes(booster), to_onnx(booster), matrix, split)


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
    fitted = fit_version(spec, manifest.feature_names, examples)
    names, split = manifest.feature_names, fitted.split
    model = ScoringModel(names, native=fitted.native, onnx=fitted.onnx, threads=spec.training.threads)
    test = fitted.matrix[split.test]
    difference = check_parity(model, test)
    scores = model.predict(test)
    tested = examples.filter(pa.array(split.test))
    judged = find_task(spec).judge(tested, scores)
    entities = number_entities(tested[spec.entity.keys[0]].to_pylist())
    metrics = {**judged.evaluation.numbers(), "onnx_difference": difference}
    dtypes = tuple((name, str(examples.schema.field(name).type)) for name in names)
    plots = draw_plots(judged.figures, feature_importance(fitted.booster))
    card = write_model_card(spec, manifest, split, judged)
    signature = artifacts.Signature(manifest.feature_service, manifest.entity_keys, dtypes, spec.task)
    texts = {
        artifacts.SIGNATURE: signature.to_json(),
        artifacts.REFERENCE_PROFILE: profile_to_json(_profile(names, test, scores, entities)),
        artifacts.METRICS: artifacts.to_json(metrics),
        artifacts.MODEL_CARD: card,
        artifacts.MANIFEST: manifest.to_json(),
        artifacts.SPEC: spec_text(spec),
        artifacts.MLMODEL: mlmodel_text(signature),
    }
    files = {
        artifacts.NATIVE_MODEL: fitted.native,
        artifacts.ONNX_MODEL: fitted.onnx,
        **{name: text.encode() for name, text in texts.items()},
        **{f"plots/{name}": png for name, png in plots.items()},
    }
    return TrainedVersion(artifacts.with_checksums(files), judged.evaluation, metrics, test)


def _profile(
    names: tuple[str, ...], test: NDArray[np.float32], scores: NDArray[np.float32], entities: NDArray[np.int64]
) -> ReferenceProfile:
    # The latest rows, with scores that nothing was fitted to: what monitoring compares the nights with.
    columns = {name: test[:, index] for index, name in enumerate(names)}
    return build_reference_profile({**columns, SCORE: scores.astype(np.float32)}, clusters=entities)
