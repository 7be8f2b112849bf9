"""A booster's trees as oneDAL computes them: the same scores in about half of the time, where it is installed.

What belongs here: the conversion, which is made in memory at a load. What does not: whether a version is scored by it
(``engine_choice``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xgboost

Scoring: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def is_installed() -> bool:
    """Say whether oneDAL is there, without loading it."""
    return find_spec("daal4py") is not None


def to_onedal(booster: xgboost.Booster) -> Scoring:
    """Return what scores a matrix, one row at least, by oneDAL; several threads may call it at once.

    Raises
    ------
    Exception
        Of whatever kind, if oneDAL has no such trees: categorical splits, or trees that are dropped.
    """
    import daal4py

    # Whoever scores has threads of its own, one for each slice.
    daal4py.daalinit(1)
    converted = booster.copy()
    is_ranking = objective_of(booster).startswith("rank:")
    if is_ranking:
        # As for ONNX: it knows no ranking, whose margin is what a regression of the same trees predicts.
        converted.set_param({"objective": "reg:squarederror"})
    model = daal4py.mb.convert_model(converted)

    def score(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = model.predict(matrix) if is_ranking else model.predict_proba(matrix)[:, 1]
        return np.asarray(scores, dtype=np.float32).reshape(-1)

    return score


def objective_of(booster: xgboost.Booster) -> str:
    """Return what a booster was fitted for, in XGBoost's words."""
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])
