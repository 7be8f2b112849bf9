"""Feast's SQLite online store with a guard in the database: an older row never replaces a newer one.

What belongs here: the guard and the statements on SQLite. What does not: how values become bytes, and the read
(``sqlite_reads``).

Feast upserts without comparing times, so that a partition materialised late would take features back. The guard is a
trigger: it holds for Feast's commands and for any other writer. Times are compared as (event, created); a rewrite
with equal times goes through.

An event time is stored as Feast reads it: whole seconds since 1970 of UTC as if it were the machine's local time.
Two events within one second are equal to the guard. In the hour that local clocks skip in spring no time can be
stored so: events of it are stored, and read back, as the second before it, and are equal to the guard. A created
time, which Feast never reads, is true seconds with microseconds, so that it decides between equal events anywhere.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.repo_config import RepoConfig
from pydantic import model_validator
from sqlalchemy.engine import make_url

from include.adapters.online.guarded_tables import GuardedTables, table_name
from include.adapters.online.online_store import Progress
from include.adapters.online.rows import EncodedRows, Message
from include.adapters.online.sqlite_reads import prepare_sqlite_read
from include.adapters.online.stored_columns import Fetch, ViewColumns
from include.adapters.online.stored_values import MICROSECOND, microseconds

# Other writers of the file go first for at most this long.
_BUSY_MS = 60_000
# A row that says not when it was created is known from its event on, whose true seconds are the local time's text.
_TRIGGER = """
CREATE TRIGGER IF NOT EXISTS "{table}_keep_newest" BEFORE UPDATE ON "{table}"
FOR EACH ROW WHEN
    (NEW.event_ts, COALESCE(NEW.created_ts, CAST(strftime('%s', NEW.event_ts, 'unixepoch', 'localtime') AS INTEGER)))
    < (OLD.event_ts, COALESCE(OLD.created_ts, CAST(strftime('%s', OLD.event_ts, 'unixepoch', 'localtime') AS INTEGER)))
BEGIN SELECT RAISE(IGNORE); END
"""

# Feast's second index is a prefix of the primary key and costs a third of a write. It is found by its name at the
# next apply: an empty one stays, one that was dropped would be built anew.
_IS_WHOLE_INDEX = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ? AND sql NOT LIKE '% WHERE 0'"
_EMPTY_INDEX = 'CREATE INDEX "{table}_ek" ON "{table}" (entity_key) WHERE 0'

# An entity's features in one statement: a statement costs SQLite more than a row.
_UPSERT = """
INSERT INTO "{table}" (entity_key, event_ts, created_ts, feature_name, value, value_text) VALUES {features}
ON CONFLICT (entity_key, feature_name) DO UPDATE SET
    value = excluded.value, value_text = excluded.value_text,
    event_ts = excluded.event_ts, created_ts = excluded.created_ts
