"""Read what tells rows apart: of each the values that its model's feature group had of it.

What belongs here: the columns that a spec's slices name, as they were when the row was scored or learned from. What
does not: which slice a value is of (``monitoring.slices``).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from include import partitions
from include.features.checks import EVENT_TIMESTAMP
from include.quality.sql import column
from include.specs.groups import load_feature_group

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

# When what a row was made of had become known; the row of the group is the newest one that was known by then.
KNOWN_BY = "known_by"
_PLACE = "place"
_STATEMENT = """
SELECT {wanted}
FROM asked ASOF LEFT JOIN stored
    ON {same} AND asked.known_by >= stored.created_timestamp
ORDER BY asked.place
"""


def read_slices(deployment: Deployment, spec: ModelSpec, rows: pa.Table, names: Collection[str]) -> pa.Table:
    """Return columns of the model's feature group beside rows, in their order; null where the lake keeps no row.

    Parameters
    ----------
    rows : pyarrow.Table
        The entity keys, ``event_timestamp`` and ``known_by``. Columns that they have are not read again.
    names : collection of str
        Of the group's columns.
    """
    unread = [name for name in names if name not in rows.column_names]
    if not unread:
        return rows
    group, keys = load_feature_group(spec.features.group), spec.entity.keys
    days = {partitions.shift(str(at.date()), -1) for at in rows[EVENT_TIMESTAMP].unique().to_pylist()}
    found = deployment.duckdb.run_select(
        _STATEMENT.format(
            wanted=", ".join(f"stored.{column(name)}" for name in unread),
            same=" AND ".join(f"asked.{column(name)} = stored.{column(name)}" for name in (*keys, EVENT_TIMESTAMP)),
        ),
        {
            "asked": rows.select([*keys, EVENT_TIMESTAMP, KNOWN_BY]).append_column(_PLACE, pa.array(range(len(rows)))),
            "stored": deployment.lake.dataset(group.table, keys=sorted(days)),
        },
        purpose=f"the slices of {spec.model_id}",
    )
    for name in unread:
        rows = rows.append_column(name, found[name])
    return rows
