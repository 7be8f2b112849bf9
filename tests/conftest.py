"""One throw-away home for the whole test run, in the environment before anything imports airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from include.adapters.feature_store.load_feast import load_feast
from include.embedded.environment import airflow_environment
from include.settings import Settings
from tests.engines import RedisServer, postgres_server, redis_server
from tests.everyday import examples
from tests.shop import write_overlay

_HOME = Path(tempfile.mkdtemp(prefix="mlops-test-"))
_KEPT = ("MLOPS_REAL_DATA", "MLOPS_REQUIRE")

for _name in [n for n in os.environ if n.startswith(("MLOPS_", "AIRFLOW", "MLFLOW_")) and n not in _KEPT]:
    del os.environ[_name]
os.environ["MLOPS_HOME"] = str(_HOME)
os.environ["MLOPS_SPECS"] = str(write_overlay(_HOME / "overlay"))
os.environ.update(airflow_environment(Settings.from_env(), port=1))
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
# How long an example takes says something of the machine, and nothing of the code.
hypothesis.settings.register_profile(
    "untimed", deadline=None, max_examples=examples(100), suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")
# Before the module of a test imports it: as the product does, in a third of the time.
load_feast()


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A deployed home: PostgreSQL up, every database migrated, Feast applied, pools there; no Airflow process."""
    from include.embedded.commands import CommandPostgres
    from include.embedded.postgres import EmbeddedPostgres

    # Held, as a command does it: one that a test runs on this home then leaves the server up.
    postgres, server = EmbeddedPostgres(_HOME), CommandPostgres(Settings.from_env())
    postgres.start()
    try:
        server.hold("state")
        airflow = subprocess.Popen(
            [sys.executable, "-m", "airflow", "db", "migrate"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        server.hold("mlflow")
        server.hold("feast")
        output, _ = airflow.communicate(timeout=300)
        assert airflow.returncode == 0, output.decode()[-2000:]
        yield _HOME
    finally:
        server.let_go()
        postgres.stop()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of a PostgreSQL server of this test run."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server of this test run."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


def pytest_sessionfinish() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