"""


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]
    """Feast's SQLite settings, or one SQLAlchemy ``url`` in place of ``path``."""

    # Not "sqlite": for that word Feast would make tables by another way than `update`, without the guard.
    type: Literal["include.adapters.online.guarded_sqlite.GuardedSqliteOnlineStore"] = (
        "include.adapters.online.guarded_sqlite.GuardedSqliteOnlineStore"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_url(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        given = dict(values)
        if (address := given.pop("url", None)) is None:
            return given
        return {"path": make_url(address).database, **given}


class _TimedOnlineStore(SqliteOnlineStore):  # type: ignore[misc]
    """Feast's own write, with times that it stores as this module does."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write Feast's rows, created times to the second."""
        # Of a naive time Feast stores the true seconds.
        local = [
            (
                key,
                values,
                datetime.fromtimestamp(_event_seconds(microseconds(event))),  # noqa: DTZ006
                created and datetime.fromtimestamp(microseconds(created) // MICROSECOND),  # noqa: DTZ006
            )
            for key, values, event, created in data
        ]
        super().online_write_batch(config, table, local, progress)


class GuardedSqliteOnlineStore(GuardedTables, _TimedOnlineStore):
    """SQLite online store whose tables refuse older rows."""

    # A transaction, and what is in memory at once.
    rows_per_chunk = 20_000

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
        connection = self._get_conn(config)
        for view in tables_to_keep:
            table = table_name(config, view)
            connection.execute(_TRIGGER.format(table=table))
            if connection.execute(_IS_WHOLE_INDEX, (f"{table}_ek",)).fetchone():
                connection.execute(f'DROP INDEX "{table}_ek"')
                connection.execute(_EMPTY_INDEX.format(table=table))

    def prepare_read(self, config: RepoConfig, wanted: Sequence[ViewColumns]) -> Fetch:
        """Return a read of one query per view."""
        if not Path(path := self._get_db_path(config)).exists():
            raise sqlite3.OperationalError(f"there is no file {path}")
        return prepare_sqlite_read(self._get_conn(config), config.project, wanted)

    def forget(self, config: RepoConfig, views: Sequence[FeatureView], keys: Sequence[bytes]) -> dict[str, int]:
        """Delete the keys' rows of every view, in one transaction."""
        removed: dict[str, int] = {}
        with self._get_conn(config) as connection:
            for view in views:
                delete = f'DELETE FROM "{table_name(config, view)}" WHERE entity_key = ?'
                removed[view.name] = sum(connection.execute(delete, (key,)).rowcount > 0 for key in keys)
        return removed

    def _keys_with(self, config: RepoConfig, view: FeatureView, within: bytes) -> Iterable[bytes]:
        find = f'SELECT DISTINCT entity_key FROM "{table_name(config, view)}" WHERE instr(entity_key, ?)'
        return (key for (key,) in self._get_conn(config).execute(find, (within,)))

    def _write(
        self, config: RepoConfig, view: FeatureView, chunks: Iterable[EncodedRows], progress: Progress | None
    ) -> None:
        connection = self._get_conn(config)
        table = table_name(config, view)
        for rows in chunks:
            if rows.values:
                with connection:
                    connection.executemany(upsert_statement(table, rows), parameters(rows))
            if progress:
                progress(len(rows))

    def _has_more_columns(self, config: RepoConfig, view: FeatureView) -> bool:
        return bool(config.online_store.vector_enabled or config.online_store.enable_openai_compatible_store)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        is_open = self._conn is not None
        connection: sqlite3.Connection = super()._get_conn(config)
        if not is_open:
            connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        return connection


def upsert_statement(table: str, rows: EncodedRows) -> str:
    """Return the statement that writes an entity of these rows, for what `parameters` gives."""
    quoted = [feature.replace("'", "''") for feature in _features(rows)]
    values = [f"(?1, ?2, ?3, '{feature}', ?{4 + 2 * n}, ?{5 + 2 * n})" for n, feature in enumerate(quoted)]
    return _UPSERT.format(table=table, features=", ".join(values))


def parameters(rows: EncodedRows) -> Iterable[tuple[object, ...]]:
    """Give an entity at a time: its key, event and created time, and each feature's value and text."""
    events = [_event_seconds(us) for us in rows.event_us.to_pylist()]
    created = [None if us is None else us / MICROSECOND for us in rows.created_us.to_pylist()]
    columns = [column for name in _features(rows) for column in (rows.values[name], rows.texts[name])]
    return zip(rows.keys.to_pylist(), events, created, *(column.to_pylist() for column in columns), strict=True)


def _features(rows: EncodedRows) -> list[str]:
    # As they lie in the index.
    return sorted(rows.values)


# Rows of a partition share their times: the same few are asked for again and again.
@lru_cache(maxsize=4096)
def _event_seconds(moment_us: int) -> int:
    """Return the seconds that Feast reads as this moment or, where none are, as the latest one before it."""
    moment = datetime.fromtimestamp(moment_us // MICROSECOND, UTC).replace(tzinfo=None)
    stored, other = int(moment.timestamp()), int(moment.replace(fold=1).timestamp())
    if other >= stored:
        return stored
    # Clocks skip it: read with the offset of before it is too late, with that of after it too early.
    candidates = range(other, stored + 1)
    return candidates[bisect_right(candidates, moment, key=datetime.fromtimestamp) - 1]
