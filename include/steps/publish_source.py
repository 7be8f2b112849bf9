"""Publish judged orders: rows that were set aside, and the merge of the others with those that are there.

What belongs here: two commits, and the SQL of each over rows on disk. What does not: the verdict, the order of the
commits and the account (``import_file``), and which of two versions stays (``quality.merge``).

Rows stay on disk: what DuckDB doesn't hold is spilled, and a commit is written a piece at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from include.adapters.compute.duckdb_compute import declare, parquet_sql
from include.adapters.lake.portions import in_pieces
from include.quality.merge import MergeCounts, has_changed_sql, merge_counts_sql, merged_sql
from include.quality.sql import columns
from include.steps.judge_source import ORDERS_SCHEMA, QUARANTINE_SCHEMA, JudgedFile
from include.tables import ORDERS, QUARANTINE

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment

_BATCH = 100_000
_QUARANTINED = columns(QUARANTINE_SCHEMA.names)
_AS_QUARANTINED = f"""
SELECT (SELECT count(*) FROM quarantined) = (SELECT count(*) FROM present)
  AND NOT EXISTS (SELECT {_QUARANTINED} FROM quarantined EXCEPT ALL SELECT {_QUARANTINED} FROM present)
"""


def set_aside(deployment: Deployment, judged: Sequence[JudgedFile]) -> None:
    """Replace what was set aside of the same files before."""

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        with deployment.duckdb.open_session(purpose=f"what is set aside in {QUARANTINE.name}") as con:
            _declare_files(con, "quarantined", [file.quarantine for file in judged], QUARANTINE_SCHEMA)
            if present is not None:
                declare(con, "present", present)
                [(is_same,)] = con.execute(_AS_QUARANTINED).fetchall()
                if is_same:
                    return
            rows = con.sql(f"SELECT {_QUARANTINED} FROM quarantined ORDER BY _delivered, row_number")
            yield from in_pieces(rows.to_arrow_reader(_BATCH), QUARANTINE_SCHEMA, partition_by=QUARANTINE.partition_by)

    sources = [file.source for file in judged]
    deployment.lake.rewrite(QUARANTINE.name, sources, rewriting, partition_by=QUARANTINE.partition_by)


def merge_rows(
    deployment: Deployment, judged: Sequence[JudgedFile], days: Sequence[date]
) -> tuple[MergeCounts, int | None]:
    """Merge what was taken with what is there, and return what became of it and the table's version.

    Parameters
    ----------
    days : sequence of date
        Those that the files tell of.
    """
    counts, names = MergeCounts(0, 0, 0, 0, 0), ORDERS_SCHEMA.names

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        nonlocal counts
        with deployment.duckdb.open_session(purpose=f"the merge of orders into {ORDERS.name}") as con:
            _declare_files(con, "incoming", [file.orders for file in judged], ORDERS_SCHEMA)
            declare(con, "present", ORDERS_SCHEMA.empty_table() if present is None else present)
            [row] = con.execute(merge_counts_sql(names)).fetchall()
            counts = MergeCounts(*row)
            [(has_changed,)] = con.execute(has_changed_sql()).fetchall()
            if has_changed or present is None:
                merged = con.sql(merged_sql(names)).to_arrow_reader(_BATCH)
                yield from in_pieces(merged, ORDERS_SCHEMA, partition_by=ORDERS.partition_by)

    keys = {day.isoformat() for day in days} | _days_of_other_versions(deployment, judged)
    if not keys:
        return counts, deployment.lake.version(ORDERS.name)
    ref = deployment.lake.rewrite(ORDERS.name, sorted(keys), rewriting)
    return counts, ref.version


def _days_of_other_versions(deployment: Deployment, judged: Sequence[JudgedFile]) -> set[str]:
    """Return the days that hold an incoming order line: a newer version may have moved it to another day."""
    if not deployment.lake.exists(ORDERS.name):
        return set()
    with deployment.duckdb.open_session(purpose=f"the days of {ORDERS.name} that hold these orders") as con:
        _declare_files(con, "incoming", [file.orders for file in judged], ORDERS_SCHEMA)
        declare(con, "present", deployment.lake.dataset(ORDERS.name))
        found = con.execute("SELECT DISTINCT dt FROM present SEMI JOIN incoming USING (order_id, line)").fetchall()
    return {day.isoformat() for (day,) in found}


def _declare_files(
    con: duckdb.DuckDBPyConnection, name: str, files: Sequence[Sequence[Path]], schema: pa.Schema
) -> None:
    """Declare a table of the rows of files, ``_delivered`` of which says by 1, 2, … in whose turn they came."""
    con.register("nothing", schema.empty_table())
    sides = ["SELECT *, 0 AS _delivered FROM nothing"]
    sides += [
        f"SELECT {columns(schema.names)}, {number} FROM {parquet_sql(paths)}"
        for number, paths in enumerate(files, start=1)
        if paths
    ]
    con.execute(f"CREATE VIEW {name} AS {' UNION ALL '.join(sides)}")
