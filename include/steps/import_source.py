"""Import a source: judge files by its rules and publish what passes, for any number of times.

What belongs here: the order of the three commits, and the account. What does not: the verdict on a row, which is given
before anything is written, and the merge with what is there.

A crash between commits is harmless: rows are merged first, what was set aside is written second, and last, for each day
and file, the record of it, by which a day has arrived. A rerun completes what is missing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.sources import deliveries, source_files
from include.errors import UsageError
from include.quality.formats import find_format
from include.quality.history import arrived_until
from include.specs.sources import CANONICAL, CONFLICTING, SUPERSEDED, SourceSpec, check_time_zone, load_source
from include.steps.judge_source import Judged, Judgement, RowCount, Tidied, judge_files
from include.steps.publish_source import Merged, merge_rows, set_aside

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.files.tabular import TableFile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImportAccount:
    """What became of the rows of one import; ``rows_in = rows_published + rows_quarantined``.

    Attributes
    ----------
    rows_in, rows_published, rows_quarantined : int
        Rows that the files hold, rows that the table has from them after the merge, rows set aside.
    rules : dict of str to int
        Rows set aside, by every rule: those of the source, and those of all.
    superseded, conflicting : int
        Of these, those that lost against another version of their key; of the delivery itself, or in the table.
    added, replaced, unchanged : int
        What the published rows met in the table: see `MergeCounts`.
    rejected_corrections : int
        Rows that broke a rule while the table has a row of their key, which stays as it was.
    counted : dict of str to int
        What the source counts of published rows.
    trimmed, null_words, left_out
        What was done to the files' values before: see `Tidied`.
    partitions : int
        Days that have a record of this import.
    first, last : str or None
        The first and the last of them; None where no row was taken.
    arrived_until : str or None
        The last day that has arrived by it: of a night's delivery its own.
    time_zone : str
        The zone in which times without one were read.
    version : int or None
        The version of the source's table after the import; None where it does not exist.
    """

    rows_in: int
    rows_published: int
    rows_quarantined: int
    rules: dict[str, int]
    superseded: int
    conflicting: int
    added: int
    replaced: int
    unchanged: int
    rejected_corrections: int
    counted: dict[str, int]
    trimmed: dict[str, int]
    null_words: dict[str, int]
    left_out: list[str]
    partitions: int
    first: str | None
    last: str | None
    arrived_until: str | None
    time_zone: str
    version: int | None


@dataclass
class _DayAccount:
    """What a file had for one day."""

    rows_in: int = 0
    rows_published: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    rejected_corrections: int = 0

    def add(self, count: RowCount) -> None:
        """Count rows that were judged."""
        self.rows_in += count.rows
        if count.rule is None:
            self.rows_published += count.rows
        else:
            self.rules[count.rule] += count.rows

    def lose(self, count: RowCount) -> None:
        """Count rows that were taken, and lost against what is there."""
        self.rows_published -= count.rows
        self.rules[count.rule or ""] += count.rows


def import_file(
    deployment: Deployment,
    path: Path,
    *,
    source: str,
    file_format: str = CANONICAL,
    as_of: datetime,
    time_zone: str | None = None,
    history_until: str | None = None,
    cross_check: bool = False,
) -> ImportAccount:
    """Import one file, of any number of days: a history.

    Parameters
    ----------
    deployment : Deployment
        Only its lake and its DuckDB are used.
    path : Path
        The file.
    source : str
        What it is of.
    file_format : str
        How its columns are to be read; one of the source's.
    as_of : datetime
        Aware; a row with a later time is set aside.
    time_zone : str, optional
        IANA name of the zone of times that have none; by default the source's.
    history_until : str, optional
        The last day that has arrived by it; by default `arrived_until` of its days says so.
    cross_check : bool
        Whether Great Expectations must count the same failing rows before anything is written.

    Raises
    ------
    UsageError
        If an argument isn't allowed, or the file as a whole can't be taken; nothing is written.
    MlopsError
        If the lake fails, or the two counts disagree.
    """
    if as_of.tzinfo is None:
        raise UsageError(f"as-of {as_of.isoformat()} has no time zone; write e.g. {as_of.isoformat()}Z")
    spec = load_source(source)
    find_format(spec, file_format)
    judgement = Judgement(spec, file_format, as_of, _zone(time_zone, spec), cross_check, partition=None)
    return _import(deployment, [source_files.local_file(path)], judgement, history_until)


def import_delivery(
    deployment: Deployment, partition: str, *, source: str, file_format: str = CANONICAL, cross_check: bool = True
) -> ImportAccount:
    """Import every file of a night's delivery, ``<landing_uri>/<source>/dt=<partition>/``.

    Parameters
    ----------
    deployment : Deployment
        Only its settings, its lake and its DuckDB are used.
    partition : str
        The deliverer's day that was delivered. Its end is the import's as-of.
    source : str
        What is delivered.
    file_format : str
        The format, unless the delivery's ``_FORMAT`` file names one.
    cross_check : bool
        Whether Great Expectations must count the same failing rows before anything is written.

    Raises
    ------
    UsageError
        If a file as a whole can't be taken; nothing of the delivery is written.
    MlopsError
        If the delivery isn't complete, the lake fails, or the two counts disagree.
    """
    spec = load_source(source)
    delivery = deliveries.find_delivery(deployment.settings, source, partition)
    chosen = delivery.file_format or file_format
    find_format(spec, chosen)
    judgement = Judgement(spec, chosen, spec.end_of_day(partition), spec.time_zone, cross_check, partition)
    return _import(deployment, delivery.files, judgement, None)


def _zone(name: str | None, spec: SourceSpec) -> str:
    if name is None:
        return spec.time_zone
    try:
        return check_time_zone(name)
    except ValueError as err:
        raise UsageError(str(err)) from err


def _import(
    deployment: Deployment, files: Sequence[TableFile], judgement: Judgement, history_until: str | None
) -> ImportAccount:
    with TemporaryDirectory(prefix="mlops-import-") as name:
        folder = Path(name)
        judged = judge_files(files, judgement, deployment.duckdb, folder) if files else _nothing(judgement)
        return _publish(deployment, judged, judgement, history_until, folder)


def _nothing(judgement: Judgement) -> Judged:
    """Return what there is to judge of a complete delivery that has no file: a day on which nothing happened."""
    return Judged((f"dt_{judgement.partition}#{hashlib.sha256().hexdigest()[:12]}",), (0,), (), (), (), (), Tidied())


def _publish(
    deployment: Deployment, judged: Judged, judgement: Judgement, history_until: str | None, folder: Path
) -> ImportAccount:
    lake, spec, night = deployment.lake, judgement.spec, judgement.partition
    taken = {day: rows for day, rows in sorted(_taken_by_day(judged).items())}
    days = sorted({*taken, *([partitions.parse(night)] if night else ())})
    merged = merge_rows(deployment, judged, judgement, days, folder=folder)
    set_aside(deployment, judged, merged, spec)
    until = night or history_until or arrived_until(taken)
    accounts = _by_day(judged, merged, days, until, night)
    if accounts:
        records = _records(judged, accounts, until, night, spec)
        told = {partitions.key_of(day) for _, day in accounts} | set(
            deliveries.days_of(lake, spec, night) if night else ()
        )
        lake.update(spec.deliveries.name, sorted(told), lambda present: _with_records(present, records, night))
    account = _account(judged, merged, accounts, until, judgement)
    log.info(
        "source imported source=%s files=%s rows_in=%d published=%d quarantined=%d days=%d time_zone=%s merge=%s",
        spec.source, ",".join(judged.files)[:1000], account.rows_in, account.rows_published, account.rows_quarantined,
        account.partitions, account.time_zone, merged.counts,
    )  # fmt: skip
    _warn(account, spec)
    return account


def _warn(account: ImportAccount, spec: SourceSpec) -> None:
    if account.conflicting:
        log.warning(
            "%d rows of %s differ from those that are there under the same %s, and were received at the same time: "
            "they are set aside; deliver a correction with a later received_at",
            account.conflicting, spec.source, ", ".join(spec.key),
        )  # fmt: skip
    if account.rejected_corrections:
        log.warning(
            "%d rows of %s broke a rule while the table has a row of their key, which stays as it was: correct them "
            "and deliver them again",
            account.rejected_corrections, spec.source,
        )  # fmt: skip


def _taken_by_day(judged: Judged) -> Counter[date]:
    taken: Counter[date] = Counter()
    for count in judged.counts:
        if count.rule is None and count.day is not None:
            taken[count.day] += count.rows
    return taken


def _by_day(
    judged: Judged, merged: Merged, days: Sequence[date], until: str | None, night: str | None
) -> dict[tuple[int, date], _DayAccount]:
    """Return what each file had for each day; it sums to the file.

    A row whose day is unknown, or outside the days of the rows that were taken, counts on the home day: that of the
    night, or the last of the file. Empty where there is none.
    """
    if not days:
        return {}
    home = partitions.parse(night) if night else days[-1]
    told = _told(days, until, night)
    accounts = {(file, day): _DayAccount() for file in range(len(judged.files)) for day in told}

    def of(file: int, day: date | None) -> _DayAccount:
        return accounts[file, day if day in told and days[0] <= day <= days[-1] else home]

    for count in judged.counts:
        of(count.file, count.day).add(count)
    for lost in merged.lost:
        of(lost.file, lost.day).lose(lost)
    for (file, day), rows in merged.rejected_corrections.items():
        of(file, day).rejected_corrections += rows
    return accounts if night is None else _of_night(accounts, home)


def _of_night(accounts: Mapping[tuple[int, date], _DayAccount], home: date) -> dict[tuple[int, date], _DayAccount]:
    """Return what a night's delivery tells of: its own day, and others where it has rows."""
    return {at: account for at, account in accounts.items() if account.rows_in or at[1] == home}


