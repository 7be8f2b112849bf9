"""Reading features from PostgreSQL, in Feast's layout.

What belongs here: the read. What does not: its connection, and writing (``guarded_postgres``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from include.adapters.online.stored_columns import Fetch, StoredColumn, ViewColumns

_READ = """
SELECT {place}, entity_key, feature_name, value,
    (EXTRACT(EPOCH FROM event_ts) * 1000000)::bigint, (EXTRACT(EPOCH FROM created_ts) * 1000000)::bigint
FROM {table} WHERE entity_key = ANY(%s) AND feature_name = ANY(%s)
"""


def prepare_postgres_read(
    connect: Callable[[], psycopg.Connection], schema: str, project: str, wanted: Sequence[ViewColumns]
) -> Fetch:
    """Return a read of one query for all views.

    Parameters
    ----------
    connect : callable
        Gives an open connection in autocommit, at each read.
    schema, project : str
        Where the tables are, and what their names begin with.
    wanted : sequence of ViewColumns
    """
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL(_READ).format(place=sql.Literal(place), table=sql.Identifier(schema, f"{project}_{columns.view}"))
        for place, columns in enumerate(wanted)
    )

    def fetch(keys: Sequence[bytes]) -> list[list[StoredColumn]]:
        found = [{name: StoredColumn.of_nothing(len(keys)) for name in columns.features} for columns in wanted]
        rows = {key: row for row, key in enumerate(keys)}
        asked = list(keys)
        parameters = [item for columns in wanted for item in (asked, list(columns.features))]
        with connect().cursor(binary=True) as cursor:
            cursor.execute(query, parameters, prepare=True)
            for place, key, feature, value, event, created in cursor.fetchall():
                column, row = found[place][feature], rows[key]
                column.values[row], column.event_us[row], column.created_us[row] = value, event, created
        return [list(columns.values()) for columns in found]

    fetch([b""])
    return fetch
