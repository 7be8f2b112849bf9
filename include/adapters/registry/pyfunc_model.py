"""A version as MLflow's own clients load it: `mlflow.pyfunc.load_model`, `spark_udf`, `mlflow models serve`.

What belongs here: what MLflow calls, by the name that a version's ``MLmodel`` has. What does not: how a batch or the
service loads a version, which hold its files against the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from include.adapters.registry.model_files import differing
from include.errors import MlopsError, UsageError
from include.question.matrix import feature_matrix
from include.scoring.model import ScoringModel
from include.training.artifacts import CHECKSUMS, NATIVE_MODEL, SIGNATURE, Signature, checksums


class PyfuncModel:
    """A version that scores frames by the names of their columns.

    Parameters
    ----------
    model : ScoringModel
        Its native engine is used.
    """

    def __init__(self, model: ScoringModel) -> None:
        self._model = model

    def predict(
        self, frame: pd.DataFrame | Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> NDArray[np.float32]:
        """Return each row's score.

        Parameters
        ----------
        frame : pandas.DataFrame or mapping of str to sequence
            The model's features, numeric or boolean, each once, in any order. What is null is missing.
        params : mapping, optional
            MLflow hands it over; a model has none.

        Returns
        -------
        ndarray of shape (n_rows,), float32
            Of a classifier the probability of the positive class, of a ranking a margin.

        Raises
        ------
        UsageError
            If a column is missing, too many, twice or not numeric, a value is infinite, or there are parameters.
        """
        if params:
            raise UsageError(f"a model has no parameters, and these were given: {', '.join(sorted(params))}")
        names = self._model.feature_names
        columns = _columns(frame, names)
        return self._model.predict(feature_matrix(pa.table(columns), names))


def _load_pyfunc(path: str) -> PyfuncModel:
    """Load a version from the folder of its files, as `mlflow.pyfunc` has it done.

    Raises
    ------
    MlopsError
        If a file is not what the version's own checksums say.
    """
    folder = Path(path)
    files = {name: (folder / name).read_bytes() for name in (SIGNATURE, NATIVE_MODEL)}
    listed = json.loads((folder / CHECKSUMS).read_bytes())
    if wrong := differing(checksums(files), {name: listed.get(name) for name in files}):
        raise MlopsError(f"{folder}: {', '.join(wrong)} is not what {CHECKSUMS} says; mlops registry verify says more")
    signature = Signature.from_json(files[SIGNATURE].decode())
    return PyfuncModel(ScoringModel(signature.feature_names, native=files[NATIVE_MODEL], onnx=b""))


def _columns(frame: pd.DataFrame | Mapping[str, Any], names: tuple[str, ...]) -> dict[str, pa.Array]:
    if not isinstance(frame, pd.DataFrame | Mapping):
        raise UsageError(
            f"columns of a {type(frame).__name__} have no names; give a DataFrame with these, in any order: "
            f"{', '.join(names)}"
        )
    _check_names([str(name) for name in frame], names)
    return {name: _column(name, frame[name]) for name in names}


def _check_names(found: list[str], names: tuple[str, ...]) -> None:
    wrong = {
        "missing": [name for name in names if name not in found],
        "not the model's": sorted({*found} - {*names}),
        "there more than once": [name for name, times in Counter(found).items() if times > 1],
    }
    if any(wrong.values()):
        told = "; ".join(f"{what}: {', '.join(these)}" for what, these in wrong.items() if these)
        raise UsageError(
            f"the columns are not the model's ({told}); it reads these, by their names and in any order: "
            f"{', '.join(names)}. On Spark give them as one struct: udf(struct(…))"
        )


def _column(name: str, values: Any) -> pa.Array:
    try:
        column = pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError) as err:
        raise UsageError(f"feature {name} can't be read as numbers: {str(err).splitlines()[0]}") from err
    # Nothing but nulls, as of one row that lacks the feature, is of no type.
    return column.cast(pa.float64()) if pa.types.is_null(column.type) else column
