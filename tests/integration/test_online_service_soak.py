"""The online service under load while all that it leans on comes and goes: a minute here, ten by `make soak`.

A version is promoted, Redis is killed and comes back empty, PostgreSQL stops, a version's files are gone while it is
promoted, and twice as many ask as are let in.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.http_load import Load, ask_for
from include import partitions
from include.adapters.deployment import Deployment
from include.embedded.postgres import EmbeddedPostgres
from include.settings import PROJECT_ROOT
from include.steps.materialize_features import materialize_features
from include.tables import online_vectors_name
from tests.deployments import deployed_beside
from tests.engines import RedisServer, redis_server
from tests.served_shop import NIGHT, play_shop, train_and_promote, write_specs

pytestmark = pytest.mark.timeout(1800)

ASKED = os.environ.get("SOAK")
SECONDS = float(ASKED or "60")
AT = partitions.end_of(NIGHT).isoformat()
# `make soak` asks as much as two cores answer; a minute of less than that meets all that comes and goes.
CONNECTIONS, PAUSE_S = (16, 0.02) if ASKED else (4, 0.05)
# Twice what the usual load asks at once, a sixteenth of the overload: that fills the service also where those who ask
# have less of the machine than it has.
IN_FLIGHT = 2 * CONNECTIONS
OVERLOAD = 16 * IN_FLIGHT
# What may be answered beside predictions: the online store is away, or the service is full.
DECLARED = {"store_down", "full"}


@dataclass
class Soaked:
    """A service in a process of its own, and what it leans on."""

    deployment: Deployment
    postgres: EmbeddedPostgres
    redis: RedisServer
    process: subprocess.Popen[bytes]
    port: int

    def models(self) -> dict[str, dict]:
        found = httpx.get(f"http://127.0.0.1:{self.port}/v1/models", timeout=10).json()["models"]
        return {each["model"]: each for each in found}

    def until_version(self, model: str, version: int) -> None:
        deadline = time.monotonic() + 30
        while [each["version"] for each in self.models()[model]["versions"]] != [version]:
            assert time.monotonic() < deadline, self.models()[model]
            time.sleep(0.2)


@pytest.fixture
def soaked(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Soaked]:
    specs = write_specs(tmp_path / "specs")
    with (
        redis_server(tmp_path) as redis,
        deployed_beside(home, tmp_path, "soaked", specs=specs, online=redis.url) as deployment,
    ):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        monkeypatch.setenv("MLOPS_SERVING_PORT", str(port))
        monkeypatch.setenv("MLOPS_SERVING_IN_FLIGHT", str(IN_FLIGHT))
        play_shop(deployment, tmp_path, models=["churn"])
        process = subprocess.Popen([sys.executable, "-m", "include.serving"], cwd=PROJECT_ROOT)
        postgres = EmbeddedPostgres(home)
        try:
            until_ready(port, "churn")
            yield Soaked(deployment, postgres, redis, process, port)
        finally:
            # Others have their databases in the same server.
            postgres.start()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGTERM)


def until_ready(port: int, model: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/v2/models/{model}/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{model} is not ready after a minute")


def test_nothing_but_what_is_declared_is_answered_while_everything_comes_and_goes(soaked: Soaked) -> None:
    part, versions = SECONDS / 6, {1}
    rows = soaked.deployment.lake.read("features/customer_daily", start=NIGHT, end=NIGHT, columns=["customer_id"])
    customers = rows["customer_id"].to_pylist()
    entities = [json.dumps({"entities": [{"customer_id": each}], "at": AT}).encode() for each in customers]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:

        def ask(seconds: float, connections: int, pause_s: float) -> Future[Load]:
            path = "/v1/models/churn/predict"
            return pool.submit(ask_for, seconds, soaked.port, path, entities, connections=connections, pause_s=pause_s)

        load = ask(SECONDS, CONNECTIONS, PAUSE_S)
        time.sleep(part)
        memory = psutil.Process(soaked.process.pid).memory_info().rss

        versions.add(train_and_promote(soaked.deployment, "churn", as_of=partitions.shift(NIGHT, -3)))
        soaked.until_version("churn", max(versions))

        soaked.redis.kill()
        time.sleep(part / 4)
        soaked.redis.start()
        materialize_features(soaked.deployment, "customer_daily", start=NIGHT, end=NIGHT)

        soaked.postgres.stop()
        time.sleep(part / 2)
        soaked.postgres.start()

        files = Path(soaked.deployment.settings.mlflow_artifact_uri.removeprefix("file://"))
        hidden = files.with_name("hidden")
        version = train_and_promote(
            soaked.deployment, "churn", as_of=partitions.shift(NIGHT, -4), before_promotion=lambda: files.rename(hidden)
        )
        time.sleep(3)
        told = soaked.models()["churn"]
        assert "can't be read" in told["problem"]
        assert [each["version"] for each in told["versions"]] == [max(versions)]
        hidden.rename(files)
        soaked.until_version("churn", version)
        versions.add(version)

        overload = ask(part / 5, OVERLOAD, 0.0).result()
        whole = load.result()

    assert_declared(whole, versions)
    assert_declared(overload, {version})
    assert overload.said[503, "full"] > 0
    assert whole.statuses[200] > 0.5 * sum(whole.statuses.values())
    print(f"load: {whole}; overload: {overload}")
    grown = psutil.Process(soaked.process.pid).memory_info().rss - memory
    assert grown < 60 * 2**20, f"{grown / 2**20:.0f} MB more than after a sixth of the time"
    soaked.process.send_signal(signal.SIGTERM)
    soaked.process.wait(60)
    logged = soaked.deployment.lake.read(online_vectors_name("churn"), columns=["request_id", "is_answer"])
    assert len(set(logged["request_id"].to_pylist())) == logged.num_rows
    assert logged.num_rows == whole.statuses[200] + overload.statuses[200]


def assert_declared(load: Load, versions: set[int]) -> None:
    """Check that each answer is a prediction of a version that was in Production, or a refusal that is declared."""
    answered = Counter({said: count for (status, said), count in load.said.items() if status == 200})
    refused = {(status, said) for status, said in load.said if status != 200}
    assert set(answered) <= {str(version) for version in versions}
    assert refused <= {(503, code) for code in DECLARED}
