"""MLflow on SQLite with a folder, and on PostgreSQL with S3: one suite."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from include.adapters.registry.model_registry import ModelRegistryAdapter, RegisteredVersion
from include.errors import MlopsError
from include.training.artifacts import CHECKSUMS, MLMODEL, checksums, with_checksums
from include.training.manifest import TrainingSetManifest
from include.training.version import train_version
from tests.databases import make_database
from tests.everyday import members
from tests.unit.training.examples_builder import NAMES, make_examples, make_manifest, make_spec

NAME = "churn-predictor"


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    spec, examples = make_spec(), make_examples()
    return dict(train_version(spec, make_manifest(spec, examples), examples).files)


@pytest.fixture(scope="module")
def s3_root() -> Iterator[str]:
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="mlflow")
        yield "s3://mlflow/root"
    server.stop()


BACKENDS = ("sqlite-file", "postgres-s3")


@pytest.fixture(scope="module", params=members(BACKENDS, daily=["postgres-s3"]))
def backend(request, tmp_path_factory) -> tuple[str, str]:
    home = tmp_path_factory.mktemp("mlflow")
    if request.param == "sqlite-file":
        return f"sqlite:///{home / 'deep' / 'mlflow.db'}", (home / "files").as_uri()
    url = make_database(request.getfixturevalue("postgres_url"), "mlflow_contract")
    return url, request.getfixturevalue("s3_root")


@pytest.fixture
def registry(backend, tmp_path) -> ModelRegistryAdapter:
    adapter = ModelRegistryAdapter(*backend, tmp_path / "cache")
    adapter.initialise()
    return adapter


def register(
    registry: ModelRegistryAdapter, files: dict[str, bytes], name: str = NAME, **tags: str
) -> RegisteredVersion:
    return registry.register(
        name, run_name="a run", files=files, params={"seed": "1"}, metrics={"auc": 0.75}, tags={"as_of": "x", **tags}
    )


def test_versions_count_up_and_the_first_with_a_tag_is_found(registry, files):
    first = register(registry, files, "counted", training_set="s1")
    second = register(registry, files, "counted", training_set="s2")
    third = register(registry, files, "counted", training_set="s2")
    assert [first.version, second.version, third.version] == [1, 2, 3]
    assert registry.find("counted", tag="training_set", value="s2") == second
    assert registry.find("counted", tag="training_set", value="s9") is None
    assert registry.find("never-registered", tag="training_set", value="s1") is None


def test_a_new_version_stands_nowhere(registry, files):
    version = register(registry, files, "placeless").version
    assert registry.get("placeless", version).tags["lifecycle"] == "None"
    assert registry.aliases("placeless") == {}


def cached(registry: ModelRegistryAdapter, version: int) -> Path:
    """Return the folder that a version of `NAME` was downloaded to."""
    registry.read(NAME, version, registered=None)
    return next((registry.cache / NAME / str(version)).iterdir())


def test_files_come_back_as_they_were_registered(registry, files):
    version = register(registry, files).version
    sums = checksums(files)
    assert registry.read(NAME, version, registered=sums) == {n: c for n, c in files.items() if n != CHECKSUMS}
    assert registry.stored(NAME, version) == files


def test_a_loaded_version_scores_as_the_trained_one(registry, files):
    from include.question.matrix import feature_matrix
    from include.scoring.model import ScoringModel

    loaded = registry.load(NAME, register(registry, files).version, registered=None)
    matrix = feature_matrix(make_examples(seed=5), NAMES)
    trained = ScoringModel(NAMES, native=files["model.ubj"], onnx=files["model.onnx"])
    assert loaded.signature.feature_names == NAMES
    assert (loaded.model.predict(matrix) == trained.predict(matrix)).all()
    assert [feature.name for feature in loaded.profile.features] == [*NAMES, "score"]
    assert 0.5 < loaded.metrics["auc"] < 1
    assert loaded.manifest == TrainingSetManifest.from_json(files["manifest.json"].decode())


@pytest.fixture
def mlflow_at(registry) -> Iterator[ModuleType]:
    """Return MLflow as somebody has it who knows the address alone."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(registry.tracking_uri)
    yield mlflow
    mlflow.set_tracking_uri(before)


def test_mlflows_own_client_loads_a_version_and_it_is_whole_after_that(registry, files, mlflow_at):
    from include.question.matrix import feature_matrix

    version = register(registry, files, "by-mlflow")
    rows = make_examples(seed=5).select(NAMES)
    loaded = [mlflow_at.pyfunc.load_model(uri) for uri in ("models:/by-mlflow/1", f"runs:/{version.run_id}/model")]
    trusted = registry.load("by-mlflow", 1, registered=checksums(files)).model.predict(feature_matrix(rows, NAMES))
    for each in loaded:
        assert (each.predict(rows.to_pandas()[[*reversed(NAMES)]]) == trusted).all()
    assert registry.stored("by-mlflow", 1) == files


def test_a_version_from_before_mlflow_could_load_it_is_read_as_ever(registry, files):
    older = with_checksums({name: content for name, content in files.items() if name not in (MLMODEL, CHECKSUMS)})
    version = register(registry, older, "older").version
    assert registry.load("older", version, registered=checksums(older)).signature.feature_names == NAMES


