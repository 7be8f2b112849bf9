"""One interface, three engines, and what neither of them takes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import xgboost

from include.errors import MlopsError, UsageError
from include.scoring import onedal_trees
from include.scoring.model import ScoringModel
from include.scoring.onedal_trees import OnedalTrees, is_installed
from include.training.conversion import to_onnx
from include.training.fitting import to_bytes
from tests.real_data import require

NAMES = ("a", "b")


@pytest.fixture(params=["native", "onnx", "onedal"])
def engine(request) -> str:
    if request.param == "onedal" and not is_installed():
        require("oneDAL is not installed (uv sync --group onedal)")
    return request.param


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 2)).astype(np.float32)
    labels = (matrix.sum(axis=1) > 0).astype(int)
    rows = xgboost.DMatrix(matrix, labels, feature_names=list(NAMES))
    return xgboost.train({"objective": "binary:logistic", "max_depth": 2, "seed": 0}, rows, 5)


@pytest.fixture(scope="module")
def model(booster) -> ScoringModel:
    return ScoringModel(NAMES, native=to_bytes(booster), onnx=to_onnx(booster))


def test_scores_are_xgboosts_own(model, booster, engine):
    matrix = np.array([[1, 2], [-1, np.nan], [0, 0]], dtype=np.float32)
    expected = booster.predict(xgboost.DMatrix(matrix, feature_names=list(NAMES)))
    scores = model.predict(matrix, engine=engine)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_a_model_that_has_scored_can_be_sent_to_another_process(model, engine):
    matrix = np.array([[1, 2], [-1, np.nan]], dtype=np.float32)
    scores = model.predict(matrix, engine=engine)
    sent = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(sent.predict(matrix, engine=engine), scores)


@pytest.fixture
def trees(booster) -> OnedalTrees:
    """The model as oneDAL has it."""
    if not is_installed():
        require("oneDAL is not installed (uv sync --group onedal)")
    return OnedalTrees.of(booster)


def test_onedals_own_bytes_give_the_scores_of_the_trees_that_they_were_made_of_and_need_no_booster(trees, model):
    matrix = np.array([[1, 2], [-1, np.nan], [0, 0]], dtype=np.float32)
    read = ScoringModel(NAMES, native=b"", onnx=b"", onedal=trees.to_bytes())
    np.testing.assert_array_equal(read.predict(matrix, engine="onedal"), model.predict(matrix, engine="onedal"))
    sent = pickle.loads(pickle.dumps(read))
    np.testing.assert_array_equal(sent.predict(matrix, engine="onedal"), trees.score(matrix))


def test_bytes_of_another_onedal_are_not_read_and_the_booster_is_converted(trees, model, monkeypatch):
    matrix = np.array([[1, 2], [-1, np.nan]], dtype=np.float32)
    monkeypatch.setattr(onedal_trees, "version", lambda name: "2020.1")
    of_another = trees.to_bytes()
    monkeypatch.undo()
    assert OnedalTrees.from_bytes(of_another) is None
    read = ScoringModel(NAMES, native=model._native, onnx=b"", onedal=of_another)
    np.testing.assert_array_equal(read.predict(matrix, engine="onedal"), trees.score(matrix))


def test_an_onedal_that_does_not_say_which_it_is_reads_no_bytes(trees, monkeypatch):
    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(onedal_trees, "version", unknown)
    assert OnedalTrees.from_bytes(trees.to_bytes()) is None


def test_no_rows_give_no_scores(model, engine):
    assert model.predict(np.empty((0, 2), np.float32), engine=engine).shape == (0,)


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (np.zeros((1, 3), np.float32), "the model reads 2 columns"),
        (np.zeros(2, np.float32), "the model reads 2 columns"),
        (np.zeros((1, 2), np.float64), "cast it to float32"),
        (np.array([[0, 0], [0, np.inf]], np.float32), "feature b is infinite in 1 rows"),
    ],
    ids=["too wide", "one dimension", "float64", "infinite"],
)
def test_what_is_not_the_models_is_refused(model, engine, matrix, told):
    with pytest.raises(UsageError, match=told):
        model.predict(matrix, engine=engine)


@pytest.mark.parametrize(
    ("names", "told"), [(("b", "a"), "in another order"), (("a", "c"), "differ in b, c")], ids=["swapped", "other"]
)
def test_names_that_are_not_the_models_are_refused(model, names, told):
    with pytest.raises(UsageError, match=told):
        model.predict(np.zeros((1, 2), np.float32), feature_names=names)


def test_an_unknown_engine_is_refused(model):
    with pytest.raises(UsageError, match="native, onedal, onnx"):
        model.predict(np.zeros((1, 2), np.float32), engine="gpu")


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(MlopsError, match="can't be read by XGBoost"):
        ScoringModel(NAMES, native=b"no model", onnx=b"").predict(np.zeros((1, 2), np.float32))
    with pytest.raises(MlopsError, match="can't be read by ONNX Runtime"):
        ScoringModel(NAMES, native=b"", onnx=b"no model").predict(np.zeros((1, 2), np.float32), engine="onnx")


def test_onnx_scores_without_xgboost_being_loaded(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model._onnx)
    code = (
        "import sys, numpy as np, pathlib; from include.scoring.model import ScoringModel\n"
        f"m = ScoringModel(('a', 'b'), native=b'', onnx=pathlib.Path({str(path)!r}).read_bytes())\n"
        "m.predict(np.zeros((1, 2), np.float32), engine='onnx')\n"
        "assert 'xgboost' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
