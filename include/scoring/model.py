"""One way to call a trained model, whichever engine computes the score.

What belongs here: scoring a matrix with the native booster, by oneDAL or with ONNX Runtime. What does not: where the
bytes come from, which engine is the right one (``engine_choice``), and what a score leads to.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from include.errors import MlopsError, UsageError
from include.scoring.importance import feature_importance
from include.scoring.onedal_trees import OnedalTrees

if TYPE_CHECKING:
    import onnxruntime
    import xgboost

Engine: TypeAlias = Literal["native", "onedal", "onnx"]

ONNX_INPUT = "features"


class ScoringModel:
    """A trained model in two formats that were proved equal when it was trained.

    A classifier's score is the probability of the positive class, in [0, 1]. A ranking's is a margin without bounds or
    unit: it orders the items of one list, and says nothing across lists.

    Each format is loaded at its first use: serving never loads XGBoost, batch never ONNX Runtime. oneDAL has its own,
    or converts the native one.

    Parameters
    ----------
    feature_names : sequence of str
        What the columns of a matrix are, in order.
    native : bytes
        An XGBoost booster (UBJSON).
    onnx : bytes
        The same model as ONNX.
    onedal : bytes, optional
        The same model as `include.scoring.onedal_trees.OnedalTrees.to_bytes` wrote it.
    threads : int
        Threads of the native engine. ONNX Runtime gets one: it is for single rows.
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        *,
        native: bytes,
        onnx: bytes,
        onedal: bytes | None = None,
        threads: int = 1,
    ) -> None:
        self.feature_names = tuple(feature_names)
        self._native = native
        self._onnx = onnx
        self._onedal = onedal
        self._threads = threads

    def __getstate__(self) -> dict[str, object]:
        # What the bytes are loaded into is loaded anew in another process: not all of it can be sent there.
        return {name: vars(self)[name] for name in ("feature_names", "_native", "_onnx", "_onedal", "_threads")}

    def predict(
        self,
        matrix: NDArray[np.float32],
        *,
        engine: Engine = "native",
        feature_names: Sequence[str] | None = None,
    ) -> NDArray[np.float32]:
        """Return each row's score.

        Parameters
        ----------
        matrix : ndarray of shape (n_rows, n_features), float32
            NaN is missing. No rows give no scores.
        engine : {"native", "onedal", "onnx"}
            Native is about twice as fast as ONNX for many rows, oneDAL twice as fast as native; ONNX is about forty
            times as fast as native for one.
        feature_names : sequence of str, optional
            What the caller's columns are; compared with the model's.

        Returns
        -------
        ndarray of shape (n_rows,), float32
            Of a classifier in [0, 1].

        Raises
        ------
        UsageError
            If names, width or dtype are not the model's, a value is infinite, or there is no such engine.
        """
        if engine not in get_args(Engine):
            raise UsageError(f"engine={engine!r} is not one of: {', '.join(get_args(Engine))}")
        if feature_names is not None:
            self._check_names(tuple(feature_names))
        self._check_matrix(matrix)
        if not len(matrix):
            return np.empty(0, dtype=np.float32)
        match engine:
            case "native":
                return self._predict_native(matrix)
            case "onedal":
                return self.onedal_trees.score(matrix)
            case "onnx":
                return self._predict_onnx(matrix)

    @cached_property
    def importance(self) -> dict[str, float]:
        """Each feature's share of the total gain, in [0, 1]."""
        return feature_importance(self._booster)

    @cached_property
    def onedal_trees(self) -> OnedalTrees:
        """The trees as oneDAL has them, where it is installed.

        Raises
        ------
        Exception
            As `OnedalTrees.of`.
        """
        kept = None if self._onedal is None else OnedalTrees.from_bytes(self._onedal)
        return OnedalTrees.of(self._booster) if kept is None else kept

    def _predict_native(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = self._booster.inplace_predict(matrix, validate_features=False)
        return np.asarray(scores, dtype=np.float32)

    def _predict_onnx(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        # A classifier gives a label and the probabilities of both classes, a ranking its margin alone.
        (scores,) = self._session.run(self._onnx_outputs, {ONNX_INPUT: matrix})
        return np.asarray(scores[:, -1], dtype=np.float32)

    def _check_names(self, names: tuple[str, ...]) -> None:
        if names == self.feature_names:
            return
        differing = sorted(set(names) ^ set(self.feature_names))
        what = f"they differ in {', '.join(differing)}" if differing else "they are in another order"
        raise UsageError(
            f"the columns are not the model's ({what}); it reads, in this order: {', '.join(self.feature_names)}"
        )

    def _check_matrix(self, matrix: NDArray[np.float32]) -> None:
        width = len(self.feature_names)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise UsageError(f"a matrix of shape {matrix.shape} can't be scored; the model reads {width} columns")
        if matrix.dtype != np.float32:
            raise UsageError(f"a matrix of {matrix.dtype} can't be scored; cast it to float32")
        infinite = np.isinf(matrix)
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            raise UsageError(
                f"feature {self.feature_names[column]} is infinite in {int(infinite.any(axis=1).sum())} rows (first: "
                f"row {row}); a model reads finite numbers or NaN for missing, correct the feature"
            )

    @cached_property
    def _booster(self) -> xgboost.Booster:
        import xgboost

        try:
            return xgboost.Booster({"nthread": self._threads}, model_file=bytearray(self._native))
        except xgboost.core.XGBoostError as err:
            raise MlopsError("the native model can't be read by XGBoost; train the version again") from err

    @cached_property
    def _onnx_outputs(self) -> list[str]:
        return [self._session.get_outputs()[-1].name]

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        import onnxruntime

        options: Any = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(self._onnx, options, providers=["CPUExecutionProvider"])
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf as err:
            raise MlopsError("the ONNX model can't be read by ONNX Runtime; train the version again") from err
