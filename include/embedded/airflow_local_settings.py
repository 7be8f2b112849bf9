"""Warm workers: what the scheduler and the DAG processor have imported, their forks have for free.

What belongs here: imports of heavy libraries. What does not: a connection or a thread, which
would not survive the fork.
"""

import importlib
import sys

# Half of what it takes to parse a DAG file, which a task does too.
_PARSING = ("sqlglot.dialects.duckdb", "croniter")
_HEAVY = (
    *_PARSING,
    "pandas",
    "pyarrow.dataset",
    "duckdb",
    "deltalake",
    "scipy.stats",
    "sklearn.metrics",
    "xgboost",
    "onnxruntime",
    "mlflow.tracking",
    "feast",
    "feast.infra.online_stores.postgres_online_store.postgres",
    "feast.infra.registry.sql",
    "great_expectations",
    "include.specs.models",
)

for name in {"scheduler": _HEAVY, "dag-processor": _PARSING}.get("".join(sys.argv[1:2]), ()):
    importlib.import_module(name)
