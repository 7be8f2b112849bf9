"""The history of a lake table: which partitions two versions differ in, and removing what is past keeping.

What belongs here: versions and their files. What does not: which version is needed, and by whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake.exceptions import DeltaError

from include.adapters.lake.whole_log import keep_log
from include.errors import MlopsError, one_line

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter


def changed_partitions(lake: LakeAdapter, table: str, *, since: int, until: int) -> list[str] | None:
    """Return the keys of the partitions whose files differ between two versions, in order.

    Returns
    -------
    list of str or None
        None where one of the versions is no longer in the table's log: anything may have changed.
    """
    try:
        before, after = (_files(lake, table, version) for version in (since, until))
    except MlopsError:
        return None
    return sorted({before.get(path) or after[path] for path in before.keys() ^ after.keys()})


def remove_old_files(lake: LakeAdapter, table: str, *, retention_days: int, keep_versions: Sequence[int]) -> int:
    """Remove the files that were replaced more than `retention_days` ago and belong to no version that is kept.

    Returns
    -------
    int
        Files removed.

    Raises
    ------
    MlopsError
        If there is no such table, one of the versions is gone, or the lake can't be written.
    """
    delta = lake.delta(table)
    for version in keep_versions:
        try:
            lake.delta(table, version)
        except MlopsError as err:
            raise MlopsError(
                f"{err}; its old files stay: bring {table}/_delta_log back from a backup, or remove the training set "
                "that pins the version, and run mlops lake expire again"
            ) from err
    try:
        keep_log(delta)
        removed = delta.vacuum(
            retention_hours=24 * retention_days,
            dry_run=False,
            # Delta refuses less than a week unless told that it is meant.
            enforce_retention_duration=False,
            keep_versions=list(keep_versions),
        )
    except (DeltaError, OSError) as err:
        raise MlopsError(
            f"the old files of lake table {table} at {lake.uri} can't be removed: {one_line(err)}; "
            "run mlops lake expire again"
        ) from err
    return len(removed)


def _files(lake: LakeAdapter, table: str, version: int) -> dict[str, str]:
    actions = pa.table(lake.delta(table, version).get_add_actions(flatten=True))
    return dict(zip(actions["path"].to_pylist(), map(str, actions["partition.dt"].to_pylist()), strict=True))
