"""Feast's online stores with a guard inside the database: an older row never overwrites a newer one.

What belongs here: the guards, what lets a store be named by one URL, and PostgreSQL's bulk write, in Feast's
layout. What does not: reading features and the other stores' writing, which stay Feast's.

Feast upserts without comparing times, so that a partition materialised late would take features back.
The guard is a trigger in the store itself: it holds for ``feast materialize``, push, and any other writer.
Times are compared as (event, created); a rewrite with equal times goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from feast import Entity, FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _to_naive_utc, compute_table_id, extract_text_and_num
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
)
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from psycopg import sql
from pydantic import model_validator
from sqlalchemy.engine import make_url

_OLDER = """
    (NEW.event_ts, COALESCE(NEW.created_ts, NEW.event_ts)) < (OLD.event_ts, COALESCE(OLD.created_ts, OLD.event_ts))
"""

# An entity, its features, and when they happened and became known: what Feast hands to a store.
_Row: TypeAlias = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

_COPY = "COPY arriving (entity_key, feature_name, value, value_text, event_ts, created_ts) FROM STDIN (FORMAT BINARY)"

# In the order of the key, so that two writers never wait for one another; of an entity's rows the newest.
_UPSERT = """
INSERT INTO {table} (entity_key, feature_name, value, value_text, event_ts, created_ts)
SELECT DISTINCT ON (entity_key, feature_name) entity_key, feature_name, value, value_text, event_ts, created_ts
FROM arriving
ORDER BY entity_key, feature_name, event_ts DESC, created_ts DESC NULLS LAST
ON CONFLICT (entity_key, feature_name) DO UPDATE SET
    value = EXCLUDED.value, value_text = EXCLUDED.value_text,
    event_ts = EXCLUDED.event_ts, created_ts = EXCLUDED.created_ts
"""

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION {schema}.keep_newest_feature() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RETURN NULL; END'
"""

_POSTGRES_TRIGGER = (
    """
CREATE OR REPLACE TRIGGER keep_newest BEFORE UPDATE ON {schema}.{table}
FOR EACH ROW WHEN (
"""
    + _OLDER
    + """
) EXECUTE FUNCTION {schema}.keep_newest_feature()
"""
)

_SQLITE_TRIGGER = (
    """
CREATE TRIGGER IF NOT EXISTS "{table}_keep_newest" BEFORE UPDATE ON "{table}"
FOR EACH ROW WHEN
"""
    + _OLDER
    + """
BEGIN SELECT RAISE(IGNORE); END
"""
)


class GuardedPostgreSQLOnlineStoreConfig(PostgreSQLOnlineStoreConfig):  # type: ignore[misc]
    """Feast's PostgreSQL settings, or one SQLAlchemy ``url`` in their place."""

    # Feast's store asserts this very word; the class path has done its work when it is read.
    type: Literal["postgres"] = "postgres"

    @model_validator(mode="before")
    @classmethod
    def _read_url(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        given = {**values, "type": "postgres"}
        if (address := given.pop("url", None)) is None:
            return given
        url = make_url(address)
        query = {name: value if isinstance(value, str) else value[0] for name, value in url.query.items()}
        return {
            "host": url.host or query.get("host", "localhost"),
            "port": url.port or int(query.get("port", 5432)),
            "database": url.database,
            "user": url.username or "postgres",
            "password": url.password or "",
            # libpq's own default; Feast's is "require", which a Unix socket can't give.
            "sslmode": query.get("sslmode", "prefer"),
            **given,
        }


class GuardedPostgreSQLOnlineStore(PostgreSQLOnlineStore):  # type: ignore[misc]
    """PostgreSQL online store whose tables refuse older rows."""

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables as Feast does, and put the guard on them."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        schema = sql.Identifier(config.online_store.db_schema or config.online_store.user)
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(_POSTGRES_FUNCTION).format(schema=schema))
            for table in _table_names(config, tables_to_keep):
                cursor.execute(sql.SQL(_POSTGRES_TRIGGER).format(schema=schema, table=sql.Identifier(table)))
            connection.commit()

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[_Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows in Feast's own layout by one COPY and one upsert, instead of one statement for each feature."""
        [name] = _table_names(config, [table])
        schema = sql.Identifier(config.online_store.db_schema or config.online_store.user)
        target = sql.SQL("{}.{}").format(schema, sql.Identifier(name))
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            has_more_columns = config.online_store.vector_enabled or self._check_table_has_value_num(
                cursor, name, config
            )
            if not has_more_columns:
                cursor.execute(sql.SQL("CREATE TEMPORARY TABLE arriving (LIKE {}) ON COMMIT DROP").format(target))
                with cursor.copy(_COPY) as copy:
                    copy.set_types(["bytea", "text", "bytea", "text", "timestamp", "timestamp"])
                    for row in _flat(data, config.entity_key_serialization_version):
                        copy.write_row(row)
                cursor.execute(sql.SQL(_UPSERT).format(table=target))
                connection.commit()
        if has_more_columns:
            super().online_write_batch(config, table, list(data), progress)
        elif progress:
            progress(len(data))


def _flat(data: Sequence[_Row], key_version: int) -> Iterator[tuple[object, ...]]:
    for entity, values, event, created in data:
        key = serialize_entity_key(entity, entity_key_serialization_version=key_version)
        event_ts, created_ts = _to_naive_utc(event), None if created is None else _to_naive_utc(created)
        for feature, value in values.items():
            text, _ = extract_text_and_num(value, False)
            yield key, feature, value.SerializeToString(), text, event_ts, created_ts


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """Feast's SQLite settings, or one SQLAlchemy ``url`` in place of ``path``."""

    # Not "sqlite": for that word Feast would make tables by another way than `update`, without the guard.
    type: Literal["include.adapters.guarded_online_stores.GuardedSqliteOnlineStore"] = (
        "include.adapters.guarded_online_stores.GuardedSqliteOnlineStore"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_url(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(values)
        if (address := given.pop("url", None)) is None:
            return given
        return {"path": make_url(address).database, **given}


class GuardedSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """SQLite online store whose tables refuse older rows."""

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables as Feast does, and put the guard on them."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        connection = self._get_conn(config)
        for table in _table_names(config, tables_to_keep):
            connection.execute(_SQLITE_TRIGGER.format(table=table))


def _table_names(config: RepoConfig, views: Sequence[FeatureView]) -> list[str]:
    versioned = config.registry.enable_online_feature_view_versioning
    return [compute_table_id(config.project, view, versioned) for view in views]
