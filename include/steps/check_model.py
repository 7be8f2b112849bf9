"""Check a model before there are data of it: is what it names there, can its label be known, what will it cost.

What belongs here: trying the groups' statements, the population and the label's statement on made-up rows, and counting
what a training would read. What does not: specs held against one another (``specs.whole``), and training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.online.open_store import shared_cache_url
from include.column_types import is_number, is_text
from include.errors import MlopsError, UsageError, one_line
from include.features.checks import EVENT_TIMESTAMP, expected_schema
from include.partitions import key_of
from include.question.labels import KNOWN_AT, LABEL, known_labels, snapshot_days, tell_one_weekday
from include.specs.groups import load_feature_group
from include.specs.labels import EXAMPLES, LabelKind, load_label_kind
from include.specs.models import ModelSpec
from include.specs.services import load_feature_service
from include.specs.source_rules import DAY, RECEIVED_AT
from include.specs.sources import SourceSpec, load_source
from include.steps.draw_source import draw_source
from include.steps.probe_features import try_statement
from include.steps.read_inputs import select_population

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_INSTANT = pa.timestamp("us", tz="UTC")
_TRIES = 2_000
_ENTITIES = 500


@dataclass(frozen=True)
class ModelCheck:
    """What was found about a model.

    Attributes
    ----------
    wrong : tuple of str
        What stops it, in sentences.
    told : tuple of str
        What a training will read, and what is worth a look.
    """

    wrong: tuple[str, ...]
    told: tuple[str, ...]


def check_model(deployment: Deployment, spec: ModelSpec, *, as_of: datetime, seed: int = 0) -> ModelCheck:
    """Try a model on made-up rows; of one that holds, count the rows that a training as of a day would read.

    Parameters
    ----------
    deployment : Deployment
        Its lake and state are read, its DuckDB computes; nothing is written.
    spec : ModelSpec
        One that stands.
    as_of : datetime
        Aware; made-up rows are of the days before it.
    seed : int
        Of the made-up rows.
    """
    found = (
        *_wrong_with_population(deployment, spec),
        *_wrong_with_label(deployment, spec, as_of, seed),
        *_wrong_with_cache(deployment, spec),
    )
    wrong = (*(f"{spec.model_id}.yaml: {said}" for said in found), *_wrong_with_groups(deployment, spec, as_of))
    if wrong:
        return ModelCheck(wrong, ())
    return ModelCheck((), (*spec.gates.tell_idle(), *tell_one_weekday(spec.training), *_cost(deployment, spec)))


def _wrong_with_groups(deployment: Deployment, spec: ModelSpec, as_of: datetime) -> Iterator[str]:
    for name in load_feature_service(spec.features.service).features:
        yield from map(str, try_statement(load_feature_group(name), deployment.duckdb, day=key_of(as_of.date())))


def _wrong_with_population(deployment: Deployment, spec: ModelSpec) -> Iterator[str]:
    """Say what of the condition the engine can't compute with the group's columns, such as a function it has not."""
    nothing_known = pa.Table.from_pylist([{}], schema=expected_schema(load_feature_group(spec.features.group)))
    try:
        select_population(deployment, spec, nothing_known)
    except MlopsError as err:
        yield f"population={spec.population!r}: {one_line(err)}"


def _wrong_with_cache(deployment: Deployment, spec: ModelSpec) -> Iterator[str]:
    if spec.serving.cache_in == "redis":
        try:
            shared_cache_url(deployment.settings)
        except UsageError as err:
            yield str(err)


def _wrong_with_label(deployment: Deployment, spec: ModelSpec, as_of: datetime, seed: int) -> Iterator[str]:
    kind = load_label_kind(spec.label.kind, deployment.settings.specs_overlay)
    until = datetime.combine(as_of.date(), time(), UTC)
    rng = np.random.default_rng(seed)
    sources = {name: load_source(name) for name in kind.sources}
    drawn = {
        name: draw_source(source, deployment.duckdb, rng, tries=_TRIES, until=until).drop_columns(["_try"])
        for name, source in sources.items()
    }
    at = until - timedelta(days=spec.label.horizon_days + 1)
    examples = _examples(spec, drawn, at)
    few = _received_after(sources, drawn)
    drawn = {name: pa.concat_tables([rows, *_within(spec, sources[name], rows, at)]) for name, rows in drawn.items()}
    try:
        labelled = _label(deployment, spec, kind, drawn, examples, until=until)
        known_labels(labelled, spec.entity.keys, known_until=until, kind=kind.name)
        nothing = {name: rows.schema.empty_table() for name, rows in drawn.items()}
        of_nothing = _label(deployment, spec, kind, nothing, examples, until=until)
        wrong = [*_strangers(spec, kind, labelled, examples), *_known_too_early(spec, kind, of_nothing)]
        wrong += _never_known(kind, labelled)
        after = _received_after(sources, drawn)
        wrong = wrong or list(_looks_beyond(deployment, spec, kind, sources, few, examples, at=at))
        for said in wrong or _known_unseen(deployment, spec, kind, after, examples, at=at, until=until):
            yield f"label.kind={kind.name!r}: {said}"
    except MlopsError as err:
        yield f"label.kind={kind.name!r}: {one_line(err)}"


def _examples(spec: ModelSpec, drawn: dict[str, pa.Table], at: datetime) -> pa.Table:
    """Return examples of entities that the made-up rows name, and of some that they don't."""
    keys = list(spec.entity.keys)
    named = next((rows.select(keys) for rows in drawn.values() if set(keys) <= set(rows.column_names)), None)
    strangers = pa.table({key: [f"nobody {number}" for number in range(_ENTITIES)] for key in keys})
    known = strangers.slice(0, 0) if named is None else named.cast(strangers.schema).group_by(keys).aggregate([])
    entities = pa.concat_tables([known.select(keys).drop_null().slice(0, _ENTITIES), strangers])
    return entities.append_column(EVENT_TIMESTAMP, pa.array([at] * entities.num_rows, _INSTANT))