def _told(days: Sequence[date], until: str | None, night: str | None) -> list[date]:
    """Return the days that an import tells of.

    A file that is imported as a whole says of every day between its first and the last that has arrived by it what it
    had; a night's delivery says so of its own day only: late rows do not show that another night arrived.
    """
    return list(days) if night else sorted({*days, *map(partitions.parse, _span(days[0], until))})


def _span(first: date, until: str | None) -> list[str]:
    start = partitions.key_of(first)
    return partitions.span(start, until) if until is not None and until >= start else []


def _records(
    judged: Judged,
    accounts: Mapping[tuple[int, date], _DayAccount],
    until: str | None,
    night: str | None,
    spec: SourceSpec,
) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "dt": day,
                "source": judged.files[file],
                "delivered": night,
                "has_arrived": partitions.key_of(day) == night if night else partitions.key_of(day) <= (until or ""),
                "rows_in": account.rows_in,
                "rows_published": account.rows_published,
                "rows_quarantined": account.rows_in - account.rows_published,
                "rules": json.dumps(account.rules, sort_keys=True),
                "rejected_corrections": account.rejected_corrections,
            }
            for (file, day), account in sorted(accounts.items())
        ],
        schema=spec.deliveries.arrow_schema(),
    )


def _with_records(present: pa.Table | None, records: pa.Table, night: str | None) -> pa.Table:
    """Return the records and what is there, but what the same files, or an earlier delivery of the night, said."""
    if present is not None:
        of_night = pc.fill_null(pc.equal(present["delivered"], pa.scalar(night, pa.string())), False)
        others = present.filter(pc.invert(pc.or_(of_night, pc.is_in(present["source"], records["source"]))))
        records = pa.concat_tables([others.select(records.schema.names).cast(records.schema), records])
    return records.sort_by([("dt", "ascending"), ("source", "ascending")])


