"""Record what became of whom a model scored, as far as a night knows it.

What belongs here: which nights of predictions may have learned something, and rows that are added for what is new.
What does not: the label, which is read as training reads it (``read_labels``), and what a model's scores were worth
(``measure_performance``).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.lake.history import changed_partitions
from include.adapters.lake.portions import fitting
from include.adapters.lake.span import Span
from include.adapters.sources.deliveries import delivered_days, first_gap
from include.errors import NotYetError, RefusedError, UnpublishedError
from include.features.checks import EVENT_TIMESTAMP
from include.quality.sql import columns
from include.question.labels import KNOWN_AT
from include.refs import OutcomesRef
from include.specs.labels import load_label_kind
from include.specs.models import load_model
from include.specs.sources import load_source
from include.steps.find_person import ERASING
from include.steps.read_labels import read_labels
from include.tables import outcomes_table, predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.errors import MlopsError
    from include.specs.models import ModelSpec
    from include.specs.sources import SourceSpec
    from include.tables import TableSpec

log = logging.getLogger(__name__)

_DAY = timedelta(days=1)
_RECEIVED_AT = "received_at"

# What is another label than one that had been recorded by then, since rows were replaced or came with a time that had
# passed, is known from the end of the night that tells it. A night knows what became known by its end, that very
# instant included. Once a later night is recorded, rows may have been replaced since, and tell nothing of what was
# known before them: then a label that had been recorded stays. Of a night whose own rows are gone, what came in it is
# told again, but of whom another label was recorded later.
_NEWS = """
WITH newest AS (
    SELECT {keys}, dt, label, known_at
    FROM recorded
    WHERE known_at <= $known_until
    QUALIFY row_number() OVER (PARTITION BY {keys}, dt ORDER BY known_at DESC) = 1
),

later AS (
    SELECT DISTINCT {keys}, dt, TRUE AS is_later
    FROM recorded
    WHERE known_at > $known_until
),

news AS (
    SELECT
        {keys},
        dt,
        told.label,
        told.known_at > greatest(newest.known_at, CAST($recorded_until AS TIMESTAMPTZ)) AS came_since,
        CASE
            WHEN newest.known_at IS NULL OR came_since THEN told.known_at
            ELSE CAST($known_until AS TIMESTAMPTZ)
        END AS known_at
    FROM asked
    LEFT JOIN told USING ({keys}, event_timestamp)
    LEFT JOIN newest USING ({keys}, dt)
    LEFT JOIN later USING ({keys}, dt)
    WHERE
        told.label IS DISTINCT FROM newest.label
        AND (newest.known_at IS NULL OR NOT $is_overtaken OR ($is_gone AND came_since AND is_later IS NULL))
)

