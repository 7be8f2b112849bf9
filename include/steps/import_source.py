"""Import a source: judge files by its rules and publish what passes, for any number of times.

What belongs here: the order of the three commits, and the account. What does not: the verdict on a row, which is given
before anything is written, and the merge with what is there.

A crash between commits is harmless: rows are merged first, what was set aside is written second, and last, for each day
and file, the record of it, by which a day has arrived. A rerun completes what is missing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include import partitions
from include.adapters.sources import deliveries, source_files
from include.errors import UsageError
from include.quality.formats import find_format
from include.quality.history import arrived_until
from include.specs.source_formats import CANONICAL
from include.specs.sources import SourceSpec, check_time_zone, load_source
from include.steps.account_source import (
    ImportAccount,
    account_by_day,
    laid_over_records,
    make_account,
    make_records,
    month_of,
    taken_by_night,
)
from include.steps.judge_source import Judged, Judgement, Tidied, judge_files
from include.steps.publish_source import merge_rows, set_aside

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.files.tabular import TableFile

log = logging.getLogger(__name__)


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
        The last day of the deliverer's clock that has arrived by it; by default `arrived_until` of its days says so. No
        day has that was not over at `as_of`.
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
    if history_until is not None and history_until > spec.last_over(as_of):
        raise UsageError(
            f"history-until {history_until}: that day of {spec.source} is not over by {as_of.isoformat()}, so it can't "
            "have arrived; name the last one that is whole"
        )
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
    for table in (judgement.spec.raw, judgement.spec.quarantine, judgement.spec.deliveries):
        deployment.lake.require_partitioned(table.name, partition_by=table.partition_by)
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
    taken = {count.day for count in judged.counts if count.rule is None and count.day is not None}
    days = sorted(taken | ({partitions.parse(night)} if night else set()))
    merged = merge_rows(deployment, judged, judgement, days, folder=folder)
    set_aside(deployment, judged, merged, spec)
    arrived = [night] if night else _arrived_by_history(judged, judgement, history_until)
    accounts = account_by_day(judged, merged, days, arrived, night)
    if accounts:
        records = make_records(judged, accounts, arrived, night, spec)
        told = {day for _, day in accounts} | set(deliveries.days_of(lake, spec, night) if night else ())
        lake.update(
            spec.deliveries.name,
            sorted(set(map(month_of, told))),
            lambda present: laid_over_records(present, records, night, told=told),
            partition_by=spec.deliveries.partition_by,
        )
    account = make_account(judged, merged, accounts, arrived, judgement)
    log.info(
        "source imported source=%s files=%s rows_in=%d published=%d quarantined=%d days=%d time_zone=%s merge=%s",
        spec.source, ",".join(judged.files)[:1000], account.rows_in, account.rows_published, account.rows_quarantined,
        account.partitions, account.time_zone, merged.counts,
    )  # fmt: skip
    _warn(account, spec)
    return account


def _arrived_by_history(judged: Judged, judgement: Judgement, history_until: str | None) -> list[str]:
    """Return the days of the deliverer's clock that have arrived by a file of many; in order."""
    taken = taken_by_night(judged)
    until = history_until or arrived_until(taken, over=judgement.spec.last_over(judgement.as_of))
    if not taken or until is None or until < (first := partitions.key_of(min(taken))):
        return []
    return partitions.span(first, until)


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
