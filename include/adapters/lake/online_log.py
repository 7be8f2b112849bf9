"""The log of what models were given and answered online: to be held against the offline truth, and counted.

What belongs here: appending and reading its rows. What does not: serving, and comparing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.appends import append_once
from include.features.checks import EVENT_TIMESTAMP, PARTITION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.adapters.lake.delta_lake import LakeAdapter
    from include.tables import TableSpec

REQUEST, ASKED_AT, STANDS_AT = "request_id", "asked_at", EVENT_TIMESTAMP
SERVICE, TABLE_VERSIONS = "feature_service", "table_versions"


def append_vectors(
    lake: LakeAdapter,
    table: TableSpec,
    vectors: pa.Table,
    *,
    work: str,
    number: int,
    note: Mapping[str, str] | None = None,
) -> bool:
    """Add rows to a model's log, by the UTC day on which they were asked for; say whether they were not there yet.

    Parameters
    ----------
    lake : LakeAdapter
    table : TableSpec
        The model's log.
    vectors : pyarrow.Table
        Columns of the log, ``asked_at`` among them, and the features as they were given to the model (float32).
        Of the others what is not known may be left out.
    work, number, note
        As `append_once` has them.
    """
    days = pc.cast(pc.cast(vectors[ASKED_AT], pa.timestamp("us")), pa.date32())
    own = table.arrow_schema()
    columns = {
        field.name: vectors[field.name].cast(field.type)
        if field.name in vectors.column_names
        else pa.nulls(vectors.num_rows, field.type)
        for field in own
    }
    features = {name: vectors[name].cast(pa.float32()) for name in vectors.column_names if name not in own.names}
    rows = pa.table({**columns, **features, PARTITION: days})
    return append_once(lake, table.name, rows, work=work, number=number, note=note)


def read_vectors(lake: LakeAdapter, table: str, partition: str) -> pa.Table | None:
    """Return the rows of a day that can be held against the offline truth; None where there are none.

    Those are vectors of which it is known which versions of the tables were online when they were read.
    """
    if partition not in lake.partitions(table):
        return None
    found = lake.read(table, start=partition, end=partition).drop_columns([PARTITION])
    comparable = found.filter(pc.is_valid(found[TABLE_VERSIONS]))
    return comparable if comparable.num_rows else None
