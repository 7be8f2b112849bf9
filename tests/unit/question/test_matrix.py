"""Feature columns become the matrix of the model's order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.errors import UsageError
from include.question.matrix import feature_matrix


def test_columns_are_in_the_models_order_whatever_the_tables():
    rows = pa.table({"b": pa.array([1, 2], pa.int64()), "x": ["t", "u"], "a": pa.array([0.5, None], pa.float32())})
    np.testing.assert_array_equal(feature_matrix(rows, ["a", "b"]), np.array([[0.5, 1], [np.nan, 2]], np.float32))


def test_a_null_integer_is_missing_and_zero_is_not():
    matrix = feature_matrix(pa.table({"a": pa.array([None, 0], pa.int64())}), ["a"])
    assert np.isnan(matrix[0, 0])
    assert matrix[1, 0] == 0


def test_chunks_are_one_column():
    rows = pa.concat_tables([pa.table({"a": [1]}), pa.table({"a": [2]})])
    assert feature_matrix(rows, ["a"]).ravel().tolist() == [1, 2]


def test_an_absent_feature_is_named():
    with pytest.raises(UsageError, match="the model reads c, which the rows lack"):
        feature_matrix(pa.table({"a": [1]}), ["a", "c"])


def test_text_is_refused():
    with pytest.raises(UsageError, match="feature a is string"):
        feature_matrix(pa.table({"a": ["x"]}), ["a"])
