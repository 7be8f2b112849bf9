"""The account of an import: what became of its rows, in all and for each day and file.

What belongs here: counts in, values and records out. What does not: judging and merging rows, and writing the records.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.specs.source_rules import CONFLICTING, SUPERSEDED
from include.specs.sources import SourceSpec
from include.steps.judge_source import Judged, Judgement, RowCount
from include.steps.publish_source import Merged


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
        What the source counts of the rows that were taken.
    trimmed, null_words, left_out
        What was done to the files' values before: see `Tidied`.
    partitions : int
        Days that have a record of this import.
    first, last : str or None
        The first and the last of them; None where no row was taken.
    arrived_until : str or None
        The last day of the deliverer's clock that has arrived by it: of a night's delivery its own.
    last_night : str or None
        The last day of that clock that has arrived or has a row.
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
    last_night: str | None
    time_zone: str
    version: int | None


@dataclass
class DayAccount:
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


def taken_by_night(judged: Judged) -> Counter[date]:
    """Return the rows that were taken, by day of the deliverer's clock."""
    taken: Counter[date] = Counter()
    for count in judged.counts:
        if count.night is not None:
            taken[count.night] += count.rows
    return taken


def account_by_day(
    judged: Judged, merged: Merged, days: Sequence[date], arrived: Sequence[str], night: str | None
) -> dict[tuple[int, date], DayAccount]:
    """Return what each file had for each day; it sums to the file.

    A row whose day is unknown, or outside the days of the rows that were taken, counts on the home day: that of the
    night, or the last of the file. Empty where there is none.
    """
    if not days:
        return {}
    home = partitions.parse(night) if night else days[-1]
    told = _told(days, arrived, night)
    accounts = {(file, day): DayAccount() for file in range(len(judged.files)) for day in told}

    def of(file: int, day: date | None) -> DayAccount:
        return accounts[file, day if day in told and days[0] <= day <= days[-1] else home]

    for count in judged.counts:
        of(count.file, count.day).add(count)
    for lost in merged.lost:
        of(lost.file, lost.day).lose(lost)
    for (file, day), rows in merged.rejected_corrections.items():
        of(file, day).rejected_corrections += rows
    return accounts if night is None else _of_night(accounts, home)


def _of_night(accounts: Mapping[tuple[int, date], DayAccount], home: date) -> dict[tuple[int, date], DayAccount]:
    """Return what a night's delivery tells of: its own day, and others where it has rows."""
    return {at: account for at, account in accounts.items() if account.rows_in or at[1] == home}


def _told(days: Sequence[date], arrived: Sequence[str], night: str | None) -> list[date]:
    """Return the days that an import tells of.

    A file that is imported as a whole says of every day that has arrived by it what it had; a night's delivery says so
    of its own day only: late rows do not show that another night arrived.
    """
    return list(days) if night else sorted({*days, *map(partitions.parse, arrived)})


def make_records(
    judged: Judged,
    accounts: Mapping[tuple[int, date], DayAccount],
    arrived: Sequence[str],
    night: str | None,
    spec: SourceSpec,
) -> pa.Table:
    """Return the records of an import, as the log of deliveries has them."""
    has_arrived = frozenset(arrived)
    return pa.Table.from_pylist(
        [
            {
                "month": month_of(day),
                "dt": day,
                "source": judged.files[file],
                "delivered": night,
                "has_arrived": partitions.key_of(day) in has_arrived,
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


def month_of(day: date) -> str:
    """Return the partition that the records of a day are in."""
    return f"{day:%Y-%m}"


def laid_over_records(
    present: pa.Table | None, records: pa.Table, night: str | None, *, told: Collection[date]
) -> pa.Table:
    """Return the records and what is there, but what the same files, or an earlier delivery of the night, said.

    Parameters
    ----------
    told : collection of date
        The days whose records are replaced.
    """
    if present is not None:
        of_night = pc.fill_null(pc.equal(present["delivered"], pa.scalar(night, pa.string())), False)
        is_told = pc.is_in(present["dt"], pa.array(sorted(told), pa.date32()))
        replaced = pc.and_(is_told, pc.or_(of_night, pc.is_in(present["source"], records["source"])))
        others = present.filter(pc.invert(replaced))
        records = pa.concat_tables([others.select(records.schema.names).cast(records.schema), records])
    return records.sort_by([("dt", "ascending"), ("source", "ascending")])


def make_account(
    judged: Judged,
    merged: Merged,
    accounts: Mapping[tuple[int, date], DayAccount],
    arrived: Sequence[str],
    judgement: Judgement,
) -> ImportAccount:
    """Return the account of an import in all."""
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
        arrived_until=arrived[-1] if arrived else None,
        last_night=max([*arrived, *map(partitions.key_of, taken_by_night(judged))], default=None),
        time_zone=judgement.time_zone,
        version=merged.version,
    )
