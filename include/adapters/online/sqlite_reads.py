"""Reading features from a SQLite file, in Feast's layout.

What belongs here: the read, and how event times are stored there (``guarded_sqlite`` says why). What does not: writing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from include.adapters.online.stored_columns import Fetch, StoredColumn, ViewColumns
from include.adapters.online.stored_values import MICROSECOND, microseconds

# Below the 32,766 variables that a statement may have since SQLite 3.32.
_KEYS_PER_QUERY = 10_000

_READ = """
SELECT entity_key, feature_name, value, CAST(event_ts AS INTEGER), CAST(created_ts AS REAL) FROM "{table}"
WHERE entity_key IN ({keys}) AND feature_name IN ({features})
"""


def prepare_sqlite_read(connection: sqlite3.Connection, project: str, wanted: Sequence[ViewColumns]) -> Fetch:
    """Return a read of one query per view."""

    def fetch(keys: Sequence[bytes]) -> list[list[StoredColumn]]:
        return [_read(connection, f"{project}_{columns.view}", columns.features, keys) for columns in wanted]

    fetch([b""])
    return fetch


def _read(
    connection: sqlite3.Connection, table: str, features: tuple[str, ...], keys: Sequence[bytes]
) -> list[StoredColumn]:
    columns = {feature: StoredColumn.of_nothing(len(keys)) for feature in features}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        asked = keys[start : start + _KEYS_PER_QUERY]
        place = {key: start + offset for offset, key in enumerate(asked)}
        sql = _READ.format(table=table, keys=",".join("?" * len(asked)), features=",".join("?" * len(features)))
        for key, feature, value, event, created in connection.execute(sql, (*asked, *features)):
            column, row = columns[feature], place[key]
            column.values[row] = value
            column.event_us[row] = _event_us(event)
            column.created_us[row] = None if created is None else round(created * MICROSECOND)
    return list(columns.values())


# Rows of a partition share their times: the same few are asked for again and again.
@lru_cache(maxsize=4096)
def _event_us(stored: int) -> int:
    """Return the microseconds since 1970 of an event time as Feast stores it."""
    return microseconds(datetime.fromtimestamp(stored))  # noqa: DTZ006 - as Feast's own converter does
