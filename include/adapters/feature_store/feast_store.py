"""Feast, as this project uses it: apply, materialise partitions, read history, read online.

What belongs here: calls into Feast and its stores. What does not: declarations (``feature_repo/``), the feature table
(the lake), how an online store is written and read (its own module), and which partitions were materialised (the
state).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path

import psycopg
import pyarrow as pa
from feast import FeatureService, FeatureStore
from feast.errors import FeastObjectNotFoundException
from feast.infra.provider import Provider, get_provider
from feast.infra.registry.sql import FeastRegistrySchemaError
from feast.repo_config import RepoConfig
from feast.types import from_feast_to_pyarrow_type
from redis.exceptions import RedisError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from include.adapters.feature_store.catalogue import FeatureCatalogue
from include.adapters.feature_store.delta_offline_store import seeing_all
from include.adapters.feature_store.feast_repo import declarations, only_asking, repo_config
from include.adapters.feature_store.historical_features import checked_entities
from include.adapters.online.keys import Key, KeyPart, check_keys, key_encoder
from include.adapters.online.online_store import GuardedOnlineStore
from include.adapters.online.reading import OnlineFeatures, OnlineReader
from include.errors import MlopsError, UsageError
from include.features.checks import EVENT_TIMESTAMP
from include.partitions import end_of, span
from include.settings import Settings

_STORE_ERRORS = (SQLAlchemyError, psycopg.Error, sqlite3.Error, RedisError)


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
        return cls(repo_config(settings))

    def apply(self) -> None:
        """Add what ``feature_repo`` declares to the registry and the online tables; again changes nothing."""
        for url in (self.config.registry.path, f"sqlite:///{getattr(self.config.online_store, 'path', '')}"):
            if (database := make_url(url).database) and make_url(url).get_backend_name() == "sqlite":
                Path(database).parent.mkdir(parents=True, exist_ok=True)
        with self._explained():
            FeatureStore(config=self.config).apply(declarations())
            self._store.refresh_registry()
        self._catalogue.forget_readers()

    def materialize(self, group: str, *, start: str, end: str) -> int:
        """Write partitions `start` to `end`, both included, to the online store: each key's newest row.

        Safe to repeat and to run out of order: the store keeps a newer row against an older one. Feast's
        registry is not written, so parallel calls do not meet in it.

        Returns
        -------
        int
            Number of entities written.

        Raises
        ------
        MlopsError
            If the group was never applied or built, or a store can't be reached. What was written until then
            stays, and nothing newer was replaced: repeating the call completes it.
        """
        span(start, end)
        with self._explained():
            view = self._catalogue.view(group)
            source = view.batch_source
            rows = self._provider.offline_store.pull_latest_from_table_or_query(
                config=self.config,
                data_source=source,
                join_key_columns=[column.name for column in view.entity_columns],
                feature_name_columns=[feature.name for feature in view.features],
                timestamp_field=source.timestamp_field,
                created_timestamp_column=source.created_timestamp_column,
                # Both bounds are inclusive in Feast, and the row of partition D stands at the end of D.
                start_date=end_of(start),
                end_date=end_of(end),
            ).to_arrow()
            written: list[int] = []
            try:
                self._online_store.write_rows(self.config, view, rows, written.append)
            except _STORE_ERRORS as err:
                raise MlopsError(
                    f"materialising {group} of {start} … {end} stopped after {sum(written):,d} of {rows.num_rows:,d} "
                    f"entities: the online store said: {_reason(err)}; what was written stays, nothing newer was "
                    "replaced: check that it runs (MLOPS_FEAST_ONLINE_URL), then repeat this call to complete it"
                ) from err
        return int(rows.num_rows)

    def historical(self, service: str, entities: pa.Table, *, known_at: bool = True) -> pa.Table:
        """Join a service's features to entity rows, as they stood at each row's time.

        Parameters
        ----------
        service : str
            Name of a feature service.
        entities : pyarrow.Table
            Columns: the join keys (string), ``event_timestamp`` (timestamp, UTC), and any others.
        known_at : bool
            See only what had been created by each row's time.

        Returns
        -------
        pyarrow.Table
            Every row of `entities` in its order and with all its columns, and the features after them;
            null where none is valid.
        """
        entities = checked_entities(entities)
        with self._explained():
            declared = self._catalogue.service(service)
            keys = self._catalogue.join_keys(declared)
            if missing := [name for name in [*keys, EVENT_TIMESTAMP] if name not in entities.column_names]:
                raise UsageError(
                    f"entity rows lack the columns {missing}; {service} joins on {[*keys, EVENT_TIMESTAMP]}"
                )
            asked = entities.select([*keys, EVENT_TIMESTAMP]).to_pandas()
            # Feast passes a True on, but no False.
            store = self._store if known_at else FeatureStore(config=seeing_all(self._store.config))
            job = store.get_historical_features(
                entity_df=asked, features=declared, filter_by_created_timestamp=known_at
            )
            found = job.to_arrow()
        rows = entities
        for name, dtype in _dtypes(declared).items():
            rows = rows.append_column(name, found[name].cast(dtype))
        return rows

    def online(
        self, service: str, keys: Sequence[Key], *, at: datetime | None = None, features: Sequence[str] | None = None
    ) -> OnlineFeatures:
        """Read a service's features of some keys from the online store.

        The service is resolved at its first read; `warm` does it before one. `apply` makes it be resolved anew.

        Parameters
        ----------
        service : str
            Name of a feature service.
        keys : sequence of str, or of tuples of str
            Entity keys; may be empty. Of several join keys each is a tuple of their values, in the order of the
            group's spec.
        at : datetime, optional
            When ttl is judged, aware. Default: now.
        features : sequence of str, optional
            Some of the service's features. Default: all.

        Returns
        -------
        OnlineFeatures
            Per key and feature the value, its event time and whether it is present, stale or missing.

        Raises
        ------
        UsageError
            If the service or a feature is not known, a key is of another form, or `at` is naive.
        MlopsError
            If nothing was ever applied, or a store can't be reached.
        """
        with self._explained():
            return self._catalogue.service_reader(service, features).read(keys, at=at)

    def online_group(
        self, group: str, keys: Sequence[Key], *, at: datetime | None = None, features: Sequence[str] | None = None
    ) -> OnlineFeatures:
        """Read a group's features, whichever services use them; otherwise as `online`."""
        with self._explained():
            return self._catalogue.group_reader(group, features).read(keys, at=at)

    def warm(self, service: str) -> OnlineReader:
        """Load what the first read of a service needs, and return the reader: its ``read`` is all a server calls."""
        with self._explained():
            return self._catalogue.service_reader(service, None)

    def forget(self, join_key: str, key: str) -> dict[str, int]:
        """Delete the rows of one key: of views that are keyed by it alone, and of views in which it is one of several.

        Of a view with several keys every row that has this one among them is deleted, whatever the others are; rows
        are looked for in the online store itself, all of whose keys are read for it. What a writer adds meanwhile
        may stay.

        Parameters
        ----------
        join_key : str
            The column.
        key : str
            Its value.

        Returns
        -------
        dict of str to int
            Per view how many keys' rows were removed; of a view that is keyed by this one alone 0 or 1.

        Raises
        ------
        UsageError
            If no entity is known by the column, or the key isn't a string.
        """
        with self._explained():
            check_keys([key], (join_key,))
            removed: dict[str, int] = {}
            for names, views in self._catalogue.online_views(join_key).items():
                if names == (join_key,):
                    keys = [key_encoder(names)(key)]
                else:
                    keys = self._online_store.find_keys(self.config, views, KeyPart(names, join_key, key))
                removed.update(self._online_store.forget(self.config, views, keys))
            return removed

    def service_features(self, service: str) -> list[str]:
        """Return the names of a service's features, in its order."""
        with self._explained():
            return list(_dtypes(self._catalogue.service(service)))

    @cached_property
    def _store(self) -> FeatureStore:
        return FeatureStore(config=only_asking(self.config))

    @cached_property
    def _provider(self) -> Provider:
        return get_provider(self.config)

    @property
    def _online_store(self) -> GuardedOnlineStore:
        store: GuardedOnlineStore = self._provider.online_store
        return store

    @cached_property
    def _catalogue(self) -> FeatureCatalogue:
        return FeatureCatalogue(self._store, self._online_store)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (FeastObjectNotFoundException, FeastRegistrySchemaError) as err:
            raise MlopsError(
                f"the feature registry does not know it: {err}; apply feature_repo first (make up does)"
            ) from err
        except _STORE_ERRORS as err:
            raise MlopsError(
                f"the feature store can't be used: {_reason(err)}; check that its database runs (make up), "
                "MLOPS_FEAST_REGISTRY_URL and MLOPS_FEAST_ONLINE_URL"
            ) from err


def _reason(err: Exception) -> str:
    lines = str(err).strip().splitlines()
    return lines[0] if lines else type(err).__name__


def _dtypes(service: FeatureService) -> dict[str, pa.DataType]:
    return {
        feature.name: from_feast_to_pyarrow_type(feature.dtype)
        for projection in service.feature_view_projections
        for feature in projection.features
    }
