"""Warm workers: what the scheduler has imported, its forked tasks have for free.

What belongs here: imports of heavy libraries. What does not: a connection or a thread, which
would not survive the fork.
"""

import importlib
import sys

_HEAVY = (
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

if "scheduler" in sys.argv[1:2]:
    for name in _HEAVY:
        importlib.import_module(name)
