"""The peers of the point-in-time join: Feast's own offline stores, and plans by hand in DuckDB and polars.

What belongs here: the peers of one benchmark, each as fast as we could make it, and the Feast objects that they and
this project are asked through. What does not: this project's own way.

Feast's DuckDB store runs its own code path, but for one function: with DuckDB 2.0 its reader of Delta tables wants
an extension that is downloaded, so `_read_data_source` is replaced by one that registers the table's files as an
Arrow dataset. Feast's file store is given the table's Parquet files: it can't read Delta's log.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TABLE = "features/customer"
_TTL_DAYS = 31
_FEATURES = {
    "orders_30d": "Int64",
    "products_90d": "Int64",
    "spend_30d": "Float64",
    "avg_order_value": "Float32",
    "days_since_last": "Float64",
}

# "Newest so far" changes only when a row comes into sight; each entity row looks up the last such moment. Keys
# and times first, the features of the rows that were found after.
_AS_OF = """
WITH stored AS (
    SELECT customer_id, event_timestamp AS event, created_timestamp AS created, row_number() OVER () - 1 AS number
    FROM features
),
newest AS (
    SELECT
        customer_id,
        greatest(event, created) AS seen,
        MAX({'event': event, 'created': created, 'number': number}) OVER (
            PARTITION BY customer_id ORDER BY greatest(event, created)
        ) AS feature
    FROM stored
)
SELECT
    entities.row AS row,
    CASE WHEN feature.event >= event_timestamp - INTERVAL 31 DAY THEN feature.number END AS number
FROM entities ASOF LEFT JOIN newest
    ON entities.customer_id = newest.customer_id AND entities.event_timestamp >= newest.seen
ORDER BY row
"""


def asked_of_feast(root: str, offline_store: dict[str, Any], *, path: str) -> Callable[[], pa.Table]:
    """Return `get_historical_features` of all features for all entity rows, with the created filter, on a store.

    Parameters
    ----------
    root : str
        Folder of the lake and of ``entities.parquet``.
    offline_store : dict
        Feast's description of the store.
    path : str
        What the store's source is called.
    """
    import feast.types as types
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.data_format import DeltaFormat, ParquetFormat

    home = tempfile.mkdtemp(prefix="feast-", dir=root)
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=f"{home}/registry.db",
            online_store={"type": "sqlite", "path": f"{home}/online.db"},
            offline_store=offline_store,
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    source = FileSource(
        name="customer_source",
        path=path,
        file_format=ParquetFormat() if offline_store["type"] == "dask" else DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    columns = {"customer_id": "String", **_FEATURES}
    view = FeatureView(
        name="customer",
        entities=[customer],
        ttl=timedelta(days=_TTL_DAYS),
        schema=[Field(name=name, dtype=getattr(types, dtype)) for name, dtype in columns.items()],
        source=source,
    )
    store.apply([customer, view])
    asked = [f"customer:{name}" for name in _FEATURES]
    frame = pq.read_table(Path(root) / "entities.parquet").to_pandas()
    return lambda: store.get_historical_features(frame, asked, filter_by_created_timestamp=True).to_arrow()


def feast_duckdb(root: str) -> Callable[[], pa.Table]:
    """Return Feast's DuckDB store."""
    import feast.infra.offline_stores.duckdb as feast_duckdb_store
    import ibis  # type: ignore[import-untyped]
    from deltalake import DeltaTable

    def read(source: Any, repo_path: str) -> Any:
        backend = ibis.get_backend()
        backend.con.register("feature_rows", DeltaTable(source.path).to_pyarrow_dataset())
        return backend.table("feature_rows")

    feast_duckdb_store._read_data_source = read
    return asked_of_feast(root, {"type": "duckdb"}, path=str(Path(root) / _TABLE))


def feast_file(root: str) -> Callable[[], pa.Table]:
    """Return Feast's default store, on files by dask."""
    return asked_of_feast(root, {"type": "dask"}, path=str(Path(root) / _TABLE))


def duckdb_by_hand(root: str) -> Callable[[], pa.Table]:
    """Return DuckDB's ASOF join of keys and times, then the features by row number."""
    import duckdb
    from deltalake import DeltaTable

    def run() -> pa.Table:
        entities = pq.read_table(Path(root) / "entities.parquet")
        files = DeltaTable(str(Path(root) / _TABLE)).to_pyarrow_dataset()
        features = files.to_table(columns=["customer_id", "event_timestamp", "created_timestamp", *_FEATURES])
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("features", features.select(["customer_id", "event_timestamp", "created_timestamp"]))
            connection.register("entities", entities)
            found = connection.sql(_AS_OF).to_arrow_table()
        matched = features.select(list(_FEATURES)).take(found["number"])
        for name in _FEATURES:
            entities = entities.append_column(name, matched[name])
        return entities

    return run


def polars_by_hand(root: str) -> Callable[[], pa.Table]:
    """Return polars' join_asof on the time from which a row was seen, rows that are older than a seen one left out."""
    import polars as pl

    key, event, created, c = "customer_id", "event_timestamp", "created_timestamp", pl.col

    def run() -> pa.Table:
        stored = (
            pl.scan_parquet(f"{root}/{_TABLE}/*/*.parquet", hive_partitioning=False)
            .select(key, event, created, *_FEATURES)
            .with_columns(seen=pl.max_horizontal(event, created))
            .sort("seen", event, created)
            .filter(c(event) == c(event).cum_max().over(key))
        )
        joined = (
            pl.scan_parquet(f"{root}/entities.parquet")
            .sort(event)
            .join_asof(
                stored.rename({event: "at"}).set_sorted("seen"),
                left_on=event,
                right_on="seen",
                by=key,
                strategy="backward",
                check_sortedness=False,
            )
            .with_columns(
                pl.when(c("at") >= c(event) - pl.duration(days=_TTL_DAYS)).then(c(name)) for name in _FEATURES
            )
            .sort("row")
            .select(key, event, "row", *_FEATURES)
        )
        return joined.collect().to_arrow()

    return run
