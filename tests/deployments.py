"""Deployments for tests: one with databases of its own beside the session's home, and one that has only a lake."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import NullPool, create_engine, text

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.registry.model_registry import ModelRegistryAdapter
from include.adapters.state.database import StateDatabase
from include.embedded.databases import DATABASES
from include.settings import Settings, embedded_database_url
from tests.databases import make_database
from tests.unit.steps.fakes import FakeState

_VARIABLES = ("MLFLOW_TRACKING_URI", "MLOPS_FEAST_REGISTRY_URL", "MLOPS_FEAST_ONLINE_URL", "MLOPS_DATABASE_URL")


@contextmanager
def deployed_beside(
    home: Path, folder: Path, name: str, *, specs: Path | None = None, online: str | None = None
) -> Iterator[Deployment]:
    """Give a deployment in `folder`, its databases in the home's server, its specs' overlay in place of the tests'.

    Its online store is a database too, or the one at `online`.
    """
    server, migrated = embedded_database_url(home, "postgres"), _make_migrated(home)
    for database in DATABASES[1:]:
        make_database(server, f"{name}_{database}", like=migrated.get(database, "template1"))
    with pytest.MonkeyPatch.context() as patch:
        for variable, database in zip(_VARIABLES, DATABASES[1:], strict=True):
            patch.setenv(variable, embedded_database_url(home, f"{name}_{database}", role="postgres"))
        patch.setenv("MLOPS_HOME", str(folder))
        patch.setenv("MLOPS_LAKE_URI", (folder / "lake").as_uri())
        patch.setenv("MLOPS_LANDING_URI", (folder / "landing").as_uri())
        patch.setenv("MLOPS_MLFLOW_ARTIFACTS", (folder / "mlflow").as_uri())
        if online is not None:
            patch.setenv("MLOPS_FEAST_ONLINE_URL", online)
        if specs is not None:
            patch.setenv("MLOPS_SPECS", str(specs))
        forget_declarations()
        made = Deployment.from_env()
        made.feature_store.apply()
        yield made
    forget_declarations()


def forget_declarations() -> None:
    """Have what Feast is told made anew: it is made once in a process, by the specs of that time."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "feature_repo"]:
        del sys.modules[name]


@cache
def _make_migrated(home: Path) -> dict[str, str]:
    """Make databases whose migrations have run, and return the name of each, to be copied."""
    names = {database: f"migrated_{database}" for database in ("mlflow", "state")}
    server = embedded_database_url(home, "postgres")
    mlflow, state = (make_database(server, name) for name in names.values())
    ModelRegistryAdapter(mlflow, "", home).initialise()
    StateDatabase(state).migrate()
    with create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        # MLflow keeps its connections, and a database that is in use can't be copied.
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": names["mlflow"]},
        )
    return names


def lake_only(folder: Path) -> SimpleNamespace:
    """Return a deployment with a lake and a landing folder, whose state lives as long as it does."""
    return SimpleNamespace(
        settings=Settings.from_env({"MLOPS_HOME": str(folder)}),
        lake=LakeAdapter((folder / "lake").as_uri()),
        compute=DuckDbCompute(),
        duckdb=DuckDbCompute(),
        state=FakeState(),
    )
