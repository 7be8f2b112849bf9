"""Real engines that the contracts run on.

A new file system of the lake joins every suite about lakes by one entry in `LAKES`, under the scheme of its addresses;
an online store by one in `tests.online_stores.ONLINE_STORES`; an engine of feature SQL by one in
`test_compute.ENGINES`. What the product knows and no list has is a failure of the suite that it belongs to.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.state.database import StateDatabase
from include.settings import Settings
from tests.databases import make_database
from tests.engines import RedisServer
from tests.everyday import members
from tests.online_stores import ONLINE_STORES, clear


@pytest.fixture
def postgres_database(postgres_url: str) -> str:
    """SQLAlchemy URL of an empty database."""
    return make_database(postgres_url, "contract")


@pytest.fixture(scope="session")
def migrated(postgres_url: str) -> str:
    """Name of a database with the tables of our state, to be copied."""
    StateDatabase(make_database(postgres_url, "migrated")).migrate()
    return "migrated"


@pytest.fixture
def state_database(postgres_url: str, migrated: str) -> str:
    """SQLAlchemy URL of a database with the tables of our state, empty."""
    return make_database(postgres_url, "state", like=migrated)


_S3_SERVER = """
import sys
from threading import Lock
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
answer, one_at_a_time = DomainDispatcherApplication(create_backend_app), Lock()
def answer_alone(environ, start_response):
    with one_at_a_time:
        return list(answer(environ, start_response))
run_simple("127.0.0.1", int(sys.argv[1]), answer_alone, threaded=True)
"""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server of this test run."""
    # A process of its own, which answers whatever this one's interpreter is held up by. One answer
    # at a time: else another put gets between its look and its put, and S3 doesn't split a conditional put.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _S3_SERVER, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, "the S3 server did not come up"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


def lake_in_a_folder(request: pytest.FixtureRequest) -> Settings:
    return replace(Settings.from_env(), lake_uri=(request.getfixturevalue("tmp_path") / "a lake").as_uri())


def lake_on_s3(request: pytest.FixtureRequest) -> Settings:
    import boto3

    endpoint = request.getfixturevalue("s3_endpoint")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_ENDPOINT_URL": endpoint}.items():
        request.getfixturevalue("monkeypatch").setenv(name, value)
    bucket = f"lake-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return replace(Settings.from_env(), lake_uri=f"s3://{bucket}/root", s3_endpoint_url=endpoint)


LAKES: Mapping[str, Callable[[pytest.FixtureRequest], Settings]] = {
    "file": lake_in_a_folder,
    "s3": lake_on_s3,
}


on_each_lake = pytest.mark.parametrize("lake_settings", LAKES, indirect=True)


def empty_lakes(*, daily: Sequence[str]) -> Any:
    """Return a fixture: settings of a deployment whose lake is empty, on each file system, every day on some."""

    def settings_of(request: pytest.FixtureRequest) -> Settings:
        return LAKES[request.param](request)

    return pytest.fixture(settings_of, params=members(LAKES, daily=daily), name="lake_settings")


lake_settings = empty_lakes(daily=list(LAKES))


def applied_stores(*, daily: Sequence[str]) -> Any:
    """Return a fixture: settings of a deployment per online store, applied once for a module, every day of some."""

    def settings_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
        settings = ONLINE_STORES[request.param].settings(request, tmp_path_factory.mktemp("applied"))
        FeatureStoreAdapter.from_settings(settings).apply()
        return settings

    return pytest.fixture(settings_of, scope="module", params=members(ONLINE_STORES, daily=daily), name="applied")


applied = applied_stores(daily=list(ONLINE_STORES))


@pytest.fixture
def settings(applied: Settings, tmp_path: Path) -> Settings:
    """The same deployment with an empty online store and a lake of its own."""
    clear(applied)
    return replace(applied, lake_uri=(tmp_path / "lake").as_uri())


@pytest.fixture
def redis_database(redis: RedisServer) -> str:
    """URL of an empty Redis database."""
    with Redis.from_url(redis.url) as client:
        client.flushall()
    return redis.url
