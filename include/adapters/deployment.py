"""The adapters of one deployment, each made at its first use.

What belongs here: which adapter a setting means. What does not: anything an adapter does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from include.settings import Settings

if TYPE_CHECKING:
    from include.adapters.compute.duckdb_compute import DuckDbCompute
    from include.adapters.compute.spark_compute import SparkCompute
    from include.adapters.feature_store.feast_store import FeatureStoreAdapter
    from include.adapters.lake.delta_lake import LakeAdapter
    from include.adapters.registry.model_registry import ModelRegistryAdapter
    from include.adapters.state.state_store import StateStoreAdapter

# What lives in databases: our state, Feast's registry and online store, MLflow's tracking and registry.
Store = Literal["state", "feast", "mlflow"]


class Deployment:
    """What a step reads from and writes to.

    Parameters
    ----------
    settings : Settings
        Where things are.
    reach : callable, optional
        Called before the first use of each store that lives in a database: it may have to be started.
    """

    def __init__(self, settings: Settings, *, reach: Callable[[Store], None] | None = None) -> None:
        self.settings = settings
        self._reach = reach or (lambda store: None)

    @classmethod
    def from_env(cls) -> Deployment:
        """Return the deployment that the environment describes."""
        return cls(Settings.from_env())

    @cached_property
    def lake(self) -> LakeAdapter:
        """Delta tables."""
        from include.adapters.lake.delta_lake import LakeAdapter

        return LakeAdapter.from_settings(self.settings)

    @cached_property
    def compute(self) -> DuckDbCompute | SparkCompute:
        """The engine of feature SQL."""
        if self.settings.compute == "spark":
            from include.adapters.compute.spark_compute import SparkCompute

            return SparkCompute(self.settings.memory_limit)
        return self.duckdb

    @cached_property
    def duckdb(self) -> DuckDbCompute:
        """DuckDB, for SQL that isn't a feature's."""
        from include.adapters.compute.duckdb_compute import DuckDbCompute

        return DuckDbCompute(self.settings.memory_limit)

    @cached_property
    def state(self) -> StateStoreAdapter:
        """Ledger, decisions, metrics."""
        from include.adapters.state.state_store import StateStoreAdapter

        self._reach("state")
        return StateStoreAdapter.from_settings(self.settings)

    @cached_property
    def feature_store(self) -> FeatureStoreAdapter:
        """Feast."""
        from include.adapters.feature_store.load_feast import load_feast

        load_feast()
        from include.adapters.feature_store.feast_store import FeatureStoreAdapter

        self._reach("feast")
        return FeatureStoreAdapter.from_settings(self.settings)

    @cached_property
    def model_registry(self) -> ModelRegistryAdapter:
        """MLflow."""
        from include.adapters.registry.model_registry import ModelRegistryAdapter

        self._reach("mlflow")
        return ModelRegistryAdapter.from_settings(self.settings)
