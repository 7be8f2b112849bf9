"""Training sets in a folder and on a real S3 server: one suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.training_sets import read_manifest, read_training_set, write_training_set
from include.errors import MlopsError
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    import boto3
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="lake")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def lake(request, tmp_path) -> LakeAdapter:
    if request.param == "file":
        return LakeAdapter((tmp_path / "a lake").as_uri())
    endpoint = request.getfixturevalue("s3_endpoint")
    return LakeAdapter(f"s3://lake/{tmp_path.name}", {"AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true"})


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
