"""The log of online vectors: what a model was given and when, to be held against the offline truth.

What belongs here: appending and reading vectors. What does not: serving, and comparing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.delta_lake import LakeAdapter
from include.features.checks import EVENT_TIMESTAMP, PARTITION
from include.tables import online_vectors_name

REQUEST, ASKED_AT = "request_id", EVENT_TIMESTAMP
SERVICE, TABLE_VERSIONS = "feature_service", "table_versions"


def append_vectors(lake: LakeAdapter, model_id: str, vectors: pa.Table) -> None:
    """Add vectors to a model's log; one that is there under the same request is replaced.

    Parameters
    ----------
    lake : LakeAdapter
        Where the log is: a table of the model, by the UTC day of the request.
    model_id : str
        The model.
    vectors : pyarrow.Table
        One row for each request: ``request_id`` (string), the entity key (string), ``event_timestamp``
        (timestamp[us, UTC], when it was asked), ``feature_service`` (string, which the features are of),
        ``table_versions`` (string, a JSON object: of each table, the version that was online), and the features
        as they were answered.
    """
    days = pc.cast(pc.cast(vectors[ASKED_AT], pa.timestamp("us")), pa.date32())
    rows = vectors.append_column(PARTITION, days)

    def with_vectors(present: pa.Table | None) -> pa.Table:
        if present is None:
            return rows
        others = present.filter(pc.invert(pc.is_in(present[REQUEST], rows[REQUEST].combine_chunks())))
        # A model that moved to another version of its service has other columns from then on.
        return pa.concat_tables([others, rows], promote_options="default")

    lake.update(online_vectors_name(model_id), sorted({str(day) for day in days.to_pylist()}), with_vectors)


def read_vectors(lake: LakeAdapter, model_id: str, partition: str) -> pa.Table | None:
    """Return the vectors that were asked for on a day; None where none were."""
    table = online_vectors_name(model_id)
    if partition not in lake.partitions(table):
        return None
    return lake.read(table, start=partition, end=partition).drop_columns([PARTITION])
