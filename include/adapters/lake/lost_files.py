"""Partitions of a lake table that lack a file which the table's log names: removed by hand, or not brought back.

What belongs here: finding them, and taking one off the log. What does not: whether a file that is there is what was
committed (``checked_files``), and making the rows anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as fs
from deltalake.exceptions import DeltaError

from include.adapters.arrow_files import open_location
from include.adapters.lake.lake_errors import unreachable

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter

log = logging.getLogger(__name__)


def lost_partitions(lake: LakeAdapter, table: str) -> frozenset[str]:
    """Return the keys of the partitions of the newest version that lack a file; none where there is no table.

    Raises
    ------
    MlopsError
        If the lake can't be reached.
    """
    if not lake.exists(table):
        return frozenset()
    actions = pa.table(lake.delta(table).get_add_actions()).select(["path", "partition"]).to_pylist()
    named = {unquote(action["path"]): str(*action["partition"].values()) for action in actions}
    try:
        filesystem, folder = open_location(lake.table_uri(table), lake.s3_endpoint_url)
        # One listing: a question for each file takes a round trip each on S3.
        stored = fs.SubTreeFileSystem(folder, filesystem).get_file_info(fs.FileSelector("", recursive=True))
    except OSError as err:
        raise unreachable(lake.uri, table, err) from err
    there = {each.path for each in stored if each.is_file}
    return frozenset(key for path, key in named.items() if path not in there)


def strike_lost(lake: LakeAdapter, table: str, key: str) -> None:
    """Take a partition that lacks a file off the table's log, so that its rows can be made anew; a whole one stays.

    Older versions of the table keep it: where the files come back, they hold it again.

    Raises
    ------
    MlopsError
        If the lake can't be written.
    """
    if key not in lost_partitions(lake, table):
        return
    try:
        delta = lake.delta(table)
        delta.delete(f"{delta.metadata().partition_columns[0]} = '{key}'")
    except (DeltaError, OSError) as err:
        raise unreachable(lake.uri, table, err) from err
    log.warning("lake table=%s partition=%s lacked a file: taken off its log", table, key)