@pytest.mark.parametrize(
    "name",
    members(
        ["model.ubj", "model.onnx", "signature.json", "MLmodel", "checksums.json", "plots/roc.png"],
        daily=["model.onnx", "checksums.json"],
    ),
)
def test_a_changed_file_is_found_at_the_next_load(registry, files, name):
    version = register(registry, files).version
    path = cached(registry, version) / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(MlopsError, match=f"{name} has sha256 {hashlib.sha256(files[name] + b' ').hexdigest()}"):
        registry.load(NAME, version, registered=None)


@pytest.mark.parametrize("change", ["added", "removed"])
def test_a_file_too_many_or_too_few_is_found(registry, files, change):
    version = register(registry, files).version
    folder = cached(registry, version)
    if change == "added":
        (folder / "extra.txt").write_text("x")
    else:
        (folder / "model.onnx").unlink()
    with pytest.raises(MlopsError, match=r"extra\.txt|model\.onnx"):
        registry.load(NAME, version, registered=None)


def test_what_was_swapped_in_the_artifact_store_is_not_downloaded(registry, files, backend, tmp_path):
    version = register(registry, {**files, "model.onnx": files["model.onnx"] + b" "}, "swapped").version
    with pytest.raises(MlopsError, match=r"model\.onnx has sha256"):
        registry.load("swapped", version, registered=None)
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]


def test_a_second_load_reads_the_cache_only(registry, files, monkeypatch):
    version = register(registry, files).version
    registry.load(NAME, version, registered=None)
    monkeypatch.setattr(type(registry._client), "download_artifacts", lambda *_: pytest.fail("downloaded again"))
    registry.load(NAME, version, registered=None)


def test_aliases_move_and_vanish(registry, files):
    one, two = (register(registry, files, "aliased").version for _ in range(2))
    registry.set_alias("aliased", "production", one)
    registry.set_alias("aliased", "production", two)
    registry.set_alias("aliased", "previous", one)
    assert registry.aliases("aliased") == {"production": two, "previous": one}
    registry.set_alias("aliased", "previous", None)
    registry.set_alias("aliased", "previous", None)
    assert registry.aliases("aliased") == {"production": two}


def test_the_lifecycle_tag_is_written(registry, files):
    version = register(registry, files).version
    registry.set_lifecycle(NAME, version, "Staging")
    assert registry.get(NAME, version).tags["lifecycle"] == "Staging"


def test_a_run_keeps_params_metrics_and_name(registry, files):
    run = registry._client.get_run(register(registry, files).run_id)
    assert (run.info.run_name, run.info.status) == ("a run", "FINISHED")
    assert (run.data.params, run.data.metrics) == ({"seed": "1"}, {"auc": 0.75})


def test_a_version_that_is_not_there_is_named(registry):
    with pytest.raises(MlopsError, match="churn-predictor version 999 can't be read"):
        registry.load(NAME, 999, registered=None)


def test_a_version_of_somebody_else_is_not_trusted(registry):
    registry._client.create_registered_model("foreign")
    registry._client.create_model_version("foreign", "file:///nowhere")
    with pytest.raises(MlopsError, match="has no tag checksums_sha256"):
        registry.load("foreign", 1, registered=None)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql+psycopg://user:secret@127.0.0.1:1/mlflow",
        "http://127.0.0.1:1",
        "sqlite:////proc/nowhere/mlflow.db",
    ],
)
def test_unreachable_mlflow_is_told_at_once_and_without_its_password(uri, tmp_path):
    started = time.monotonic()
    with pytest.raises(MlopsError, match=r"MLflow at .* can't be reached: .*MLFLOW_TRACKING_URI") as caught:
        ModelRegistryAdapter(uri, tmp_path.as_uri(), tmp_path).initialise()
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 30


def test_nothing_is_sent_about_its_use(registry):
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert Path(registry.cache).name == "cache"


KILLED_WHILE_REGISTERING = """
import os, pathlib, signal, sys
from include.adapters.registry.model_registry import ModelRegistryAdapter
tracking, artifacts, cache, name = sys.argv[1:]
adapter = ModelRegistryAdapter(tracking, artifacts, pathlib.Path(cache))
adapter._log = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
adapter.register(name, run_name="cut off", files={"checksums.json": b"{}"}, params={}, metrics={}, tags={"as_of": "x"})
"""


@pytest.mark.parametrize("backend", members(BACKENDS, daily=["sqlite-file"]), indirect=True)
def test_a_run_that_was_killed_is_marked_so_by_the_next_registration_and_no_other_is(
    registry, files, backend, tmp_path
):
    command = [sys.executable, "-c", KILLED_WHILE_REGISTERING, *backend, str(tmp_path), "cut-off"]
    for _ in range(2):
        assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    experiment = registry._client.get_experiment_by_name("cut-off").experiment_id
    somebody_elses = registry._client.create_run(experiment, run_name="by hand").info.run_id

    version = register(registry, files, "cut-off").version

    runs = {run.info.run_id: run.info for run in registry._client.search_runs([experiment])}
    assert runs.pop(somebody_elses).status == "RUNNING"
    assert sorted((info.run_name, info.status) for info in runs.values()) == [
        ("a run", "FINISHED"),
        ("cut off", "KILLED"),
        ("cut off", "KILLED"),
    ]
    assert version == 1
