"""Publish judged rows: the merge of those that were taken with those that are there, and what is set aside.

What belongs here: two commits, and the SQL of each over rows on disk. What does not: the verdict, the order of the
commits and the account (``import_source``), and which of two versions stays (``quality.merge``).

Rows stay on disk: what DuckDB doesn't hold is spilled, and a commit is written a piece at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.adapters.compute.duckdb_compute import declare, parquet_sql
from include.adapters.lake.portions import in_pieces
from include.errors import MlopsError
from include.quality.merge import SAYS_RECEIVED, MergeCounts, merge_counts_sql, merged_sql, met_nothing_sql, met_sql
from include.quality.sql import column, columns, literal
from include.specs.source_rules import CONFLICTING, RULES_OF_ALL, SUPERSEDED
from include.specs.sources import SourceSpec
from include.steps.judge_source import Judged, Judgement, RowCount

if TYPE_CHECKING:
    import duckdb
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment

_BATCH = 100_000


@dataclass(frozen=True)
class Merged:
    """What became of taken rows.

    Attributes
    ----------
    counts : MergeCounts
    version : int or None
        The version of the table after the merge; None where it does not exist.
    lost : tuple of RowCount
        Of those that lost against what is there.
    losers : Path
        A Parquet file of these, in the columns of the quarantine, and ``_file``.
    rejected_corrections : dict of (int, date or None) to int
        Rows that broke a rule while the table has a row of their key, which stays: by file and day.
    """

    counts: MergeCounts
    version: int | None
    lost: tuple[RowCount, ...]
    losers: Path
    rejected_corrections: Mapping[tuple[int, date | None], int]


def merge_rows(
    deployment: Deployment, judged: Judged, judgement: Judgement, days: Sequence[date], *, folder: Path
) -> Merged:
    """Merge what was taken with what is there.

    Parameters
    ----------
    days : sequence of date
        Those that the files tell of.
    folder : Path
        Where the rows that lost are left.

    Raises
    ------
    MlopsError
        If the table would not have what is called published; nothing is written.
    """
    spec = judgement.spec
    table, schema = spec.raw, spec.raw.arrow_schema()
    losers = folder / "losers.parquet"
    counts, lost = MergeCounts(), list[RowCount]()

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        nonlocal counts, lost
        with deployment.duckdb.open_session(purpose=f"the merge into {table.name}") as con:
            _declare_taken(con, judged, schema)
            _declare_present(con, present, schema)
            if present is None:
                con.execute(f"CREATE VIEW met AS {met_nothing_sql()}")
            else:
                con.execute(f"CREATE TABLE met AS {met_sql(schema.names, spec.key)}")
            [row] = con.execute(merge_counts_sql()).fetchall()
            counts = MergeCounts(*row)
            lost = [RowCount(*found) for found in con.execute(_LOST_SQL).fetchall()]
            con.execute(f"COPY ({_losers_sql(judgement, judged)}) TO {literal(str(losers))} (FORMAT parquet)")
            if counts.added or counts.replaced or present is None:
                [(there,)] = con.execute("SELECT count(*) FROM present").fetchall()
                reader = con.sql(merged_sql(schema.names, spec.key, table.sorted_by)).to_arrow_reader(_BATCH)
                pieces = in_pieces(reader, schema, partition_by=table.partition_by)
                yield from _counted(pieces, spec, counts, there)

    def reach(present: Dataset) -> set[str]:
        return _days_of_other_versions(deployment, present, judged, spec)

    if days:
        keys = [day.isoformat() for day in days]
        version: int | None = deployment.lake.rewrite(table.name, keys, rewriting, reach=reach).version
    else:
        version = deployment.lake.version(table.name)
    return Merged(counts, version, tuple(lost), losers, _rejected_corrections(deployment, judged, spec))


def set_aside(deployment: Deployment, judged: Judged, merged: Merged, spec: SourceSpec) -> None:
    """Replace what was set aside of the same files before."""
    table, schema = spec.quarantine, spec.quarantine.arrow_schema()
    names = columns(schema.names)
    paths = [*judged.set_aside, *([merged.losers] if merged.lost else [])]

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        with deployment.duckdb.open_session(purpose=f"what is set aside in {table.name}") as con:
            con.register("nothing", schema.empty_table())
            found = f" UNION ALL SELECT {names}, _file FROM {parquet_sql(paths)}" if paths else ""
            con.execute(f"CREATE VIEW quarantined AS SELECT *, 0 AS _file FROM nothing{found}")
            if present is not None:
                declare(con, "present", present)
                [(is_same,)] = con.execute(_as_quarantined(names)).fetchall()
                if is_same:
                    return
            rows = con.sql(f"SELECT {names} FROM quarantined ORDER BY _file, row_number")
            yield from in_pieces(rows.to_arrow_reader(_BATCH), schema, partition_by=table.partition_by)

    deployment.lake.rewrite(table.name, judged.files, rewriting, partition_by=table.partition_by)


def _as_quarantined(names: str) -> str:
    return f"""
