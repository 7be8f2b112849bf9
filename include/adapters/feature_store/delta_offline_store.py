"""Feast's offline store on the lake's Delta tables, loaded by Feast by its class path.

What belongs here: Feast's three reads (newest, all, as of an entity's time) on a Delta table. What does
not: feature definitions, and writing: a feature table is only written by its build.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, OnDemandFeatureView
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.feature_store.historical_features import Wanted, entity_rows, with_features
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.span import Span
from include.errors import MlopsError, UsageError
from include.features.checks import EVENT_TIMESTAMP
from include.settings import Settings

_INSTANT = pa.timestamp("us", tz="UTC")

_NEWEST = """
SELECT * FROM features
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {times}) = 1
ORDER BY {keys}
"""


class DeltaOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings of `DeltaOfflineStore` in ``feature_store.yaml``."""

    type: Literal["include.adapters.feature_store.delta_offline_store.DeltaOfflineStore"] = (
        "include.adapters.feature_store.delta_offline_store.DeltaOfflineStore"
    )
    lake_uri: str | None = None
    """Root of the tables; default: the environment's ``MLOPS_LAKE_URI``."""
    known_at: bool = True
    """Let ``get_historical_features`` see only rows that had been created by each entity row's time."""


class DeltaRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """A read that happens when its result is asked for.

    Parameters
    ----------
    evaluate : callable
        Returns the rows.
    metadata : RetrievalMetadata, optional
        What was asked for.
    on_demand_feature_views : sequence of OnDemandFeatureView
        Transformations that Feast applies to the rows.
    full_feature_names : bool
        Whether features carry their view's name.
    """

    def __init__(
        self,
        evaluate: Callable[[], pa.Table],
        *,
        metadata: RetrievalMetadata | None = None,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        full_feature_names: bool = False,
    ) -> None:
        self._evaluate = evaluate
        self._metadata = metadata
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._full_feature_names = full_feature_names

    @property
    def full_feature_names(self) -> bool:
        """Whether features carry their view's name."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Transformations that Feast applies to the rows."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for."""
        return self._metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self._evaluate()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._evaluate().to_pandas()
        return frame


class DeltaOfflineStore(OfflineStore):  # type: ignore[misc]
    """Reads feature tables of the lake; a source's ``path`` is the table's name."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return, of the rows that stand between the two dates (both included), each key's newest."""
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        columns = _distinct([*join_key_columns, *feature_name_columns, *times])

        def evaluate() -> pa.Table:
            rows = _read(config, data_source, columns, timestamp_field, start_date, end_date)
            sql = _NEWEST.format(keys=_names(join_key_columns), times=", ".join(f'"{name}" DESC' for name in times))
            engine = DuckDbCompute(Settings.from_env().memory_limit)
            return engine.run_select(sql, {"features": rows}, purpose=f"the newest rows of {data_source.name}")

        return DeltaRetrievalJob(evaluate)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return every row that stands between the two dates, both included."""
        times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        columns = _distinct([*join_key_columns, *feature_name_columns, *times])
        return DeltaRetrievalJob(lambda: _read(config, data_source, columns, timestamp_field, start_date, end_date))

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **kwargs: Any,
    ) -> RetrievalJob:
        """Return every entity row, in its order, with the features as they stood at its time.

        Of a key's feature rows the one with the newest event time counts, at most `ttl` old (inclusive);
        of equal event times the newest created one. Only rows that were created by the entity's time are
        seen, unless ``filter_by_created_timestamp=False`` is passed or, as Feast's own call doesn't pass a
        False on, the store's setting ``known_at`` is off. Where nothing matches, features are null.

        Raises
        ------
        UsageError
            If `entity_df` isn't a frame with a column ``event_timestamp`` of aware times, holds a feature's
            name, or lacks a join key; or if a feature is unknown.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise UsageError(
                f"the Delta offline store joins on a frame with a column {EVENT_TIMESTAMP!r}; SQL and date ranges "
                "aren't supported: pass entity rows"
            )
        known_at = bool(kwargs.get("filter_by_created_timestamp", config.offline_store.known_at))
        entities = entity_rows(entity_df)
        wanted = [Wanted.of(_on_delta(v), feature_refs, full_feature_names=full_feature_names) for v in feature_views]

        def evaluate() -> pa.Table:
            rows, lake = entities, _lake(config)
            for view in wanted:
                rows = with_features(rows, entities, view, lake, known_at=known_at)
            return rows

        return DeltaRetrievalJob(
            evaluate,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entity_df.columns if name != EVENT_TIMESTAMP],
                min_event_timestamp=entity_df[EVENT_TIMESTAMP].min(),
                max_event_timestamp=entity_df[EVENT_TIMESTAMP].max(),
            ),
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
        )


def seeing_all(config: RepoConfig) -> RepoConfig:
    """Return Feast's configuration with ``known_at`` off: what was created later is seen too."""
    changed = config.model_copy(update={"offline_config": config.offline_store.model_copy(update={"known_at": False})})
    # Feast keeps the store's settings that it has parsed.
    changed._offline_store = None
    return changed


def _read(
    config: RepoConfig,
    source: DataSource,
    columns: list[str],
    timestamp_field: str,
    start: datetime | None,
    end: datetime | None,
) -> pa.Table:
    first, last = _aware(start), _aware(end)
    rows = _lake(config).dataset(_checked(source).path, within=Span(timestamp_field, first, last))
    conditions = [
        *([pc.field(timestamp_field) >= pa.scalar(first, _INSTANT)] if first else []),
        *([pc.field(timestamp_field) <= pa.scalar(last, _INSTANT)] if last else []),
    ]
    return rows.to_table(columns=columns, filter=reduce(and_, conditions) if conditions else None)


def _lake(config: RepoConfig) -> LakeAdapter:
    settings = Settings.from_env()
    lake_uri = config.offline_store.lake_uri
    return LakeAdapter.from_settings(replace(settings, lake_uri=lake_uri) if lake_uri else settings)


def _on_delta(view: FeatureView) -> FeatureView:
    _checked(view.batch_source)
    return view


def _checked(source: DataSource) -> FileSource:
    if not isinstance(source, FileSource):
        raise MlopsError(f"the Delta offline store reads FileSource only, {source.name} is a {type(source).__name__}")
    return source


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
