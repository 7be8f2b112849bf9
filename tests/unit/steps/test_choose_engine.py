"""What is measured of a version's engines is what its nights read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from include.adapters.registry.model_files import unpack
from include.scoring.onedal_trees import is_installed
from include.steps import choose_engine
from include.steps.choose_engine import with_engine
from include.training.artifacts import checksums
from include.training.version import train_version
from tests.real_data import require
from tests.unit.training.examples_builder import NAMES, make_examples, make_manifest, make_spec

ROWS = np.random.default_rng(5).normal(size=(50, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def files():
    if not is_installed():
        require("oneDAL is not installed (uv sync --group onedal)")
    spec, examples = make_spec(), make_examples()
    return train_version(spec, make_manifest(spec, examples), examples).files


@pytest.mark.parametrize(("onedal", "engine"), [(1.0, "onedal"), (1.9, "native")])
def test_a_version_keeps_its_trees_as_onedal_has_them_where_it_is_chosen(files, monkeypatch, onedal, engine):
    seconds = {"native": 2.0, "onnx": 4.0, "onedal": onedal}
    monkeypatch.setattr(choose_engine, "_seconds", lambda model, rows, name: seconds[name])
    kept = with_engine(files, ROWS)
    assert json.loads(kept["engines.json"])["engine"] == engine
    assert ("model.onedal" in kept) == (engine == "onedal")
    assert json.loads(kept["checksums.json"]) == checksums(kept)
    assert unpack(kept).engine == engine


def test_nights_are_scored_by_the_bytes_that_were_measured(files, monkeypatch):
    measured = []
    monkeypatch.setattr(choose_engine, "_seconds", lambda model, rows, name: measured.append((name, model)) or 1.0)
    with_engine(files, ROWS)
    (model,) = {model for name, model in measured if name == "onedal"}
    assert model._onedal == unpack(files).model.onedal_trees.to_bytes()