SELECT (SELECT count(*) FROM quarantined) = (SELECT count(*) FROM present)
  AND NOT EXISTS (SELECT {names} FROM quarantined EXCEPT ALL SELECT {names} FROM present)
"""


_LOST_SQL = f"""
SELECT _file, dt, _met, count(*) FROM met
WHERE _met IN ({literal(SUPERSEDED)}, {literal(CONFLICTING)}) GROUP BY ALL ORDER BY ALL
"""


def _losers_sql(judgement: Judgement, judged: Judged) -> str:
    """Return the SELECT of the rows that lost, as the quarantine has them: in the columns of the source's table."""
    fields = ", ".join(f"{column(name)} := {column(name)}" for name in judgement.spec.typed_names)
    sources = " ".join(f"WHEN {number} THEN {literal(name)}" for number, name in enumerate(judged.files))
    reasons = " ".join(f"WHEN {literal(rule)} THEN {literal(RULES_OF_ALL[rule])}" for rule in (SUPERSEDED, CONFLICTING))
    partition = literal(judgement.partition) if judgement.partition else "NULL"
    return f"""
SELECT CASE _file {sources} END AS source, _row AS row_number, _met AS rule, CASE _met {reasons} END AS reason, dt,
  CAST({partition} AS VARCHAR) AS delivered, CAST(to_json(struct_pack({fields})) AS VARCHAR) AS "row", _file
FROM met WHERE _met IN ({literal(SUPERSEDED)}, {literal(CONFLICTING)})
"""


def _counted(pieces: Iterator[pa.Table], spec: SourceSpec, counts: MergeCounts, present: int) -> Iterator[pa.Table]:
    """Give what is written, and stop the commit where it is not what is there and what is called published."""
    written = 0
    for piece in pieces:
        written += piece.num_rows
        yield piece
    if written != present + counts.added:
        raise MlopsError(
            f"{spec.raw.name} would have {written} rows of these days, where {present} are there and {counts.added} of "
            f"the {counts.published} that are called published are new; nothing was written: report this with the files"
        )


def _rejected_corrections(
    deployment: Deployment, judged: Judged, spec: SourceSpec
) -> Mapping[tuple[int, date | None], int]:
    rejected = [path for path in judged.rejected if pq.read_metadata(path).num_rows]
    if not rejected or not deployment.lake.exists(spec.raw.name):
        return {}
    with deployment.duckdb.open_session(purpose=f"the rows of {spec.raw.name} that were to be corrected") as con:
        con.execute(f"CREATE VIEW rejected AS SELECT * FROM {parquet_sql(rejected)}")
        declare(con, "present", deployment.lake.dataset(spec.raw.name))
        found = con.execute(
            f"SELECT _file, day, count(*) FROM rejected SEMI JOIN present USING ({columns(spec.key)}) GROUP BY ALL"
        ).fetchall()
    return {(file, day): rows for file, day, rows in found}


def _days_of_other_versions(deployment: Deployment, present: Dataset, judged: Judged, spec: SourceSpec) -> set[str]:
    """Return the days that hold an incoming key: a newer version may have moved it to another day."""
    with deployment.duckdb.open_session(purpose=f"the days of {spec.raw.name} that hold these rows") as con:
        _declare_taken(con, judged, spec.raw.arrow_schema())
        declare(con, "present", present)
        found = con.execute(
            f"SELECT DISTINCT dt FROM present SEMI JOIN incoming USING ({columns(spec.key)})"
        ).fetchall()
    return {day.isoformat() for (day,) in found}


def _declare_taken(con: duckdb.DuckDBPyConnection, judged: Judged, schema: pa.Schema) -> None:
    con.register("nothing", schema.empty_table())
    nothing = f"SELECT *, 0 AS _file, CAST(0 AS BIGINT) AS _row, false AS {SAYS_RECEIVED} FROM nothing"
    found = f" UNION ALL SELECT * FROM {parquet_sql(judged.taken)}" if judged.taken else ""
    con.execute(f"CREATE VIEW incoming AS {nothing}{found}")


def _declare_present(con: duckdb.DuckDBPyConnection, present: Dataset | None, schema: pa.Schema) -> None:
    """Declare the rows that are there; a column that the source got since is null in them."""
    if present is None:
        con.register("present", schema.empty_table())
        return
    declare(con, "stored", present)
    con.register("typed_nothing", schema.empty_table())
    had = set(present.schema.names)
    listed = columns([name for name in schema.names if name in had])
    con.execute(f"CREATE VIEW present AS SELECT * FROM typed_nothing UNION ALL BY NAME SELECT {listed} FROM stored")
