"""Feast's PostgreSQL online store with a guard in the database: an older row never replaces a newer one.

What belongs here: the guard and the bulk write on PostgreSQL. What does not: the bytes of COPY (``postgres_copy``), and
the read (``postgres_reads``).

Feast upserts without comparing times, so that a partition materialised late would take features back. The guard is a
trigger: it holds for Feast's commands and for any other writer. Times are compared as (event, created); a rewrite
with equal times goes through.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from itertools import zip_longest
from typing import Any, Literal

import psycopg
from feast import Entity, FeatureView
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
)
from feast.infra.utils.postgres.connection_utils import _get_conn as connect
from feast.repo_config import RepoConfig
from psycopg import sql
from pydantic import model_validator
from sqlalchemy.engine import URL, make_url

from include.adapters.online.guarded_tables import GuardedTables, table_name
from include.adapters.online.online_store import Progress
from include.adapters.online.postgres_copy import copy_stream
from include.adapters.online.postgres_reads import prepare_postgres_read
from include.adapters.online.rows import EncodedRows
from include.adapters.online.stored_columns import Fetch, ViewColumns
from include.errors import UsageError, nearest

# What a URL may say after "?": libpq's words, and Feast's for those that it doesn't call by the same one.
_PARAMETERS = {
    "host": "host",
    "port": "port",
    "sslmode": "sslmode",
    "sslrootcert": "sslrootcert_path",
    "sslcert": "sslcert_path",
    "sslkey": "sslkey_path",
}

_FUNCTION = """
CREATE OR REPLACE FUNCTION {schema}.keep_newest_feature() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RETURN NULL; END'
"""

_TRIGGER = """
CREATE OR REPLACE TRIGGER keep_newest BEFORE UPDATE ON {table} FOR EACH ROW WHEN (
    (NEW.event_ts, COALESCE(NEW.created_ts, NEW.event_ts)) < (OLD.event_ts, COALESCE(OLD.created_ts, OLD.event_ts))
) EXECUTE FUNCTION {schema}.keep_newest_feature()
"""

# Rows are rewritten every day: with room on their page a new version stays on it, and no index is touched.
_FILL = "ALTER TABLE {table} SET (fillfactor = 50)"

# Feast's second index is a prefix of the primary key and costs a third of a write. It is found by its name at the
# next apply: an empty one stays, one that was dropped would be built anew.
_IS_WHOLE_INDEX = "SELECT indpred IS NULL FROM pg_index WHERE indexrelid = to_regclass(%s)"
_EMPTY_INDEX = "DROP INDEX {index}; CREATE INDEX {name} ON {table} (entity_key) WHERE false"

# The primary key answers: its order is asked for, so that a table without statistics isn't read as a whole.
_IS_HELD = "SELECT true FROM {table} WHERE entity_key BETWEEN %s AND %s ORDER BY entity_key LIMIT 1"

_COPY = "COPY {table} (entity_key, feature_name, value, value_text, event_ts, created_ts) FROM STDIN (FORMAT BINARY)"

# Rows arrive in the order of the key, each once, so that two writers lock in one order and never wait in a ring.
_UPSERT = """
INSERT INTO {table} (entity_key, feature_name, value, value_text, event_ts, created_ts)
SELECT entity_key, feature_name, value, value_text, event_ts, created_ts FROM arriving
ON CONFLICT (entity_key, feature_name) DO UPDATE SET
    value = EXCLUDED.value, value_text = EXCLUDED.value_text,
    event_ts = EXCLUDED.event_ts, created_ts = EXCLUDED.created_ts
"""


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
        said = _parameters(url)
        return {
            **said,
            "host": url.host or said.get("host", "localhost"),
            "port": url.port or said.get("port", 5432),
            "database": url.database,
            "user": url.username or "postgres",
            "password": url.password or "",
            # libpq's own default; Feast's is "require", which a Unix socket can't give.
            "sslmode": said.get("sslmode", "prefer"),
            **given,
        }


def _parameters(url: URL) -> dict[str, str]:
    """Return Feast's settings that a URL makes behind "?"."""
    for name in url.query:
        if name not in _PARAMETERS:
            raise UsageError(
                f"the URL of the online store has a parameter {name!r}, which Feast can't be given"
                f"{nearest(name, _PARAMETERS)}; it may have {', '.join(_PARAMETERS)} (MLOPS_FEAST_ONLINE_URL)"
            )
    return {_PARAMETERS[name]: said if isinstance(said, str) else said[0] for name, said in url.query.items()}