def _within(spec: ModelSpec, source: SourceSpec, drawn: pa.Table, at: datetime) -> Iterator[pa.Table]:
    """Give rows twice more, as of the horizon and about one another: so that an entity has several there.

    A source whose rows only their entity and their time tell apart has them at two times.
    """
    for hours in (1, 2):
        yield _moved(spec, source, drawn, at=at, hours=hours, received_at=at + timedelta(days=1))


def _moved(
    spec: ModelSpec, source: SourceSpec, rows: pa.Table, *, at: datetime, hours: int, received_at: datetime
) -> pa.Table:
    """Return rows as others of the same entities, so many hours after the examples' time."""
    moved = {source.event_time: at + timedelta(hours=hours), RECEIVED_AT: received_at, DAY: at.date()}
    for name, value in moved.items():
        rows = _put(rows, name, pa.array([value] * rows.num_rows))
    for name, target in source.people.refers.items():
        rows = _put(rows, name, rows[target])
    for name in (name for name in source.key if name not in (*spec.entity.keys, *moved)):
        rows = _put(rows, name, _other_values(rows[name], hours))
    return rows


def _put(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    field = rows.schema.field(name)
    return rows.set_column(rows.schema.get_field_index(name), field, values.cast(field.type))


def _other_values(values: pa.ChunkedArray, time: int) -> pa.Array | pa.ChunkedArray:
    """Return values of a key's part that no other time has."""
    if is_text(values.type):
        return pc.binary_join_element_wise(values, str(time), " ")
    return pa.array(np.arange(len(values)) - (time + 1) * len(values)) if is_number(values.type) else values


def _label(
    deployment: Deployment,
    spec: ModelSpec,
    kind: LabelKind,
    sources: dict[str, pa.Table],
    examples: pa.Table,
    *,
    until: datetime,
) -> pa.Table:
    return deployment.duckdb.run_select(
        kind.sql,
        {EXAMPLES: examples, **sources},
        purpose=f"label {kind.name} of {spec.model_id}",
        parameters={"known_until": until, **spec.label.parameters},
    )


def _strangers(spec: ModelSpec, kind: LabelKind, labelled: pa.Table, examples: pa.Table) -> Iterator[str]:
    identity = [*spec.entity.keys, EVENT_TIMESTAMP]
    found = labelled.select(identity).cast(examples.select(identity).schema)
    if others := found.join(examples, keys=identity, join_type="left anti").num_rows:
        yield f"{kind.name}.sql labels {others} that are none of the {examples.num_rows} examples; join the examples"


def _known_too_early(spec: ModelSpec, kind: LabelKind, labelled: pa.Table) -> Iterator[str]:
    """Say what is wrong where nothing has happened yet, and the statement knows already that nothing will."""
    over = pc.add(
        labelled[EVENT_TIMESTAMP].cast(_INSTANT),
        pa.scalar(timedelta(days=spec.label.horizon_days), pa.duration("us")),
    )
    early = pc.fill_null(pc.less(labelled[KNOWN_AT].cast(_INSTANT), over), False)
    if count := pc.sum(early).as_py():
        row = labelled.filter(early).slice(0, 1).to_pylist()[0]
        yield (
            f"{kind.name}.sql knows the label {row[LABEL]} of {count} examples {row[KNOWN_AT] - row[EVENT_TIMESTAMP]} "
            f"after their time, where the sources have no row at all: that nothing happens in the horizon of "
            f"{spec.label.horizon_days} days is known when it is over"
        )


def _never_known(kind: LabelKind, labelled: pa.Table) -> Iterator[str]:
    if count := labelled[KNOWN_AT].null_count:
        yield (
            f"{kind.name}.sql gives no known_at for {count} of {labelled.num_rows} examples, which are never known so; "
            "give none that has no label a row, and each other the time since which it is known"
        )


def _looks_beyond(
    deployment: Deployment,
    spec: ModelSpec,
    kind: LabelKind,
    sources: dict[str, SourceSpec],
    drawn: dict[str, pa.Table],
    examples: pa.Table,
    *,
    at: datetime,
) -> Iterator[str]:
    """Say what is wrong where rows that were received after ``$known_until`` make a label another one."""
    over = at + timedelta(days=spec.label.horizon_days)
    late = over + timedelta(hours=12)
    more = {
        name: pa.concat_tables([rows, _moved(spec, sources[name], rows, at=at, hours=3, received_at=late)])
        for name, rows in drawn.items()
    }
    given = [_label(deployment, spec, kind, rows, examples, until=over) for rows in (drawn, more)]
    without, beyond = (known_labels(each, spec.entity.keys, known_until=over, kind=kind.name) for each in given)
    answer = [*spec.entity.keys, EVENT_TIMESTAMP, LABEL, KNOWN_AT]
    others = beyond.select(answer).join(without.select(answer), keys=answer, join_type="left anti").num_rows
    if others := max(others, abs(beyond.num_rows - without.num_rows)):
        yield (
            f"{kind.name}.sql labels {others} examples otherwise where there are rows that were received after "
            f"$known_until: a training would look at what nobody knew; leave them out, {RECEIVED_AT} <= $known_until"
        )


def _received_after(sources: dict[str, SourceSpec], drawn: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Leave out rows that were received before what they tell of happened."""
    return {
        name: rows.filter(pc.greater_equal(rows[RECEIVED_AT], rows[sources[name].event_time]))
        for name, rows in drawn.items()
    }


def _known_unseen(
    deployment: Deployment,
    spec: ModelSpec,
    kind: LabelKind,
    sources: dict[str, pa.Table],
    examples: pa.Table,
    *,
    at: datetime,
    until: datetime,
) -> Iterator[str]:
    """Say what is wrong where a label is said to have been known at a time at which the statement did not give it."""

    def known_at(then: datetime) -> pa.Table:
        labelled = _label(deployment, spec, kind, sources, examples, until=then)
        return known_labels(labelled, spec.entity.keys, known_until=then, kind=kind.name)

    said = known_at(until)
    answer = [*spec.entity.keys, EVENT_TIMESTAMP, LABEL]
    for after in (timedelta(), timedelta(hours=12), timedelta(days=spec.label.horizon_days) / 2):
        by_then = said.filter(pc.less_equal(said[KNOWN_AT], pa.scalar(at + after, _INSTANT)))
        unseen = by_then.join(known_at(at + after).select(answer), keys=answer, join_type="left anti")
        if unseen.num_rows:
            yield (
                f"{kind.name}.sql says that the label of {unseen.num_rows} examples was known {after} after their "
                "time, and doesn't give it when asked then, with $known_until at that time: known_at is when the last "
                "row that a label looks at was received, or when the horizon is over"
            )
            return


def _cost(deployment: Deployment, spec: ModelSpec) -> Iterator[str]:
    """Say how many rows a training would read, by the newest published night."""
    group = load_feature_group(spec.features.group)
    published = deployment.state.publications(group.table)
    if not published:
        yield (
            f"{group.table} has no published night yet, so that nothing can be counted; build some: mlops features "
            f"build --group {group.group} --date FIRST --end LAST"
        )
        return
    night = max(published)
    rows = deployment.lake.read(group.table, keys=[night])
    asked = select_population(deployment, spec, rows).num_rows
    days = snapshot_days(night, spec.label, spec.training)
    there = [day for day in days if day in published]
    yield (
        f"population: {asked:,} of {rows.num_rows:,} rows of {group.table} on {night}; a training as of that night "
        f"takes {len(there)} of {len(days)} snapshots ({days[0]} … {days[-1]}), about {asked * len(there):,} examples"
    )
    if asked < spec.monitoring.min_rows:
        yield (
            f"monitoring.min_rows={spec.monitoring.min_rows:,} is above the {asked:,} of that night: such nights have "
            "no verdict on drift, and ask for no retrain"
        )
    if asked * len(there) < spec.training.min_rows:
        yield (
            f"training.min_rows={spec.training.min_rows:,} is above that: build the days from {days[0]} on, or widen "
            "population or training.window_days"
        )
