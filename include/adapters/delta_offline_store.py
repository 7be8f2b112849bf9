"""Feast's offline store on the lake's Delta tables, loaded by Feast by its class path.

What belongs here: Feast's three reads (newest, all, as of an entity's time) on a Delta table. What does
not: feature definitions, and writing: a feature table is only written by its build.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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

from include.adapters.compute_duckdb import run_select
from include.adapters.lake import LakeAdapter
from include.errors import MlopsError, UsageError
from include.settings import Settings

_INSTANT = pa.timestamp("us", tz="UTC")
_ENTITY_TIME = "event_timestamp"
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

# Of a key's rows the join wants the newest that could be seen at the entity's time. "Newest so far" only
# changes when a row comes into sight, so it is computed once per row, and each entity row looks up the
# last such moment. A row of an expired newest has no fresher one: ttl is checked after.
_AS_OF = """
WITH newest AS (
    SELECT
        {keys},
        seen_at,
        MAX({{'event': event_at, 'created': created_at, 'row': feature_row}}) OVER (
            PARTITION BY {keys} ORDER BY seen_at
        ) AS feature
    FROM features
)
SELECT CASE WHEN feature.event >= entity_at - to_seconds($ttl_seconds) THEN feature.row END AS feature_row
FROM entities ASOF LEFT JOIN newest ON {matches} AND entities.entity_at >= newest.seen_at
ORDER BY entity_row
"""

_NEWEST = """
SELECT * FROM features
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {times}) = 1
ORDER BY {keys}
"""


class DeltaOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings of `DeltaOfflineStore` in ``feature_store.yaml``."""

    type: Literal["include.adapters.delta_offline_store.DeltaOfflineStore"] = (
        "include.adapters.delta_offline_store.DeltaOfflineStore"
    )
    lake_uri: str | None = None
    """Root of the tables; default: the environment's ``MLOPS_LAKE_URI``."""


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
            return run_select(sql, {"features": rows}, purpose=f"the newest rows of {data_source.name}")

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
        of equal event times the newest created one. With ``filter_by_created_timestamp`` only rows that
        were created by the entity's time are seen. Where nothing matches, features are null.

        Raises
        ------
        UsageError
            If `entity_df` isn't a frame with a column ``event_timestamp``, or holds a feature's name.
        """
        if not isinstance(entity_df, pd.DataFrame) or _ENTITY_TIME not in entity_df.columns:
            raise UsageError(
                f"the Delta offline store joins on a frame with a column {_ENTITY_TIME!r}; SQL and date ranges "
                "aren't supported: pass entity rows"
            )
        known_at = bool(kwargs.get("filter_by_created_timestamp", False))
        entities = pa.Table.from_pandas(entity_df, preserve_index=False)

        def evaluate() -> pa.Table:
            rows = entities
            for view in feature_views:
                wanted = _Wanted.of(view, feature_refs, full_feature_names=full_feature_names)
                rows = _with_features(rows, entities, view, wanted, config, known_at=known_at)
            return rows

        return DeltaRetrievalJob(
            evaluate,
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entity_df.columns if name != _ENTITY_TIME],
                min_event_timestamp=entity_df[_ENTITY_TIME].min(),
                max_event_timestamp=entity_df[_ENTITY_TIME].max(),
            ),
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            full_feature_names=full_feature_names,
        )


@dataclass(frozen=True)
class _Wanted:
    """What is taken from a view: stored names and the names they get; join keys likewise."""

    features: dict[str, str]
    keys: dict[str, str]

    @classmethod
    def of(cls, view: FeatureView, feature_refs: list[str], *, full_feature_names: bool) -> _Wanted:
        prefix = view.projection.name_to_use()
        names = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == prefix]
        features = {name: f"{prefix}__{name}" if full_feature_names else name for name in names}
        renamed = view.projection.join_key_map
        return cls(features, {key.name: renamed.get(key.name, key.name) for key in view.entity_columns})


def _with_features(
    rows: pa.Table, entities: pa.Table, view: FeatureView, wanted: _Wanted, config: RepoConfig, *, known_at: bool
) -> pa.Table:
    if taken := set(wanted.features.values()) & set(rows.column_names):
        raise UsageError(f"entity rows already have the columns {sorted(taken)}; rename them, or leave them out")
    source = view.batch_source
    event, created = source.timestamp_field, source.created_timestamp_column or source.timestamp_field
    asked = pc.cast(entities[_ENTITY_TIME], _INSTANT, safe=False)
    span = pc.min_max(asked).as_py()
    # Feast's "no ttl" is null or zero: a lifetime that nothing outlives.
    ttl = view.ttl or (span["max"] - _EARLIEST if span["max"] else timedelta(0))
    earliest = max(span["min"] - ttl, _EARLIEST) if span["min"] else None
    columns = _distinct([*wanted.keys, *wanted.features, event, created])
    features = _read(config, source, columns, event, earliest, span["max"])
    keyed = pa.table(
        {
            **{key: features[key] for key in wanted.keys},
            "event_at": features[event],
            "created_at": features[created],
            "seen_at": _later(features[event], features[created]) if known_at else features[event],
            "feature_row": pa.array(range(features.num_rows), pa.int64()),
        }
    )
    asking = pa.table(
        {
            **{key: entities[name].cast(keyed[key].type) for key, name in wanted.keys.items()},
            "entity_at": asked,
            "entity_row": pa.array(range(entities.num_rows), pa.int64()),
        }
    )
    sql = _AS_OF.format(
        keys=_names(wanted.keys), matches=" AND ".join(f'entities."{key}" = newest."{key}"' for key in wanted.keys)
    )
    found = run_select(
        sql,
        {"features": keyed, "entities": asking},
        purpose=f"the point-in-time join of {view.name}",
        parameters={"ttl_seconds": ttl.total_seconds()},
    )["feature_row"]
    matched = features.select(list(wanted.features)).take(found)
    for name, column in zip(wanted.features.values(), matched.columns, strict=True):
        rows = rows.append_column(name, column)
    return rows


def _read(
    config: RepoConfig,
    source: DataSource,
    columns: list[str],
    timestamp_field: str,
    start: datetime | None,
    end: datetime | None,
) -> pa.Table:
    if not isinstance(source, FileSource):
        raise MlopsError(f"the Delta offline store reads FileSource only, {source.name} is a {type(source).__name__}")
    settings = Settings.from_env()
    lake_uri = config.offline_store.lake_uri
    lake = LakeAdapter.from_settings(replace(settings, lake_uri=lake_uri) if lake_uri else settings)
    condition = None
    if start is not None:
        condition = pc.field(timestamp_field) >= _instant(start)
    if end is not None:
        until = pc.field(timestamp_field) <= _instant(end)
        condition = until if condition is None else condition & until
    return lake.dataset(source.path).to_table(columns=columns, filter=condition)


def _later(event: pa.ChunkedArray, created: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.fill_null(pc.greater(created, event), False), created, event)


def _instant(moment: datetime) -> pa.Scalar:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return pa.scalar(aware, _INSTANT)


def _names(columns: Sequence[str] | dict[str, str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _distinct(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(names))
