"""The two formats give the same scores, and a difference is found."""

from __future__ import annotations

import numpy as np
import pytest

from include.errors import MlopsError
from include.scoring.model import ScoringModel
from include.training.conversion import PARITY_MAX, check_parity, to_onnx
from include.training.fitting import fit_booster, to_bytes
from tests.unit.training.examples_builder import make_spec

NAMES = ("spend", "orders", "gap")


def make_rows(n: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(2, 2, size=(n, 3)).astype(np.float32)
    matrix[rng.random((n, 3)) < 0.15] = np.nan
    return matrix, (rng.random(n) < np.where(np.nan_to_num(matrix[:, 0]) > 8, 0.8, 0.2)).astype(np.int8)


def fit(seed: int = 0):
    return fit_booster(*make_rows(seed=seed), feature_names=NAMES, training=make_spec().training)


def test_formats_agree_on_rows_with_missing_values():
    booster = fit()
    model = ScoringModel(NAMES, native=to_bytes(booster), onnx=to_onnx(booster))
    assert check_parity(model, make_rows(seed=9)[0]) <= PARITY_MAX


def test_converted_twice_gives_identical_bytes():
    assert to_onnx(fit()) == to_onnx(fit())


def test_conversion_leaves_the_booster_its_names():
    booster = fit()
    to_onnx(booster)
    assert tuple(booster.feature_names) == NAMES


def test_the_onnx_of_another_model_is_found_out():
    model = ScoringModel(NAMES, native=to_bytes(fit()), onnx=to_onnx(fit(seed=1)))
    with pytest.raises(MlopsError, match="differs from the native one"):
        check_parity(model, make_rows()[0])
