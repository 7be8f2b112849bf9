"""Judge the files of a delivery by the rules of their source: each row taken, or set aside with a reason.

What belongs here: from the bytes of all files to typed rows with verdicts, and what each file had by day. What does
not: the lake, and what it holds under the same keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.adapters.sources.buckets import in_buckets
from include.adapters.sources.source_files import ROWS_AT_ONCE, open_source
from include.errors import MlopsError, UncomputableError, UnreadableInputError
from include.quality.formats import DELIVERED, FileColumn, file_columns, find_format, find_likely_format, typed_sql
from include.quality.judged import count_sql, delivered, rejected_sql, set_aside_sql, taken_sql
from include.quality.sql import column, columns, literal
from include.quality.verdict import bucket_sql, failing_rows_sql, verdict_sql
from include.specs.sources import SourceSpec

if TYPE_CHECKING:
    import duckdb

    from include.adapters.compute.duckdb_compute import DuckDbCompute
    from include.adapters.files.tabular import TableFile
    from include.adapters.sources.source_files import SourceFile

# Twice what is read at once: half as many statements for ten million rows, in the same memory.
_ROWS_OF_A_BUCKET = 2 * ROWS_AT_ONCE
_TAKEN, _SET_ASIDE, _REJECTED = "taken", "set aside", "rejected"


@dataclass(frozen=True)
class Judgement:
    """How files are judged.

    Attributes
    ----------
    spec : SourceSpec
    file_format : str
    as_of : datetime
        Aware; a row with a later time is set aside.
    time_zone : str
        The zone of times that have none.
    cross_check : bool
        Whether SQL's counts are checked by Great Expectations.
    partition : str or None
        The day that a night's delivery is of; None for a file of many.
    """

    spec: SourceSpec
    file_format: str
    as_of: datetime
    time_zone: str
    cross_check: bool
    partition: str | None

    @property
    def delivered_by(self) -> datetime | None:
        """When the day that a night's delivery is of was over."""
        return self.as_of if self.partition else None


@dataclass(frozen=True)
class RowCount:
    """How many rows of a file, by its number, on a day fell under a rule.

    The day is None where a row has none, the rule where it was taken; `counted` is what the source counts, `night` the
    day of taken rows by the deliverer's clock.
    """

    file: int
    day: date | None
    rule: str | None
    rows: int
    counted: Mapping[str, int] = field(default_factory=dict)
    night: date | None = None


@dataclass(frozen=True)
class Tidied:
    """What was done to the values of all files before they were judged.

    Attributes
    ----------
    trimmed, null_words : dict of str to int
        By column of a file: values that lost blanks at their ends; values that were a word, or blanks, for nothing.
    left_out : tuple of str
        Columns that the format does not know and that can't be shown.
    """

    trimmed: Mapping[str, int] = field(default_factory=dict)
    null_words: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """What became of the rows of a delivery, before they meet those that are there.

    Attributes
    ----------
    files : tuple of str
        The identity of each file, by its number.
    rows_in : tuple of int
        The rows that each has.
    taken : tuple of Path
        Parquet files of the rows that were taken: the columns of the source's table, ``_file``, ``_row`` and
        `SAYS_RECEIVED`. A key is there once.
    set_aside : tuple of Path
        Parquet files of those that were not, in the columns of the quarantine, and ``_file``.
    rejected : tuple of Path
        Parquet files of the keys of rows that broke a rule, with ``_file`` and ``day``.
    counts : tuple of RowCount
    tidied : Tidied
    """

    files: tuple[str, ...]
    rows_in: tuple[int, ...]
    taken: tuple[Path, ...]
    set_aside: tuple[Path, ...]
    rejected: tuple[Path, ...]
    counts: tuple[RowCount, ...]
    tidied: Tidied


def judge_files(files: Sequence[TableFile], judgement: Judgement, engine: DuckDbCompute, folder: Path) -> Judged:
    """Read files and judge their rows, a bucket of keys at a time.

    Parameters
    ----------
    files : sequence of TableFile
        All of one delivery: a row is judged by the others wherever they stand.
    judgement : Judgement
        How. Files of a night's delivery may have no rows.
    engine : DuckDbCompute
        Runs the rules.
    folder : Path
        An empty one, where the judged rows are left.

    Raises
    ------
    UsageError
        If the format isn't known, or a file as a whole can't be taken.
    MlopsError
        If Great Expectations counts other failing rows than SQL, or DuckDB fails.
    """
    try:
        return _judged_in_buckets(files, judgement, engine, folder)
    except UncomputableError as err:
        raise UnreadableInputError(
            f"{err}; correct the value and deliver again, or what format {judgement.file_format} of "
            f"{judgement.spec.source} makes of it"
        ) from err


def _judged_in_buckets(files: Sequence[TableFile], judgement: Judgement, engine: DuckDbCompute, folder: Path) -> Judged:
    spec = judgement.spec
    known = file_columns(spec, judgement.file_format)
    opened = [_open(file, judgement, known, folder / f"file-{number}") for number, file in enumerate(files)]
    names = tuple(each.source for each in opened)
    typed = [_typed_sql(each, judgement, delivered(number)) for number, each in enumerate(opened)]
    for kind in (_TAKEN, _SET_ASIDE, _REJECTED):
        (folder / kind).mkdir()
    rows_in = [0] * len(files)
    with engine.open_session(purpose=f"the verdict on {', '.join(file.name for file in files)[:200]}") as con:
        _prepare(con, spec, names)
        sqls = [bucket_sql(spec, _typed_sql(each, judgement, DELIVERED)) for each in opened]
        for number, bucket in enumerate(in_buckets(con, opened, sqls, rows=_ROWS_OF_A_BUCKET, folder=folder)):
            _judge_bucket(con, judgement, bucket, typed, names)
            _write(con, taken_sql(spec, delivered_by=judgement.delivered_by), folder / _TAKEN / f"{number:03}.parquet")
            rejected = set_aside_sql(spec, [each.schema for each in opened], partition=judgement.partition)
            _write(con, rejected, folder / _SET_ASIDE / f"{number:03}.parquet")
            _write(con, rejected_sql(spec), folder / _REJECTED / f"{number:03}.parquet")
            con.execute(f"INSERT INTO counted {count_sql(spec)}")
            rows_in = [seen + part.num_rows for seen, part in zip(rows_in, bucket, strict=True)]
        return _judged(con, spec, names, rows_in, folder, _tidied(opened))


