"""Import orders: judge files by the contract and publish what passes, for any number of times.

What belongs here: the order of the three commits, the merge with what is there, the account. What
does not: the verdict on a row, which is judged before anything is written.

A crash between commits is harmless. Rows set aside are written first, orders second, and last, for
each day and source, the record that the day has arrived: a rerun completes what is missing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.sources import deliveries, source_files
from include.errors import UsageError
from include.quality.formats import check_format
from include.quality.merge import MergeCounts
from include.steps.judge_source import DayAccount, JudgedFile, Judgement, judge_file, load_contract
from include.steps.publish_source import merge_rows, set_aside
from include.tables import DELIVERIES

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
        Rows delivered, rows that passed the contract, rows set aside.
    rules : dict of str to int
        Rows set aside, by every rule of the contract.
    zero_price : int
        Published rows that cost nothing.
    partitions : int
        Days that have a record of this import.
    first, last : str or None
        The first and the last of them; None where no row was taken.
    rows_added, rows_replaced, rows_unchanged, rows_stale, rows_conflicting : int
        What the published rows met in the table: see `MergeCounts`.
    time_zone : str
        The zone in which times without one were read.
    version : int or None
        The version of the table of orders after the import; None where it does not exist.
    """

    rows_in: int
    rows_published: int
    rows_quarantined: int
    rules: dict[str, int]
    zero_price: int
    partitions: int
    first: str | None
    last: str | None
    rows_added: int
    rows_replaced: int
    rows_unchanged: int
    rows_stale: int
    rows_conflicting: int
    time_zone: str
    version: int | None


def import_file(
    deployment: Deployment,
    source: Path,
    *,
    file_format: str,
    as_of: datetime,
    time_zone: str = "UTC",
    cross_check: bool = False,
) -> ImportAccount:
    """Import one file of orders, of any number of days.

    Parameters
    ----------
    deployment : Deployment
        Only its lake and its DuckDB are used.
    source : Path
        A ``.parquet`` or ``.csv`` file.
    file_format : {"canonical", "online-retail"}
        How its columns are to be read.
    as_of : datetime
        Aware; a row with a later time is set aside.
    time_zone : str
        IANA name of the zone of times that have none.
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
    judgement = Judgement(check_format(file_format), as_of, time_zone, cross_check, partition=None)
    return _import(deployment, [source_files.local_file(source)], judgement)


def import_delivery(
    deployment: Deployment, partition: str, *, file_format: str = "canonical", cross_check: bool = True
) -> ImportAccount:
    """Import every file of a night's delivery, ``<landing_uri>/orders/dt=<partition>/``.

    Parameters
    ----------
    deployment : Deployment
        Only its settings, its lake and its DuckDB are used.
    partition : str
        The day that was delivered. Its end is the import's as-of. Times without a zone are read in UTC.
    file_format : {"canonical", "online-retail"}
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
    as_of = partitions.end_of(partition)
    delivery = deliveries.find_delivery(deployment.settings, partition)
    chosen = check_format(delivery.file_format or file_format)
    judgement = Judgement(chosen, as_of, "UTC", cross_check, partition)
    return _import(deployment, delivery.files, judgement)


def _nothing(partition: str) -> JudgedFile:
    """Return the judgement on a complete delivery that has no file: a day on which nobody ordered."""
    source = f"dt_{partition}#{hashlib.sha256().hexdigest()[:12]}"
    days = {partitions.parse(partition): DayAccount(0, 0, {})}
    rules = dict.fromkeys(load_contract().reasons, 0)
    return JudgedFile(source, 0, 0, (), (), days, rules, 0)


def _import(deployment: Deployment, files: Sequence[TableFile], judgement: Judgement) -> ImportAccount:
    with TemporaryDirectory(prefix="mlops-import-") as folder:
        judged = []
        for number, file in enumerate(files):
            of_file = Path(folder, str(number))
            of_file.mkdir()
            judged.append(judge_file(file, judgement, deployment.duckdb, of_file))
        if judgement.partition is not None and not judged:
            judged = [_nothing(judgement.partition)]
        return _publish(deployment, judged, judgement)


def _publish(deployment: Deployment, judged: Sequence[JudgedFile], judgement: Judgement) -> ImportAccount:
    lake = deployment.lake
    set_aside(deployment, judged)
    days = sorted({day for file in judged for day in file.days})
    counts, version = merge_rows(deployment, judged, days)
    if days:
        records, night = _records(judged, judgement.partition), judgement.partition
        told = {day.isoformat() for day in days} | set(deliveries.days_of(lake, night) if night else ())
        lake.update(DELIVERIES.name, sorted(told), lambda present: _with_records(present, records, night))
    account = _account(judged, days, counts, version, judgement.time_zone)
    log.info(
        "orders imported sources=%s rows_in=%d published=%d quarantined=%d zero_price=%d days=%d time_zone=%s merge=%s",
        ",".join(file.source for file in judged),
        account.rows_in,
        account.rows_published,
        account.rows_quarantined,
        account.zero_price,
        account.partitions,
        account.time_zone,
        counts,
    )
    if counts.conflicting:
        log.warning(
            "%d rows differ from those that are there under the same order_id and line, and are not newer by "
            "received_at: they were not taken; deliver a correction with a later received_at",
            counts.conflicting,
        )
    return account


def _records(judged: Sequence[JudgedFile], partition: str | None) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "dt": day,
                "source": file.source,
                "delivered": partition,
                "rows_in": account.rows_in,
                "rows_published": account.rows_published,
                "rows_quarantined": account.rows_in - account.rows_published,
                "rules": json.dumps(account.rules, sort_keys=True),
            }
            for file in judged
            for day, account in sorted(file.days.items())
        ],
        schema=DELIVERIES.arrow_schema(),
    )


def _with_records(present: pa.Table | None, records: pa.Table, night: str | None) -> pa.Table:
    """Return the records and what is there, but what the same sources, or an earlier delivery of the night, said."""
    if present is not None:
        of_night = pc.fill_null(pc.equal(present["delivered"], pa.scalar(night, pa.string())), False)
        others = present.filter(pc.invert(pc.or_(of_night, pc.is_in(present["source"], records["source"]))))
        records = pa.concat_tables([others.select(records.schema.names).cast(records.schema), records])
    return records.sort_by([("dt", "ascending"), ("source", "ascending")])


def _account(
    judged: Sequence[JudgedFile], days: Sequence[date], counts: MergeCounts, version: int | None, time_zone: str
) -> ImportAccount:
    rules = {name: sum(file.rules[name] for file in judged) for name in judged[0].rules}
    return ImportAccount(
        rows_in=sum(file.rows_in for file in judged),
        rows_published=sum(file.rows_published for file in judged),
        rows_quarantined=sum(file.rows_in - file.rows_published for file in judged),
        rules=rules,
        zero_price=sum(file.zero_price for file in judged),
        partitions=len(days),
        first=days[0].isoformat() if days else None,
        last=days[-1].isoformat() if days else None,
        rows_added=counts.added,
        rows_replaced=counts.replaced,
        rows_unchanged=counts.unchanged,
        rows_stale=counts.stale,
        rows_conflicting=counts.conflicting,
        time_zone=time_zone,
        version=version,
    )
