"""Rows that are added to a table once, whoever tries how often.

What belongs here: the commit that only adds, and by what it is known again. What does not: replacing partitions
(``commits``), and what the rows are.

A commit names the work that it is of as a transaction of Delta's, with a number that only grows: who tries again after
a commit whose answer was lost finds it there, and of two who try at once one is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as fs
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from include.adapters.arrow_files import open_location
from include.adapters.lake.commits import in_types_of, make_table
from include.adapters.lake.data_files import DataFiles, write_files
from include.adapters.lake.lake_errors import unreachable
from include.errors import MlopsError

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter

log = logging.getLogger(__name__)

# Who adds meets others who add only in the one number of the next version.
_MAX_ATTEMPTS = 50


def append_once(
    lake: LakeAdapter,
    table: str,
    rows: pa.Table,
    *,
    work: str,
    number: int,
    partition_by: str = "dt",
    note: Mapping[str, str] | None = None,
) -> bool:
    """Add rows to a table in one commit, unless they are there.

    Parameters
    ----------
    lake : LakeAdapter
    table : str
        Name below the root; created where it does not exist. A column that it does not have yet is added to it.
    rows : pyarrow.Table
    work : str
        Whose rows these are.
    number : int
        Of these rows in the work; lower ones have been added, or never will be.
    partition_by : str
    note : mapping of str to str, optional
        What the commit says of itself in the table's history.

    Returns
    -------
    bool
        Whether they were added now; False where they had been.

    Raises
    ------
    MlopsError
        If the lake can't be written, or a value can't be had in the type of its column.
    """
    transaction = Transaction(work, number)
    properties = CommitProperties(custom_metadata=dict(note or {}), app_transactions=[transaction])
    files: DataFiles | None = None
    for _ in range(_MAX_ATTEMPTS):
        try:
            delta = _table(lake, table, rows, partition_by)
            if _has(delta, work, number):
                return False
            if missing := _missing(delta, rows):
                delta.alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))
            files = files or _written(lake, in_types_of(delta, rows, table=table), table, partition_by)
            delta.create_write_transaction(
                list(files.actions), "append", delta.schema(), [partition_by], commit_properties=properties
            )
        except CommitFailedError as err:
            log.info("lake table=%s conflict reason=%s", table, err)
        except (DeltaError, OSError) as err:
            raise unreachable(lake.uri, table, err) from err
        else:
            log.info("lake table=%s added=%d work=%s number=%d", table, files.rows, work, number)
            return True
    raise MlopsError(f"lake table {table}: {_MAX_ATTEMPTS} commits in a row met another writer; add the rows later")


def is_added(lake: LakeAdapter, table: str, *, work: str, number: int) -> bool:
    """Say whether rows of a work are in a table that is there: what it costs to ask has nothing to do with them.

    Raises
    ------
    MlopsError
        If the lake can't be reached.
    """
    return _has(lake.delta(table), work, number)


def _has(delta: DeltaTable, work: str, number: int) -> bool:
    there = delta.transaction_version(work)
    return there is not None and there >= number


def _table(lake: LakeAdapter, table: str, rows: pa.Table, partition_by: str) -> DeltaTable:
    """Return the table, which is made where it is not there."""
    if not lake.exists(table):
        empty, uri = rows.schema.empty_table(), lake.table_uri(table)
        make_table(uri, [empty], partition_by=partition_by, s3_endpoint_url=lake.s3_endpoint_url)
    return lake.delta(table)


def _written(lake: LakeAdapter, rows: pa.Table, table: str, partition_by: str) -> DataFiles:
    filesystem, folder = open_location(lake.table_uri(table), lake.s3_endpoint_url)
    return write_files([rows], fs.SubTreeFileSystem(folder, filesystem), partition_by=partition_by)


def _missing(delta: DeltaTable, rows: pa.Table) -> list[pa.Field]:
    present = {field.name for field in delta.schema().fields}
    return [field.with_nullable(True) for field in rows.schema.remove_metadata() if field.name not in present]
