"""Real engines that the contracts run on."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.settings import Settings
from tests.engines import RedisServer, postgres_server, redis_server
from tests.online_stores import clear, store_settings


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL server of this test run."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """SQLAlchemy URL of an empty database, dropped afterwards."""
    name = "contract"
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server of this test run."""
    # A process of its own: deltalake holds the interpreter's lock while it waits for an answer.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline, "the S3 server did not come up"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(params=["file", "s3"])
def lake_settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a deployment whose lake is empty: in a folder, and on the S3 server."""
    if request.param == "file":
        return replace(Settings.from_env(), lake_uri=(tmp_path / "lake").as_uri())
    import boto3

    endpoint = request.getfixturevalue("s3_endpoint")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    bucket = f"lake-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}"
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=bucket)
    return replace(Settings.from_env(), lake_uri=f"s3://{bucket}/root", s3_endpoint_url=endpoint)


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server of this test run."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def applied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a deployment per online store, whose feature repository was applied once for a module."""
    folder = tmp_path_factory.mktemp("applied")
    if request.param == "sqlite":
        settings = store_settings(folder, f"sqlite:///{folder}/feast/online.db")
    elif request.param == "redis":
        settings = store_settings(folder, request.getfixturevalue("redis").url)
    else:
        server = make_url(request.getfixturevalue("postgres_url"))
        name = f"applied_{request.module.__name__.rpartition('.')[2]}"
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        url = server.set(database=name).render_as_string(hide_password=False)
        settings = store_settings(folder, url, url)
    FeatureStoreAdapter.from_settings(settings).apply()
    return settings


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
