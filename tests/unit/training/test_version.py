"""What a version consists of, twice the same."""

from __future__ import annotations

import hashlib
import json
import pickletools
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from include.errors import MlopsError, RefusedError
from include.monitoring.profile_json import profile_from_json
from include.specs.groups import EntitySpec
from include.training.artifacts import Signature
from include.training.manifest import TrainingSetManifest
from include.training.version import train_version
from tests.unit.training.examples_builder import NAMES, make_examples, make_manifest, make_spec


@pytest.fixture(scope="module")
def spec():
    return make_spec()


@pytest.fixture(scope="module")
def trained(spec):
    examples = make_examples()
    return train_version(spec, make_manifest(spec, examples), examples)


def test_trained_twice_gives_identical_files(spec, trained):
    examples = make_examples()
    again = train_version(spec, make_manifest(spec, examples), examples)
    assert {name for name, content in again.files.items() if content != trained.files[name]} == set()
    assert set(again.files) == set(trained.files)


def test_checksums_cover_every_other_file(trained):
    sums = json.loads(trained.files["checksums.json"])
    assert sums == {n: hashlib.sha256(c).hexdigest() for n, c in trained.files.items() if n != "checksums.json"}


def test_files_are_those_that_a_version_has(trained):
    plots = {f"plots/{name}.png" for name in ("roc", "precision_recall", "calibration", "confusion", "importance")}
    assert set(trained.files) == plots | {
        "model.ubj", "model.onnx", "signature.json", "reference_profile.json", "metrics.json", "model_card.md",
        "manifest.json", "spec.json", "MLmodel", "checksums.json",
    }  # fmt: skip
    assert all(trained.files[name].startswith(b"\x89PNG") for name in plots)


def test_no_file_is_a_pickle(trained):
    for content in trained.files.values():
        with pytest.raises(Exception):  # noqa: B017
            pickletools.dis(content, out=None)


def test_profile_holds_the_test_rows_and_their_scores(trained):
    profile = profile_from_json(trained.files["reference_profile.json"].decode())
    assert [feature.name for feature in profile.features] == [*NAMES, "score"]
    assert {feature.rows for feature in profile.features} == {trained.evaluation.rows} == {240}
    score = profile.features[-1]
    assert 0 <= score.minimum < score.maximum <= 1


def test_signature_has_the_names_in_order_and_the_services_dtypes(trained):
    signature = Signature.from_json(trained.files["signature.json"].decode())
    assert signature.features == ((NAMES[0], "int64"), (NAMES[1], "float"), (NAMES[2], "float"))


def test_of_two_keys_both_are_in_the_metadata_and_the_interval_resamples_the_first(spec):
    examples = make_examples()
    numbers = np.arange(examples.num_rows) % 120
    customers = pa.array([f"c{n // 2}" for n in numbers])
    examples = examples.set_column(0, "customer_id", customers)
    manifest = replace(make_manifest(spec, examples), entity_keys=("customer_id", "category"))
    pairs = examples.add_column(1, "category", pa.array([f"k{n % 2}" for n in numbers]))
    of_pairs = spec.model_copy(update={"entity": EntitySpec(name="customer_category", keys=manifest.entity_keys)})

    trained = train_version(of_pairs, manifest, pairs)

    assert trained.evaluation.entities == 60
    assert trained.evaluation == train_version(spec, manifest, examples).evaluation
    assert Signature.from_json(trained.files["signature.json"].decode()).entity_keys == manifest.entity_keys
    assert TrainingSetManifest.from_json(trained.files["manifest.json"].decode()) == manifest


def test_card_tells_auc_interval_owner_and_windows(spec, trained):
    card = trained.files["model_card.md"].decode()
    evaluation = trained.evaluation
    told = f"{evaluation.auc:.4f}, 95 % interval [{evaluation.auc_low:.4f}, {evaluation.auc_high:.4f}]"
    assert told in card
    assert spec.owner in card
    assert "snapshots 2024-06-10 to 2024-06-17" in card
    assert "snapshots 2024-04-15 to 2024-05-27" in card


def test_models_of_random_labels_are_not_said_to_be_good(spec):
    aucs = []
    for seed in range(5):
        examples = make_examples(entities=300, seed=seed)
        shuffled = np.random.default_rng(seed + 1000).permutation(examples["label"].to_numpy())
        examples = examples.set_column(examples.column_names.index("label"), "label", [shuffled])
        aucs.append(train_version(spec, make_manifest(spec, examples), examples).evaluation.auc)
    # One such AUC has a standard deviation of 0.027 (60 seeds), the mean of five one of 0.012.
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.04)


def test_too_short_a_history_is_refused(spec):
    examples = make_examples(snapshots=3)
    with pytest.raises(RefusedError, match="no snapshot is left to fit on"):
        train_version(spec, make_manifest(spec, examples), examples)


def test_a_signature_says_the_task_and_one_that_does_not_is_a_classifiers(trained):
    text = trained.files["signature.json"].decode()
    assert Signature.from_json(text).task == "binary"
    of_the_first = {name: value for name, value in json.loads(text).items() if name != "task"}
    assert Signature.from_json(json.dumps(of_the_first)) == Signature.from_json(text)
    assert Signature.from_json(json.dumps({**of_the_first, "task": "ranking"})).task == "ranking"


@pytest.mark.parametrize("text", ["", "{}", '{"feature_service": "x", "entity_keys": ["k"], "features": [1]}'])
def test_something_else_is_not_taken_for_a_signature(text):
    with pytest.raises(MlopsError, match="not a model's signature"):
        Signature.from_json(text)
