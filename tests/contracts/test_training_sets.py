"""Training sets on each of the lake's file systems: one suite; a new one joins by its entry in ``conftest.LAKES``."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.training_sets import read_manifest, read_training_set, write_training_set
from include.errors import MlopsError
from include.settings import Settings
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


@pytest.fixture(scope="module")
def examples() -> pa.Table:
    return make_examples(entities=20)


def test_a_set_comes_back_as_it_was_written(lake, examples):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, manifest, examples)
    found, rows = read_training_set(lake, "churn", manifest.set_id)
    assert found == manifest
    assert rows.equals(examples)


def test_a_set_that_is_not_there_is_none_and_reading_it_names_the_next_move(lake):
    assert read_manifest(lake, "churn", "2024-06-30-abc") is None
    with pytest.raises(MlopsError, match=r"mlops training-set build --model churn --as-of 2024-06-30"):
        read_training_set(lake, "churn", "2024-06-30-abc")


def test_rows_that_are_not_the_manifests_are_found(lake, examples):
    manifest = make_manifest(make_spec(), examples)
    write_training_set(lake, replace(manifest, set_id="2024-06-30-changed"), examples.slice(1))
    with pytest.raises(MlopsError, match="somebody changed it"):
        read_training_set(lake, "churn", "2024-06-30-changed")
