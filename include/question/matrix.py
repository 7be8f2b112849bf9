"""The matrix that a model reads.

What belongs here: feature columns to float32, in the model's order. What does not: computing a feature.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.errors import UsageError


def feature_matrix(rows: pa.Table, names: Sequence[str]) -> NDArray[np.float32]:
    """Return feature columns as the matrix that a model reads.

    Parameters
    ----------
    rows : pyarrow.Table
        Holds the columns `names`, numeric or boolean; other columns are left out.
    names : sequence of str
        The model's features, in its order.

    Returns
    -------
    ndarray of shape (n_rows, n_features), float32
        Row-major. Null is NaN: missing is a value to the model. Whole numbers beyond 2**24 are rounded.

    Raises
    ------
    UsageError
        If a column is absent or isn't numeric.

    Examples
    --------
    >>> feature_matrix(pa.table({"b": [1, None], "a": [0.5, 2.0]}), ["a", "b"])
    array([[0.5, 1. ],
           [2. , nan]], dtype=float32)
    """
    absent = [name for name in names if name not in rows.column_names]
    if absent:
        raise UsageError(
            f"the model reads {', '.join(absent)}, which the rows lack (they have {', '.join(rows.column_names)}); "
            "build the features with the feature service that the model was trained on"
        )
    matrix = np.empty((rows.num_rows, len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        dtype = rows.schema.field(name).type
        if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype)):
            raise UsageError(f"feature {name} is {dtype}; a model reads numbers only, encode it in the feature group")
        matrix[:, index] = rows[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return matrix
