"""A set's id changes with everything that its model depends on, and with nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from include.errors import MlopsError
from include.training.artifacts import metrics_from_json
from include.training.manifest import TrainingSetManifest, set_id, spec_sha256
from tests.unit.training.examples_builder import PROVENANCE, make_examples, make_manifest, make_spec

BASE = {"as_of": "2024-01-31", "rows_sha256": "aa", "spec_hash": "bb", "feature_names": ("x", "y")}


@pytest.mark.parametrize(
    "change",
    [
        {"as_of": "2024-02-01"},
        {"rows_sha256": "ab"},
        {"spec_hash": "bc"},
        {"feature_names": ("y", "x")},
        {"provenance": replace(PROVENANCE, code_commit="bad")},
        {"provenance": replace(PROVENANCE, lock_sha256="bad")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_id_changes_with(change):
    base = {**BASE, "provenance": PROVENANCE}
    assert set_id(**base) == set_id(**base)
    assert set_id(**{**base, **change}) != set_id(**base)


def test_manifest_survives_json():
    manifest = make_manifest(make_spec(), make_examples())
    assert TrainingSetManifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model_id": "churn"}'])
def test_something_else_is_not_taken_for_a_manifest(text):
    with pytest.raises(MlopsError, match="not a training set's manifest"):
        TrainingSetManifest.from_json(text)


def test_spec_hash_changes_with_one_hyperparameter():
    assert spec_sha256(make_spec()) == spec_sha256(make_spec())
    assert spec_sha256(make_spec()) != spec_sha256(make_spec(seed=99))


def test_a_manifest_whose_rows_are_no_number_is_told_by_field_and_value():
    text = make_manifest(make_spec(), make_examples(entities=5)).to_json()
    broken = re.sub(r'"rows": \d+', '"rows": "many"', text)
    assert broken != text
    for read in (TrainingSetManifest.from_json, TrainingSetManifest.from_incomplete_json):
        with pytest.raises(MlopsError, match="rows='many': Input should be a valid integer"):
            read(broken)


@pytest.mark.parametrize("text", ["", "[]", '"churn"', '{"provenance": "c0ffee"}'])
def test_something_else_is_not_taken_for_a_versions_manifest(text):
    with pytest.raises(MlopsError, match=r"not a version's manifest .*; train the version again"):
        TrainingSetManifest.from_incomplete_json(text)


@pytest.mark.parametrize("text", ["", "[]", '{"auc": "0.9"}', '{"auc": null}'])
def test_something_else_is_not_taken_for_metrics(text):
    with pytest.raises(MlopsError, match=r"not a model's metrics .*; train the version again"):
        metrics_from_json(text)
