"""Fit the model: XGBoost, bit for bit the same each time.

What belongs here: parameters and the fit. What does not: which rows it is fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xgboost
from numpy.typing import NDArray

from include.errors import RefusedError, UsageError
from include.specs.model_sections import TrainingSpec


def fit_classifier(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    *,
    feature_names: Sequence[str],
    training: TrainingSpec,
) -> xgboost.Booster:
    """Fit a binary classifier.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, n_features), float32
        NaN is missing and stays so; infinite values aren't allowed.
    labels : ndarray of shape (n_rows,), int8
        0 or 1, both present.
    feature_names : sequence of str
        What the columns are, in order.
    training : TrainingSpec
        Hyper-parameters, seed and threads.

    Raises
    ------
    UsageError
        If the labels hold one class only (also: no rows), or a value is infinite.
    RefusedError
        If nothing was learned: no tree splits, every row would have one score.

    Notes
    -----
    Equal input gives equal bytes: histograms with a fixed seed and a fixed number of threads, on one
    version of XGBoost.
    """
    _check(matrix, labels, feature_names)
    rows = xgboost.DMatrix(matrix, labels, feature_names=list(feature_names), nthread=training.threads)
    return _fit({"objective": "binary:logistic", "eval_metric": "logloss"}, rows, training, _told(labels))


def fit_ranker(
    matrix: NDArray[np.float32],
    labels: NDArray[np.int8],
    lists: NDArray[np.int64],
    *,
    feature_names: Sequence[str],
    training: TrainingSpec,
) -> xgboost.Booster:
    """Fit a ranking: pairs of items of one list, weighted by what their exchange would do to its NDCG.

    Parameters
    ----------
    matrix, labels, feature_names, training
        As `fit_classifier` takes them.
    lists : ndarray of shape (n_rows,), int64
        The number of each row's list; rows in any order.

    Raises
    ------
    UsageError, RefusedError
        As `fit_classifier` does; nothing is learned of lists whose items all have one label.

    Notes
    -----
    As equal as `fit_classifier`: rows of one list are taken in the order in which they are given.

    References
    ----------
    C. J. C. Burges, From RankNet to LambdaRank to LambdaMART: An overview, MSR-TR-2010-82.
    """
    _check(matrix, labels, feature_names)
    order = np.argsort(lists, kind="stable")
    rows = xgboost.DMatrix(
        matrix[order], labels[order], qid=lists[order], feature_names=list(feature_names), nthread=training.threads
    )
    told = f"{_told(labels)}, in {len(np.unique(lists))} lists"
    return _fit({"objective": "rank:ndcg", "eval_metric": "ndcg"}, rows, training, told)


def _told(labels: NDArray[np.int8]) -> str:
    return f"{len(labels)} rows, {int(np.count_nonzero(labels))} of them positive"


def _check(matrix: NDArray[np.float32], labels: NDArray[np.int8], feature_names: Sequence[str]) -> None:
    if len(np.unique(labels)) != 2:
        raise UsageError(
            f"{len(labels)} rows to fit on hold the labels {np.unique(labels).tolist()}; both 0 and 1 must be there"
        )
    names = [name for name, column in zip(feature_names, matrix.T, strict=True) if np.isinf(column).any()]
    if names:
        raise UsageError(f"features with infinite values: {', '.join(names)}; correct the feature group")


def _fit(objective: dict[str, str], rows: xgboost.DMatrix, training: TrainingSpec, told: str) -> xgboost.Booster:
    values = training.hyperparameters
    parameters = {
        **objective,
        "tree_method": "hist",
        "seed": training.seed,
        "nthread": training.threads,
        "verbosity": 1,
        "learning_rate": values.learning_rate,
        "max_depth": values.max_depth,
        "min_child_weight": values.min_child_weight,
        "subsample": values.subsample,
        "colsample_bytree": values.colsample_bytree,
        "reg_lambda": values.reg_lambda,
    }
    booster = xgboost.train(parameters, rows, num_boost_round=values.n_estimators)
    if not booster.get_score():
        raise RefusedError(
            f"nothing was learned from {told}: no tree splits, so every row would have one score; lower "
            f"hyperparameters.min_child_weight ({values.min_child_weight:g}), train on more rows, or give the model "
            "features that vary"
        )
    return booster


def to_bytes(booster: xgboost.Booster) -> bytes:
    """Return the booster as UBJSON."""
    return bytes(booster.save_raw("ubj"))
