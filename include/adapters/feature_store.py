"""Feast, as this project uses it: apply, materialise partitions, read history, read online.

What belongs here: calls into Feast. What does not: declarations (``feature_repo/``), the feature table
(the lake), and which partitions were materialised (the state).
"""

from __future__ import annotations

import importlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from string import Template
from typing import TypeAlias

import psycopg
import pyarrow as pa
import yaml
from feast import Entity, FeatureService, FeatureStore, FeatureView
from feast.data_source import DataSource
from feast.errors import FeastObjectNotFoundException
from feast.infra.provider import Provider, get_provider
from feast.repo_config import RepoConfig
from feast.types import from_feast_to_pyarrow_type
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm  # type: ignore[import-untyped]

from include.errors import MlopsError, UsageError
from include.partitions import end_of, span
from include.settings import PROJECT_ROOT, Settings

Declaration: TypeAlias = Entity | DataSource | FeatureView | FeatureService

_REPO = PROJECT_ROOT / "feature_repo"
_ENTITY_TIME = "event_timestamp"


def feast_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that ``feature_store.yaml`` is written with.

    Put into the environment, they make Feast's own commands work on this deployment.
    """
    return {
        "MLOPS_FEAST_REGISTRY_URL": settings.feast_registry_url,
        "MLOPS_FEAST_ONLINE_URL": settings.feast_online_url,
        "MLOPS_FEAST_ONLINE_STORE": (
            "GuardedSqliteOnlineStore"
            if make_url(settings.feast_online_url).get_backend_name() == "sqlite"
            else "GuardedPostgreSQLOnlineStore"
        ),
        "MLOPS_LAKE_URI": settings.lake_uri,
    }


class FeatureStoreAdapter:
    """The deployment's feature store.

    Parameters
    ----------
    config : RepoConfig
        Feast's description of the store.
    """

    def __init__(self, config: RepoConfig) -> None:
        self.config = config

    @classmethod
    def from_settings(cls, settings: Settings) -> FeatureStoreAdapter:
        """Return the store that ``feature_repo/feature_store.yaml`` describes for these settings."""
        text = (_REPO / "feature_store.yaml").read_text(encoding="utf-8")
        return cls(RepoConfig(**yaml.safe_load(Template(text).substitute(feast_environment(settings)))))

    def apply(self) -> None:
        """Make registry and online tables as ``feature_repo`` declares them; again changes nothing."""
        for url in (self.config.registry.path, f"sqlite:///{getattr(self.config.online_store, 'path', '')}"):
            if (database := make_url(url).database) and make_url(url).get_backend_name() == "sqlite":
                Path(database).parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            self._store.apply(_declarations())
            self._store.refresh_registry()

    def materialize(self, group: str, *, start: str, end: str) -> int:
        """Write partitions `start` to `end`, both included, to the online store: each key's newest row.

        Safe to repeat and to run out of order: the store keeps a newer row against an older one. Feast's
        registry is not written, so parallel calls do not meet.

        Returns
        -------
        int
            Number of entities written.

        Raises
        ------
        MlopsError
            If the group was never applied or built, or a store can't be reached.
        """
        span(start, end)
        # Both bounds are inclusive in Feast, and the row of partition D stands at the end of D.
        first, last = end_of(start), end_of(end)
        with self._explained():
            view = self._store.get_feature_view(group)
            self._provider.materialize_single_feature_view(
                config=self.config,
                feature_view=view,
                start_date=first,
                end_date=last,
                registry=self._store.registry,
                project=self.config.project,
                tqdm_builder=lambda total: tqdm(total=total, disable=True),
            )
            written = self._provider.offline_store.pull_latest_from_table_or_query(
                config=self.config,
                data_source=view.batch_source,
                join_key_columns=[column.name for column in view.entity_columns],
                feature_name_columns=[],
                timestamp_field=view.batch_source.timestamp_field,
                created_timestamp_column=view.batch_source.created_timestamp_column,
                start_date=first,
                end_date=last,
            )
            return int(written.to_arrow().num_rows)

    def historical(self, service: str, entities: pa.Table, *, known_at: bool = True) -> pa.Table:
        """Join a service's features to entity rows, as they stood at each row's time.

        Parameters
        ----------
        service : str
            Name of a feature service.
        entities : pyarrow.Table
            Columns: the join key (string), ``event_timestamp`` (timestamp, UTC), and any others.
        known_at : bool
            See only what had been created by each row's time.

        Returns
        -------
        pyarrow.Table
            Every row of `entities` in its order and with all its columns, and the features after them;
            null where none is valid.
        """
        with self._explained():
            declared = self._store.get_feature_service(service)
            keys = self._join_keys(declared)
            if missing := [name for name in [*keys, _ENTITY_TIME] if name not in entities.column_names]:
                raise UsageError(f"entity rows lack the columns {missing}; {service} joins on {[*keys, _ENTITY_TIME]}")
            asked = entities.select([*keys, _ENTITY_TIME]).to_pandas()
            job = self._store.get_historical_features(
                entity_df=asked, features=declared, filter_by_created_timestamp=known_at
            )
            found = job.to_arrow()
        rows = entities
        for name, dtype in _dtypes(declared).items():
            rows = rows.append_column(name, found[name].cast(dtype))
        return rows

    def online(self, service: str, keys: Sequence[str]) -> pa.Table:
        """Read a service's features of some keys from the online store.

        Returns
        -------
        pyarrow.Table
            One row per key, in the order of `keys`: the join key and the features; null where a key is
            unknown.
        """
        with self._explained():
            declared = self._store.get_feature_service(service)
            (join_key,) = self._join_keys(declared)
            schema = pa.schema({join_key: pa.string(), **_dtypes(declared)})
            if not keys:
                return schema.empty_table()
            answer = self._store.get_online_features(
                features=declared, entity_rows=[{join_key: key} for key in keys]
            ).to_dict()
        return pa.table({name: answer[name] for name in schema.names}, schema=schema)

    def service_features(self, service: str) -> list[str]:
        """Return the names of a service's features, in its order."""
        with self._explained():
            return list(_dtypes(self._store.get_feature_service(service)))

    @cached_property
    def _store(self) -> FeatureStore:
        return FeatureStore(config=self.config)

    @cached_property
    def _provider(self) -> Provider:
        return get_provider(self.config)

    def _join_keys(self, service: FeatureService) -> list[str]:
        names = [projection.name for projection in service.feature_view_projections]
        views = [self._store.get_feature_view(name) for name in names]
        return list(dict.fromkeys(column.name for view in views for column in view.entity_columns))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FeastObjectNotFoundException as err:
            raise MlopsError(
                f"the feature registry does not know it: {err}; apply feature_repo first (make up does)"
            ) from err
        except (SQLAlchemyError, psycopg.Error, sqlite3.Error) as err:
            reason = str(err).strip().splitlines()[0]
            raise MlopsError(
                f"the feature store can't be used: {reason}; check that its database runs (make up), "
                "MLOPS_FEAST_REGISTRY_URL and MLOPS_FEAST_ONLINE_URL"
            ) from err


def _declarations() -> list[Declaration]:
    # Imported by name: only Feast's registry depends on the declarations, no module does.
    found: list[Declaration] = []
    for module, attribute in (
        ("entities", "ENTITIES"),
        ("sources", "SOURCES"),
        ("feature_views", "VIEWS"),
        ("feature_services", "SERVICES"),
    ):
        declared: Mapping[str, Declaration] = getattr(importlib.import_module(f"feature_repo.{module}"), attribute)
        found.extend(declared.values())
    return found


def _dtypes(service: FeatureService) -> dict[str, pa.DataType]:
    return {
        feature.name: from_feast_to_pyarrow_type(feature.dtype)
        for projection in service.feature_view_projections
        for feature in projection.features
    }
