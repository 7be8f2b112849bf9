"""Convert a booster to ONNX, and prove that both give the same scores.

What belongs here: the conversion and its proof. What does not: scoring in production.
"""

from __future__ import annotations

import numpy as np
import xgboost
from numpy.typing import NDArray
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from include.errors import MlopsError
from include.scoring.convertible import convertible
from include.scoring.model import ONNX_INPUT, ScoringModel

# Both add float32 leaves, in another order: 5e-7 is usual, 1e-5 is no rounding any more.
PARITY_MAX = 1e-5


def to_onnx(booster: xgboost.Booster) -> bytes:
    """Return the booster as ONNX: input ``features`` float32 [n, f]; the last output's last column is the score.

    Of a classifier that is ``probabilities`` float32 [n, 2], of a ranking ``variable`` float32 [n, 1]. Equal boosters
    give equal bytes.
    """
    # The converter reads only the names f0…fN, and the caller's booster keeps its own.
    renamed, _ = convertible(booster)
    renamed.feature_names = [f"f{index}" for index in range(booster.num_features())]
    # Without a name the converter draws a random one.
    graph = convert_xgboost(
        renamed, name="booster", initial_types=[(ONNX_INPUT, FloatTensorType([None, booster.num_features()]))]
    )
    return bytes(graph.SerializeToString(deterministic=True))


def with_missing(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows, copies of the first with every feature missing in turn, and one without any."""
    missing = np.repeat(matrix[:1], matrix.shape[1] + 1, axis=0)
    np.fill_diagonal(missing, np.nan)
    missing[-1] = np.nan
    return np.concatenate([matrix, missing])


def check_parity(model: ScoringModel, matrix: NDArray[np.float32]) -> float:
    """Return the largest difference between the engines' scores.

    Parameters
    ----------
    model : ScoringModel
    matrix : ndarray of shape (n_rows, n_features), float32
        Real rows, asked `with_missing`.

    Raises
    ------
    MlopsError
        If a score differs by more than `PARITY_MAX`, of margins beyond 1 by more than that share of the largest.
    """
    rows = with_missing(matrix)
    native = model.predict(rows, engine="native")
    difference = float(np.abs(native - model.predict(rows, engine="onnx")).max(initial=0))
    allowed = PARITY_MAX * float(np.abs(native).max(initial=1))
    if not difference <= allowed:
        raise MlopsError(
            f"the ONNX model differs from the native one by up to {difference:.2e} on {len(rows)} rows; at most "
            f"{allowed:.0e} is allowed: it is not registered; check the versions of onnxmltools and xgboost"
        )
    return difference
