"""The two formats give the same scores, and a difference is found."""

from __future__ import annotations

import numpy as np
import pytest

from include.errors import MlopsError, UsageError
from include.scoring.model import ScoringModel
from include.scoring.onedal_trees import is_installed
from include.training.conversion import PARITY_MAX, check_parity, to_onnx
from include.training.fitting import fit_classifier, fit_ranker, to_bytes
from tests.real_data import require
from tests.unit.training.examples_builder import make_spec

NAMES = ("spend", "orders", "gap")


def make_rows(n: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.lognormal(2, 2, size=(n, 3)).astype(np.float32)
    matrix[rng.random((n, 3)) < 0.15] = np.nan
    return matrix, (rng.random(n) < np.where(np.nan_to_num(matrix[:, 0]) > 8, 0.8, 0.2)).astype(np.int8)


def fit(seed: int = 0):
    return fit_classifier(*make_rows(seed=seed), feature_names=NAMES, training=make_spec().training)


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


def fit_lists(seed: int = 0, **training):
    matrix, labels = make_rows(seed=seed)
    lists = np.arange(len(labels)) // 8
    return fit_ranker(matrix, labels, lists, feature_names=NAMES, training=make_spec(**training).training)


@pytest.mark.parametrize("hyperparameters", [{}, {"n_estimators": 300, "max_depth": 6, "learning_rate": 0.3}])
def test_formats_of_a_ranking_agree_on_ten_thousand_rows_with_missing_values(hyperparameters):
    values = make_spec().training.hyperparameters.model_copy(update=hyperparameters)
    booster = fit_lists(hyperparameters=values)
    model, rows = ScoringModel(NAMES, native=to_bytes(booster), onnx=to_onnx(booster)), make_rows(10_000, seed=9)[0]
    assert np.isnan(rows).any()
    native, onnx = model.predict(rows), model.predict(rows, engine="onnx")
    assert native.dtype == onnx.dtype == np.float32
    assert native.std() > 0
    # float32 adds the leaves in another order: the error grows with the margin, beyond 1 as it does.
    assert np.abs(native - onnx).max() <= 1e-6 * max(1, np.abs(native).max())
    assert check_parity(model, rows) == np.abs(native - onnx).max()


@pytest.mark.parametrize("engine", ["native", "onnx"])
def test_a_ranking_refuses_columns_in_another_order(engine):
    booster = fit_lists()
    model = ScoringModel(NAMES, native=to_bytes(booster), onnx=to_onnx(booster))
    with pytest.raises(UsageError, match="in another order"):
        model.predict(make_rows()[0], engine=engine, feature_names=NAMES[::-1])


def test_onedal_adds_the_trees_of_a_ranking_as_xgboost_does():
    if not is_installed():
        require("oneDAL is not installed (uv sync --group onedal)")
    booster = fit_lists()
    model, rows = ScoringModel(NAMES, native=to_bytes(booster), onnx=b""), make_rows(10_000, seed=9)[0]
    native = model.predict(rows)
    onedal = model.predict(rows, engine="onedal")
    assert np.abs(native - onedal).max() <= 1e-6 * max(1, np.abs(native).max())
    read = ScoringModel(NAMES, native=b"", onnx=b"", onedal=model.onedal_trees.to_bytes())
    np.testing.assert_array_equal(read.predict(rows, engine="onedal"), onedal)


def test_a_ranking_converted_twice_gives_identical_bytes_and_stays_one():
    booster = fit_lists()
    before = to_bytes(booster)
    assert to_onnx(booster) == to_onnx(fit_lists())
    assert to_bytes(booster) == before


def test_the_onnx_of_another_ranking_is_found_out():
    model = ScoringModel(NAMES, native=to_bytes(fit_lists()), onnx=to_onnx(fit_lists(seed=1)))
    with pytest.raises(MlopsError, match="differs from the native one"):
        check_parity(model, make_rows()[0])
