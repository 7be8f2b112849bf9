"""A booster's trees as oneDAL computes them: the same scores in about half of the time, where it is installed.

What belongs here: the conversion, which is made in memory at a load. What does not: whether a version is scored by it
(``engine_choice``).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from include.scoring.convertible import convertible

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
    converted, is_ranking = convertible(booster)
    model = daal4py.mb.convert_model(converted)

    def score(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = model.predict(matrix) if is_ranking else model.predict_proba(matrix)[:, 1]
        return np.asarray(scores, dtype=np.float32).reshape(-1)

    return score
