"""Which partitions of a lake table were written between two of its versions.

What belongs here: comparing two versions by their files. What does not: what has to be done about it.
"""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from include.adapters.lake import LakeAdapter


def changed_partitions(lake: LakeAdapter, table: str, *, since: int, until: int) -> list[str] | None:
    """Return the keys of the partitions whose files differ between two versions, in order.

    Returns
    -------
    list of str or None
        None where one of the versions is no longer in the table's log: anything may have changed.
    """
    try:
        before, after = (_files(lake, table, version) for version in (since, until))
    except (DeltaError, OSError):
        return None
    return sorted({before.get(path) or after[path] for path in before.keys() ^ after.keys()})


def _files(lake: LakeAdapter, table: str, version: int) -> dict[str, str]:
    delta = DeltaTable(lake.table_uri(table), version=version, storage_options=lake.storage_options or None)
    actions = pa.table(delta.get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), map(str, actions["partition.dt"].to_pylist()), strict=True))