SELECT *, CAST(known_at - INTERVAL 1 MICROSECOND AS DATE) AS known_on
FROM news
ORDER BY dt, {keys}, known_at
"""


def record_outcomes(deployment: Deployment, model_id: str, *, partition: str) -> OutcomesRef:
    """Add what is known at the end of a night of the labels of earlier predictions, and was not yet recorded.

    Looked at are the nights whose horizon is not over before this one; those within whose horizon a row lies that was
    received, or a day that has changed, since the night before it was recorded; those that were scored since; and
    every one the first time. A row is added where a label
    becomes known, and where it is another one than before; none is changed or removed. Twice, out of order or after
    a crash leaves the same rows, and so does a night that is recorded again once later ones were corrected. One whose
    rows are gone gets back what its sources still tell.

    Raises
    ------
    NotYetError
        If a source that the label reads has not come for the night, which is scored.
    UnpublishedError
        If it has not, and the night is not scored either: it may be one of years ahead.
    RefusedError
        If a day of it is missing: who ordered then would count as one who did not.
    """
    spec = load_model(model_id)
    table = outcomes_table(model_id, spec.entity.keys, spec.entity.whose)
    with deployment.state.alone(f"recording the outcomes of {model_id}", not_during=ERASING):
        scored = deployment.state.publications(predictions_name(model_id))
        read = _versions(deployment, spec, partition, is_scored=partition in scored)
        earlier = {night: rows for night, rows in scored.items() if night < partition}
        recorded = deployment.state.publications(table.name)
        before = max((each for each in recorded if each < partition), default=None)
        there = deployment.lake.partitions(table.name, partition_by=table.partition_by)
        standing = {
            "is_overtaken": max(recorded, default=partition) > partition,
            "is_gone": bool(recorded.get(partition)) and partition not in there,
        }
        nights = _nights_that_may_know(deployment, spec, table, partition, before, earlier, read)
        added, version = 0, 0
        # Once also where there is nothing: the table is there from then on.
        for portion in [*fitting((night, earlier[night]) for night in nights)] or [[]]:
            news = _find_news(deployment, spec, table, partition, before, portion, **standing)
            version = _add(deployment, table, partition, news)
            added += news.num_rows
        known = (partition, _count(deployment, table, partition))
        deployment.state.record_publications(table.name, [known], version, source_versions=read)
    log.info("outcomes model=%s partition=%s nights=%d added=%d", model_id, partition, len(nights), added)
    return OutcomesRef(model_id, partition, len(nights), added, version)


def _versions(deployment: Deployment, spec: ModelSpec, partition: str, *, is_scored: bool) -> dict[str, int]:
    """Return the versions of the tables that are read, which hold the night; what comes meanwhile is read again."""
    kind = load_label_kind(spec.label.kind, deployment.settings.specs_overlay)
    names = [predictions_name(spec.model_id)]
    for source in map(load_source, kind.sources):
        names.append(source.raw.name)
        delivered = delivered_days(deployment.lake, source)
        if not delivered or partition > delivered[-1]:
            raise _absent(spec, source, partition, delivered[-1] if delivered else None, is_scored=is_scored)
        if (gap := first_gap(delivered, partition)) is not None:
            raise RefusedError(
                f"the outcomes of {spec.model_id} can't be recorded for {partition}: {source.source} of {gap} are "
                "missing while later days are there; deliver them (or an empty day, with _SUCCESS)"
            )
    found = {name: deployment.lake.version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


def _absent(spec: ModelSpec, source: SourceSpec, partition: str, newest: str | None, *, is_scored: bool) -> MlopsError:
    """Return the error of a night whose rows have not come: who scores a night has it, so that the rest may come."""
    what = f"the outcomes of {spec.model_id} can't be recorded for {partition}"
    absent = f"{source.source} of that day has not arrived (the newest is {newest or 'none'})"
    if is_scored:
        return NotYetError(f"{what}: {absent}; import it first")
    allowed = f"name a night up to {newest}, or import it first" if newest else "import it first"
    return UnpublishedError(f"{what}: it is not scored, and {absent}; {allowed}")


def _nights_that_may_know(
    deployment: Deployment,
    spec: ModelSpec,
    table: TableSpec,
    partition: str,
    before: str | None,
    earlier: Mapping[str, int],
    read: Mapping[str, int],
) -> list[str]:
    """Return the nights of predictions whose labels may be others than those that are recorded, in order."""
    recorded = deployment.state.source_versions(table.name)
    if before is None:
        return sorted(earlier)
    held = [recorded[night] for night in (before, partition) if night in recorded]
    horizon = spec.label.horizon_days
    reached = {night for night in earlier if night >= partitions.shift(partition, -horizon)}
    for name, version in read.items():
        is_source = name != predictions_name(spec.model_id)
        changed = _changed(deployment, name, held, version)
        if changed is None:
            return sorted(earlier)
        if is_source:
            changed |= _received(deployment, name, after=before, until=partition)
        reached |= earlier.keys() & _reached(changed, horizon if is_source else 0)
    return sorted(reached)


def _changed(
    deployment: Deployment, name: str, held: Sequence[Mapping[str, int] | None], version: int
) -> set[str] | None:
    """Return the days of a table that have changed since some nights were recorded; None where nobody knows."""
    since = [None if each is None else each.get(name) for each in held]
    known = [each for each in since if each is not None]
    if len(known) < len(since):
        return None
    changed = changed_partitions(deployment.lake, name, since=min(known), until=version)
    return None if changed is None else set(changed)


def _received(deployment: Deployment, name: str, *, after: str, until: str) -> set[str]:
    """Return the days of a source of which rows were received after one night and until another."""
    start, end = partitions.end_of(after), partitions.end_of(until)
    rows = deployment.lake.dataset(name, within=Span(_RECEIVED_AT, start, end))
    at = pc.field(_RECEIVED_AT)
    found = rows.to_table(columns=["dt"], filter=(at > pa.scalar(start)) & (at <= pa.scalar(end)))
    return set(map(str, pc.unique(found["dt"]).to_pylist()))


def _reached(changed: Collection[str], horizon_days: int) -> set[str]:
    """Return the nights whose labels look at days; one more on each side, as a source's days may be of another clock.

    Examples
    --------
    >>> sorted(_reached(["2026-03-10"], 2))
    ['2026-03-07', '2026-03-08', '2026-03-09', '2026-03-10']
    >>> sorted(_reached(["2026-03-10"], 0))
    ['2026-03-10']
    """
    if not horizon_days:
        return set(changed)
    return {night for day in changed for night in partitions.span(partitions.shift(day, -horizon_days - 1), day)}


def _find_news(
    deployment: Deployment,
    spec: ModelSpec,
    table: TableSpec,
    partition: str,
    before: str | None,
    nights: Sequence[str],
    *,
    is_overtaken: bool,
    is_gone: bool,
) -> pa.Table:
    """Return the rows that are to be added about some nights of predictions."""
    if not nights:
        return table.arrow_schema().empty_table()
    keys, known_until = list(spec.entity.keys), partitions.end_of(partition)
    identity = [*keys, "dt"]
    scored = deployment.lake.dataset(predictions_name(spec.model_id), keys=list(nights)).to_table(columns=identity)
    asked = scored.group_by(identity).aggregate([])
    midnight = pc.add(asked["dt"].cast(pa.timestamp("us", tz="UTC")), pa.scalar(_DAY))
    asked = asked.append_column(EVENT_TIMESTAMP, midnight)
    told = read_labels(deployment, spec, asked, known_until=known_until)
    days = [partitions.parse(night) for night in nights]
    recorded = table.arrow_schema().empty_table()
    if deployment.lake.exists(table.name):
        within = Span(KNOWN_AT, partitions.end_of(nights[0]), None if is_gone else known_until)
        stored = deployment.lake.dataset(table.name, within=within)
        recorded = stored.to_table(filter=pc.field("dt").isin(pa.array(days, pa.date32())))
    news = deployment.duckdb.run_select(
        _NEWS.format(keys=columns(keys)),
        {"asked": asked, "told": told.rows, "recorded": recorded},
        purpose=f"the outcomes of {spec.model_id}",
        parameters={
            "known_until": known_until,
            "recorded_until": partitions.end_of(before) if before else None,
            "is_overtaken": is_overtaken,
            "is_gone": is_gone,
        },
    )
    return news.select(table.arrow_schema().names).cast(table.arrow_schema())


def _add(deployment: Deployment, table: TableSpec, partition: str, news: pa.Table) -> int:
    """Add rows in one commit, to each night what was known at its end, and return the table's version."""
    nights = sorted({partition, *map(str, pc.unique(news["known_on"]).to_pylist())})
    by_place = [(name, "ascending") for name in table.sorted_by]

    def beside_what_is_there(present: pa.Table | None) -> pa.Table:
        if present is None:
            return news
        # What is told again of one instant replaces what was told of it.
        others = present.join(news.select(table.key), keys=list(table.key), join_type="left anti")
        return pa.concat_tables([others.select(news.column_names), news]).sort_by(by_place)

    added = deployment.lake.update(table.name, nights, beside_what_is_there, partition_by=table.partition_by)
    return added.version


def _count(deployment: Deployment, table: TableSpec, partition: str) -> int:
    within = Span(KNOWN_AT, partitions.start_of(partition), partitions.end_of(partition))
    stored = deployment.lake.dataset(table.name, within=within)
    return int(stored.count_rows(filter=pc.field(table.partition_by) == partitions.parse(partition)))
