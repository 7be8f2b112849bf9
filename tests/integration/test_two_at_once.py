"""Two processes that do the same thing at once, on real PostgreSQL, Feast, MLflow and lake: one result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.embedded.databases import DATABASES
from include.settings import Settings, embedded_database_url
from include.specs.models import load_model
from include.specs.services import load_feature_services
from include.steps.build_features import build_features
from include.steps.import_source import import_file
from include.steps.move_model import project
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, OVERLAY, make_orders, on_days

pytestmark = pytest.mark.timeout(400)

TRAINED = "2026-04-14"
# What a training reads: the horizon before the day, and the window before that.
READ_DAYS = OVERLAY["label"]["horizon_days"] + OVERLAY["training"]["window_days"]
_PROJECTING, _ROUNDS = 6, 3
_MLOPS = [sys.executable, "-c", "from include.cli.main import main; main()"]


def at_once(*commands: Sequence[str], **env: str) -> list[tuple[int, str, str]]:
    """Run commands at the same time and return what each ended with: code, output, errors."""
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
        for command in commands
    ]
    ended = [process.communicate(timeout=300) for process in running]
    return [(process.returncode, *told) for process, told in zip(running, ended, strict=True)]


@pytest.fixture(scope="module")
def deployment(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed_beside(home, tmp_path_factory.mktemp("at_once"), "at_once") as made:
        history = made.settings.home / "history.parquet"
        pq.write_table(on_days(make_orders(days=109), FIRST_DAY, TRAINED), history)
        import_file(made, history, source="orders", as_of=datetime(2026, 4, 15, tzinfo=UTC))
        build_features(made, "customer_daily", start=partitions.shift(TRAINED, -READ_DAYS), end=TRAINED)
        yield made


@pytest.fixture(scope="module")
def ended(deployment: Deployment) -> list[tuple[int, str, str]]:
    """What two trainings of one day ended with, that ran at the same time."""
    command = [*_MLOPS, "train", "--model", "churn", "--as-of", TRAINED]
    return at_once(command, command)


def test_two_trainings_of_one_day_make_one_set_and_one_version(deployment, ended):
    versions = deployment.model_registry._client.search_model_versions(
        f"name = '{load_model('churn').registered_name}'"
    )
    sets = sorted(path.name for path in (deployment.settings.home / "lake/training_sets/churn").iterdir())
    assert [int(found.version) for found in versions] == [1], ended
    assert [found.tags["training_set"] for found in versions] == sets
    assert [(move.version, move.to_stage) for move in deployment.state.ledger("churn")] == [(1, "Staging")]
    assert {json.loads(out.splitlines()[0])["version"] for _, out, _ in ended} == {1}
    # The second finds the version where the first has put it, or says that it is being moved.
    assert sorted(code for code, _, _ in ended) in ([0, 0], [0, 1]), ended
    assert all("Traceback" not in told for _, _, told in ended)
    assert all(told for code, _, told in ended if code == 1)


@pytest.mark.usefixtures("ended")
def test_who_projects_the_ledger_at_once_leaves_what_it_says(deployment):
    name, client = load_model("churn").registered_name, deployment.model_registry._client
    for _ in range(_ROUNDS):
        client.delete_registered_model_alias(name, "staging")
        client.delete_model_version_tag(name, "1", "lifecycle")
        with ThreadPoolExecutor(_PROJECTING) as threads:
            # Each has connections of its own, as a process has.
            list(threads.map(lambda _: project(Deployment.from_env(), "churn"), range(_PROJECTING)))
        assert deployment.model_registry.aliases(name) == {"staging": 1}
        assert deployment.model_registry.get(name, 1).lifecycle == "Staging"


@pytest.fixture
def bare(home: Path, deployment: Deployment) -> Iterator[dict[str, str]]:
    """Variables of a deployment whose feature registry and online store hold nothing."""
    server = embedded_database_url(home, "postgres").replace("+psycopg", "")
    names = {"MLOPS_FEAST_REGISTRY_URL": "bare_registry", "MLOPS_FEAST_ONLINE_URL": "bare_online"}
    assert not set(names.values()) & set(DATABASES)
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"CREATE DATABASE {name}")
        yield {variable: embedded_database_url(home, name, role="postgres") for variable, name in names.items()}
        for name in names.values():
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_two_applies_declare_everything_once(deployment, bare):
    applying = (
        "from include.adapters.deployment import Deployment; from include.steps.apply_features import apply_features;"
        "apply_features(Deployment.from_env())"
    )
    command = [sys.executable, "-c", applying]
    ended = at_once(command, command, **bare)

    assert [code for code, _, _ in ended] == [0, 0], ended
    declared = Deployment(Settings.from_env({**os.environ, **bare})).feature_store._store.list_feature_services()
    assert sorted(each.name for each in declared) == sorted(spec.service for spec in load_feature_services())