def _open(file: TableFile, judgement: Judgement, known: Sequence[FileColumn], folder: Path) -> SourceFile:
    folder.mkdir()
    return open_source(
        file,
        known,
        folder=folder,
        dialect=find_format(judgement.spec, judgement.file_format).dialect,
        may_be_empty=judgement.partition is not None,
        advise=partial(find_likely_format, judgement.spec),
    )


def _typed_sql(opened: SourceFile, judgement: Judgement, relation: str) -> str:
    return typed_sql(
        judgement.spec,
        judgement.file_format,
        present=opened.schema.names,
        naive=[field.name for field in opened.schema if field.type == pa.timestamp("us")],
        time_zone=judgement.time_zone,
        relation=relation,
    )


def _judge_bucket(
    con: duckdb.DuckDBPyConnection,
    judgement: Judgement,
    bucket: Sequence[pa.Table],
    typed: Sequence[str],
    names: Sequence[str],
) -> None:
    """Make the tables ``typed`` and ``judged`` of a bucket's rows, which stay registered as ``delivered_<file>``."""
    for number, part in enumerate(bucket):
        con.register(delivered(number), part)
    sides = [f"SELECT {number} AS _file, * FROM ({sql})" for number, sql in enumerate(typed)]
    con.execute(f"CREATE OR REPLACE TEMP VIEW typed AS {' UNION ALL '.join(sides)}")
    if judgement.cross_check:
        _check_counts(con, judgement, names)
    verdict = verdict_sql(judgement.spec, as_of=judgement.as_of, delivered_by=judgement.delivered_by)
    con.execute(f"CREATE OR REPLACE TABLE judged AS {verdict}")


def _check_counts(con: duckdb.DuckDBPyConnection, judgement: Judgement, names: Sequence[str]) -> None:
    from include.adapters.expectations.source_expectations import count_failing_rows

    spec, as_of = judgement.spec, judgement.as_of
    [counts] = con.sql(failing_rows_sql(spec, as_of=as_of)).to_arrow_table().to_pylist()
    rows = con.sql(f"SELECT {columns(spec.typed_names)} FROM typed").to_arrow_table()
    expected = count_failing_rows(spec, rows, as_of=as_of)
    differences = [f"{name}: {counts[name]} and {n}" for name, n in expected.items() if counts[name] != n]
    if differences:
        raise MlopsError(
            f"{', '.join(names)}: SQL and Great Expectations count other failing rows ({'; '.join(differences)}); "
            "nothing was published: the two readings of the rules must agree before their verdicts can be trusted"
        )


def _prepare(con: duckdb.DuckDBPyConnection, spec: SourceSpec, names: Sequence[str]) -> None:
    con.execute("CREATE TABLE reasons (rule VARCHAR, reason VARCHAR)")
    con.executemany("INSERT INTO reasons VALUES (?, ?)", [list(pair) for pair in spec.reasons.items()])
    con.execute("CREATE TABLE files (_file INTEGER, source VARCHAR)")
    con.executemany("INSERT INTO files VALUES (?, ?)", [[number, name] for number, name in enumerate(names)])
    listed = "".join(f", {column(f'counted__{name}')} BIGINT" for name in spec.counted)
    con.execute(f"CREATE TABLE counted (file INTEGER, day DATE, rule VARCHAR, night DATE, rows BIGINT{listed})")


def _write(con: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    # They are read once and removed: to find what repeats costs more than it saves.
    con.execute(
        f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 1)"
    )


def _judged(
    con: duckdb.DuckDBPyConnection,
    spec: SourceSpec,
    names: tuple[str, ...],
    rows_in: Sequence[int],
    folder: Path,
    tidied: Tidied,
) -> Judged:
    taken, set_aside, rejected = (tuple(sorted((folder / kind).iterdir())) for kind in (_TAKEN, _SET_ASIDE, _REJECTED))
    published, quarantined = _count_rows(taken), _count_rows(set_aside)
    if published + quarantined != sum(rows_in):
        raise MlopsError(
            f"{', '.join(names)}: {sum(rows_in)} rows came in, but {published} were taken and {quarantined} set "
            "aside; nothing was published: report this with the file"
        )
    counts = tuple(
        RowCount(file, day, rule, rows, dict(zip(spec.counted, counted, strict=True)), night)
        for file, day, rule, night, rows, *counted in con.execute("SELECT * FROM counted").fetchall()
    )
    return Judged(names, tuple(rows_in), taken, set_aside, rejected, counts, tidied)


def _tidied(opened: Sequence[SourceFile]) -> Tidied:
    trimmed, null_words = Counter[str](), Counter[str]()
    for each in opened:
        trimmed.update(each.trimmed)
        null_words.update(each.null_words)
    left_out = sorted({name for each in opened for name in each.left_out})
    return Tidied(dict(sorted(trimmed.items())), dict(sorted(null_words.items())), tuple(left_out))


def _count_rows(paths: Sequence[Path]) -> int:
    return sum(pq.read_metadata(path).num_rows for path in paths)
