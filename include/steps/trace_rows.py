"""Say which rows of its sources made a group's day break its spec.

What belongs here: which delivered rows are looked at, and the sentence. What does not: finding the fewest of them
(`narrow_down`), and the verdict, which stands already.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import MlopsError
from include.features.checks import PARTITION, Offender
from include.partitions import parse
from include.specs.groups import FeatureGroupSpec
from include.specs.sources import SourceSpec, load_source
from include.steps.narrow_down import Place, Rows

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.steps.judge_features import BrokenPartitionsError

log = logging.getLogger(__name__)

# How many entities are traced, how many rows are shown of each, and among how many they are looked for.
_TRACED, _SHOWN, _MOST = 3, 3, 200_000


def trace_rows(
    deployment: Deployment, spec: FeatureGroupSpec, no: BrokenPartitionsError, versions: Mapping[str, int]
) -> str:
    """Return which rows it was, as the end of a message; nothing where that can't be said.

    For the first entities that broke a promise, the fewest rows that break it by themselves: of the entity's own rows,
    or else of those that share an identifier with them.
    """
    said = []
    try:
        sources = _sources(deployment, spec, versions)
        for allowed, offender in _first(no):
            found = _of_offender(deployment, spec, sources, offender, allowed)
            said += [f"; {offender.column} of {_keys(offender)} comes of {found}"] if found else []
    except MlopsError as err:
        # The refusal stands without it.
        log.warning("features group=%s rows not traced: %s", spec.group, err)
    return "".join(said)


def trace_values(deployment: Deployment, spec: FeatureGroupSpec, day: str, versions: Mapping[str, int]) -> str:
    """Return which rows the statement can't compute with, likewise."""
    try:
        sources = _sources(deployment, spec, versions)
        tables = _read(sources, {name: _until(day) for name in sources})
        rows = Rows(spec, deployment.compute, tables or {}, day, day)
        few = rows.uncomputable(rows.places)
    except MlopsError as err:
        log.warning("features group=%s rows not traced: %s", spec.group, err)
        return ""
    return f"; it comes of {_told(rows, few)}" if few else ""


def _first(no: BrokenPartitionsError) -> list[tuple[str, Offender]]:
    """Return the first entities that broke a promise, each once, beside what that promise allows."""
    found: dict[tuple[object, ...], tuple[str, Offender]] = {}
    for check in no.report.failed:
        for offender in no.offenders.get(check.column, ()):
            found.setdefault(tuple(offender.entity.values()), (check.allowed, offender))
    return list(found.values())[:_TRACED]


def _of_offender(
    deployment: Deployment, spec: FeatureGroupSpec, sources: Mapping[str, Dataset], offender: Offender, allowed: str
) -> str | None:
    for filters in _ever_more(sources, offender):
        tables = _read(sources, filters)
        if tables is None:
            return None
        rows = Rows(spec, deployment.compute, tables, offender.partition, offender.partition, entity=offender.entity)
        if few := rows.breaking(offender.column, allowed, rows.places):
            return _told(rows, few)
    return None


def _ever_more(sources: Mapping[str, Dataset], offender: Offender) -> Iterator[dict[str, pc.Expression]]:
    """Return filters of the rows to look at: the entity's own, those that share an identifier with them, all."""
    until = _until(offender.partition)
    if not all(set(offender.entity) <= set(source.schema.names) for source in sources.values()):
        yield dict.fromkeys(sources, until)
        return
    own = until & reduce(and_, (pc.field(name) == value for name, value in offender.entity.items()))
    yield dict.fromkeys(sources, own)
    yield {name: until & _linked(source, own, load_source(name)) for name, source in sources.items()}
    yield dict.fromkeys(sources, until)


def _linked(source: Dataset, own: pc.Expression, spec: SourceSpec) -> pc.Expression:
    names = [column.name for column in spec.columns if column.type == "id"]
    rows = source.to_table(columns=names, filter=own)
    shared = [pc.field(name).isin(pc.unique(rows[name].combine_chunks().drop_null())) for name in names]
    return reduce(or_, shared, own)


def _sources(deployment: Deployment, spec: FeatureGroupSpec, versions: Mapping[str, int]) -> dict[str, Dataset]:
    """Return the sources; none for a group of scores, whose rows are the entity's own."""
    tables = {name: spec.reads[name] for name in spec.sources}
    return {name: deployment.lake.dataset(table, version=versions[table]) for name, table in tables.items()}


def _read(sources: Mapping[str, Dataset], filters: Mapping[str, pc.Expression]) -> dict[str, pa.Table] | None:
    """Return the rows; None where there are too many to look at."""
    if sum(source.count_rows(filter=filters[name]) for name, source in sources.items()) > _MOST:
        return None
    return {name: _in_order(source.to_table(filter=filters[name]), name) for name, source in sources.items()}


def _in_order(rows: pa.Table, source: str) -> pa.Table:
    spec = load_source(source)
    return rows.sort_by([(name, "ascending") for name in dict.fromkeys((spec.event_time, *spec.key))])


def _until(day: str) -> pc.Expression:
    return pc.field(PARTITION) <= pc.scalar(parse(day))


def _keys(offender: Offender) -> str:
    return ", ".join(f"{name}={value}" for name, value in offender.entity.items())


def _told(rows: Rows, few: list[Place]) -> str:
    first = [(name, rows.tables[name].slice(n, 1)) for name, n in few[:_SHOWN]]
    shown = [f"{rows.spec.reads[name]} {_row(row, load_source(name))}" for name, row in first]
    more = f" and {len(few) - _SHOWN} more rows" if len(few) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"


def _row(row: pa.Table, spec: SourceSpec) -> str:
    """Return a row's key, time and numbers."""
    numbers = [column.name for column in spec.columns if column.type in ("int64", "float64")]
    [values] = row.to_pylist()
    names = dict.fromkeys((*spec.key, spec.event_time, *numbers))
    return f"({', '.join(f'{name}={values[name]}' for name in names)})"