def _account(
    judged: Judged,
    merged: Merged,
    accounts: Mapping[tuple[int, date], _DayAccount],
    until: str | None,
    judgement: Judgement,
) -> ImportAccount:
    spec, counts = judgement.spec, merged.counts
    rules = Counter[str]()
    for count in (*judged.counts, *merged.lost):
        rules[count.rule or ""] += count.rows
    days = sorted({partitions.key_of(day) for _, day in accounts})
    rows_in = sum(judged.rows_in)
    return ImportAccount(
        rows_in=rows_in,
        rows_published=counts.published,
        rows_quarantined=rows_in - counts.published,
        rules={name: rules[name] for name in spec.reasons},
        superseded=rules[SUPERSEDED],
        conflicting=rules[CONFLICTING],
        added=counts.added,
        replaced=counts.replaced,
        unchanged=counts.unchanged,
        rejected_corrections=sum(merged.rejected_corrections.values()),
        counted={name: sum(each.counted[name] for each in judged.counts) for name in spec.counted},
        trimmed=dict(judged.tidied.trimmed),
        null_words=dict(judged.tidied.null_words),
        left_out=list(judged.tidied.left_out),
        partitions=len(days),
        first=days[0] if days else None,
        last=days[-1] if days else None,
        arrived_until=until if days else None,
        time_zone=judgement.time_zone,
        version=merged.version,
    )
