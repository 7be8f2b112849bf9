"""Judge a file as an import would, and write nothing.

What belongs here: the account of a file before it meets the table, and the first rows that each rule sets aside. What
does not: the verdict on a row, which is the import's own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.compute.duckdb_compute import parquet_sql
from include.adapters.sources.source_files import local_file
from include.quality.formats import find_format
from include.quality.history import arrived_until
from include.steps.account_source import taken_by_night
from include.steps.judge_source import Judged, Judgement, judge_files

if TYPE_CHECKING:
    from include.adapters.compute.duckdb_compute import DuckDbCompute
    from include.specs.sources import SourceSpec


@dataclass(frozen=True)
class SetAside:
    """A row that would be set aside: its place in the file, and what it says, as JSON."""

    row_number: int
    row: str


@dataclass(frozen=True)
class FileCheck:
    """What an import of a file would have to say, before its rows meet those that are there.

    Attributes
    ----------
    rows_in, rows_taken, rows_quarantined : int
    rules : dict of str to int
        Rows that would be set aside, by the rules that set any.
    first_rows : dict of str to tuple of SetAside
        The first of them.
    partitions : int
        Days with rows that would be taken.
    first, last : str or None
        The first and last of them.
    arrived_until, last_night : str or None
        By the deliverer's clock: until when days would have arrived, and the last day with rows that would be taken.
    time_zone : str
        In which times without a zone were read.
    """

    rows_in: int
    rows_taken: int
    rows_quarantined: int
    rules: dict[str, int]
    first_rows: dict[str, tuple[SetAside, ...]]
    partitions: int
    first: str | None
    last: str | None
    arrived_until: str | None
    last_night: str | None
    time_zone: str


def check_file(
    path: Path,
    spec: SourceSpec,
    *,
    file_format: str,
    as_of: datetime,
    time_zone: str | None,
    engine: DuckDbCompute,
    rows: int = 3,
) -> FileCheck:
    """Judge a file by a source's rules.

    Parameters
    ----------
    path : Path
    spec : SourceSpec
        It needs not to be one of the deployment's.
    file_format : str
        One of the source's.
    as_of : datetime
        Aware; a row with a later time would be set aside.
    time_zone : str or None
        Of times that have none; None: the source's.
    engine : DuckDbCompute
        Runs the rules.
    rows : int
        How many of each rule are shown.

    Raises
    ------
    UsageError
        If the source has no such format, or the file as a whole would not be taken.
    """
    find_format(spec, file_format)
    zone = time_zone or spec.time_zone
    judgement = Judgement(spec, file_format, as_of, zone, cross_check=False, partition=None)
    with TemporaryDirectory(prefix="mlops-check-") as folder:
        judged = judge_files([local_file(path)], judgement, engine, Path(folder))
        first_rows = _first_rows(judged, engine, rows)
    taken, rules = _counted(judged)
    days, nights = sorted(map(partitions.key_of, taken)), taken_by_night(judged)
    return FileCheck(
        rows_in=sum(judged.rows_in),
        rows_taken=sum(taken.values()),
        rows_quarantined=sum(rules.values()),
        rules={name: rules[name] for name in spec.reasons if rules[name]},
        first_rows={name: first_rows[name] for name in spec.reasons if name in first_rows},
        partitions=len(taken),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        arrived_until=arrived_until(nights, over=spec.last_over(as_of)),
        last_night=max(map(partitions.key_of, nights), default=None),
        time_zone=zone,
    )


def _counted(judged: Judged) -> tuple[Counter[date], Counter[str]]:
    """Return the rows that would be taken, by day, and the others, by rule."""
    taken, rules = Counter[date](), Counter[str]()
    for count in judged.counts:
        if count.rule is not None:
            rules[count.rule] += count.rows
        elif count.day is not None:
            taken[count.day] += count.rows
    return taken, rules


def _first_rows(judged: Judged, engine: DuckDbCompute, rows: int) -> dict[str, tuple[SetAside, ...]]:
    placed = (
        'SELECT rule, row_number, "row", row_number() OVER (PARTITION BY rule ORDER BY row_number) AS place '
        f"FROM {parquet_sql(judged.set_aside)}"
    )
    found: dict[str, list[SetAside]] = {}
    with engine.open_session(purpose="the first rows that would be set aside") as con:
        for rule, number, row in con.execute(
            f'SELECT rule, row_number, "row" FROM ({placed}) WHERE place <= {rows} ORDER BY ALL'
        ).fetchall():
            found.setdefault(rule, []).append(SetAside(number, row))
    return {rule: tuple(kept) for rule, kept in found.items()}