class GuardedPostgreSQLOnlineStore(GuardedTables, PostgreSQLOnlineStore):  # type: ignore[misc]
    """PostgreSQL online store whose tables refuse older rows."""

    # A transaction; two are in memory at once.
    rows_per_chunk = 10_000

    _conn: psycopg.Connection | None = None
    # Apart from Feast's connection, which a writer of another thread may have in a transaction.
    _reading: psycopg.Connection | None = None

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Make the tables as Feast does, put the guard on them, and make them cheap to write."""
        super().update(config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial)
        schema = _schema(config)
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(_FUNCTION).format(schema=schema))
            for view in tables_to_keep:
                table = _table(config, view)
                cursor.execute(sql.SQL(_TRIGGER).format(schema=schema, table=table))
                cursor.execute(sql.SQL(_FILL).format(table=table))
                name = sql.Identifier(f"{table_name(config, view)}_ek")
                index = sql.SQL("{}.{}").format(schema, name)
                if cursor.execute(_IS_WHOLE_INDEX, (index.as_string(cursor),)).fetchone() == (True,):
                    cursor.execute(sql.SQL(_EMPTY_INDEX).format(index=index, name=name, table=table))
            connection.commit()

    def prepare_read(self, config: RepoConfig, wanted: Sequence[ViewColumns]) -> Fetch:
        """Return a read of one query for all views."""
        schema = config.online_store.db_schema or config.online_store.user
        return prepare_postgres_read(lambda: self._reading_connection(config), schema, config.project, wanted)

    def forget(self, config: RepoConfig, views: Sequence[FeatureView], keys: Sequence[bytes]) -> dict[str, int]:
        """Delete the keys' rows of every view, in one transaction."""
        removed: dict[str, int] = {}
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            for view in views:
                delete = sql.SQL("DELETE FROM {} WHERE entity_key = %s").format(_table(config, view))
                removed[view.name] = sum(cursor.execute(delete, (key,)).rowcount > 0 for key in keys)
            connection.commit()
        return removed

    def _keys_with(self, config: RepoConfig, view: FeatureView, within: bytes) -> Iterable[bytes]:
        find = sql.SQL("SELECT DISTINCT entity_key FROM {} WHERE position(%s IN entity_key) > 0")
        with self._reading_connection(config).cursor() as cursor:
            return [key for (key,) in cursor.execute(find.format(_table(config, view)), (within,))]

    def _write(
        self, config: RepoConfig, view: FeatureView, chunks: Iterable[EncodedRows], progress: Progress | None
    ) -> None:
        target = _table(config, view)
        pending = iter(chunks)
        with self._get_conn(config) as connection, ExitStack() as stack:
            # The server's work is what takes time, and it does one statement of a connection on one core.
            pool = stack.enter_context(ThreadPoolExecutor(1))
            beside: psycopg.Connection | None = None
            for mine, theirs in zip_longest(pending, pending):
                waiting = None
                if theirs is not None:
                    beside = beside or stack.enter_context(closing(connect(config.online_store)))
                    waiting = pool.submit(_write_chunk, beside, target, theirs)
                try:
                    _write_chunk(connection, target, mine)
                finally:
                    # Its connection must not be closed under it.
                    wait([waiting] if waiting is not None else [])
                if waiting is not None:
                    waiting.result()
                if progress:
                    progress(len(mine) + (len(theirs) if theirs is not None else 0))

    def _has_more_columns(self, config: RepoConfig, view: FeatureView) -> bool:
        if config.online_store.vector_enabled:
            return True
        with self._get_conn(config) as connection, connection.cursor() as cursor:
            found: bool = self._check_table_has_value_num(cursor, table_name(config, view), config)
            connection.commit()
            return found

    @contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        # Feast keeps one connection for good: it must survive a restarted server and a failed statement.
        if self._conn is not None and self._conn.closed:
            self._conn = None
        with super()._get_conn(config, autocommit) as connection:
            try:
                yield connection
            except BaseException:
                if not connection.closed:
                    connection.rollback()
                raise

    def _reading_connection(self, config: RepoConfig) -> psycopg.Connection:
        if self._reading is None or self._reading.closed:
            self._reading = connect(config.online_store)
            self._reading.autocommit = True
        return self._reading


def _write_chunk(connection: psycopg.Connection, target: sql.Composed, rows: EncodedRows) -> None:
    with connection.cursor() as cursor:
        if not _added(cursor, target, rows):
            arriving = sql.Identifier("arriving")
            cursor.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {}) ON COMMIT DROP").format(arriving, target))
            _copy(cursor, arriving, rows)
            cursor.execute(sql.SQL(_UPSERT).format(table=target))
    connection.commit()


def _added(cursor: psycopg.Cursor, target: sql.Composed, rows: EncodedRows) -> bool:
    """Add rows without an upsert, which takes thrice as long; where the table may hold one of them, add none."""
    if not len(rows):
        return True
    bounds = (rows.keys[0].as_py(), rows.keys[-1].as_py())
    if cursor.execute(sql.SQL(_IS_HELD).format(table=target), bounds).fetchone():
        return False
    try:
        _copy(cursor, target, rows)
    except psycopg.errors.UniqueViolation:
        # Another writer added one of them since: the guard decides.
        cursor.connection.rollback()
        return False
    return True


def _copy(cursor: psycopg.Cursor, table: sql.Composable, rows: EncodedRows) -> None:
    with cursor.copy(sql.SQL(_COPY).format(table=table)) as copy:
        for part in copy_stream(rows):
            copy.write(part)


def _schema(config: RepoConfig) -> sql.Identifier:
    return sql.Identifier(config.online_store.db_schema or config.online_store.user)


def _table(config: RepoConfig, view: FeatureView) -> sql.Composed:
    return sql.SQL("{}.{}").format(_schema(config), sql.Identifier(table_name(config, view)))
