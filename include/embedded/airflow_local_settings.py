"""Warm workers: what the scheduler and the DAG processor have imported, their forks have for free.

What belongs here: imports of heavy libraries, and of the code that tasks run. What does not: a connection or a thread,
which would not survive the fork, and a spec itself: a task has it as its file is by then.
"""

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import suppress

from include.errors import MlopsError

# To parse a DAG file, which a task does too; Airflow loads its own operators as a DAG file first names them.
_PARSING = (
    "airflow.dag_processing.bundles.local",
    "airflow.providers.amazon.aws.assets.s3",
    "airflow.providers.amazon.aws.sensors.s3",
    "airflow.providers.common.io.assets.file",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.external_task",
    "airflow.providers.standard.sensors.filesystem",
    "airflow.sdk.definitions.decorators",
    "croniter",
    "jinja2.ext",
    "mlops.events",
    "mlops.operators.feature_store",
    "mlops.operators.model_registry",
    "mlops.requests",
    "mlops.sensors.drift",
    "mlops.sensors.lake",
    "mlops.trainings",
    "sqlglot.dialects.duckdb",
)
# What steps import at its first use, beside the packages below.
_STEPS = (
    "deltalake.fs",
    "duckdb",
    "feast.infra.online_stores.postgres_online_store.postgres",
    "feast.infra.passthrough_provider",
    "feast.infra.registry.sql",
    "feast.repo_operations",
    "great_expectations.expectations",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracking",
    "onnxmltools",
    "onnxruntime",
    "pandas",
    "pyarrow.acero",
    "pyarrow.dataset",
    "scipy.stats",
    "sklearn.metrics",
    "xgboost",
)
_PACKAGES = ("include.adapters", "include.steps")


def _modules_of(package: str) -> Iterator[str]:
    found = importlib.import_module(package)
    yield from (name for _, name, _ in pkgutil.walk_packages(found.__path__, f"{package}."))


def _warm(part: str) -> None:
    if part in ("scheduler", "dag-processor"):
        for name in _PARSING:
            importlib.import_module(name)
        # A setting that is wrong is told of where it is used.
        with suppress(MlopsError):
            importlib.import_module("include.specs.deployed").read_ahead()
    if part == "scheduler":
        # MLflow's import has SQLAlchemy resolve the names in all models that are there, Airflow's too.
        importlib.import_module("airflow.models").import_all_models()
        # Before anything else imports Feast: it is cheaper there.
        importlib.import_module("include.adapters.feature_store.load_feast").load_feast()
        for name in (*_STEPS, *(name for package in _PACKAGES for name in _modules_of(package))):
            importlib.import_module(name)


_warm("".join(sys.argv[1:2]))
