"""Read what a model is asked about: whom, with which features, from which versions of which tables.

What belongs here: the one way from feature tables to the rows of a model, for training, monitoring and audit, and the
parts of it that a night's own reading (``read_night``) is made of. What does not: labels (``read_labels``), and what is
done with the rows.

Whom: the rows of the model's feature group for which its population holds. With what: the features of its service,
those of the group from the row itself, those of other groups as the row's entity sees them at the row's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from include.adapters.feature_store.as_of_join import FeatureRows, features_as_of
from include.adapters.lake.portions import ROWS_AT_ONCE, fitting
from include.adapters.lake.span import Span
from include.errors import MlopsError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.features.row_order import ordered
from include.features.versions import newest_versions
from include.question.population import ASKED, ROWS, population_statement
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.models import ModelSpec
from include.specs.services import load_feature_service

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.training.manifest import TrainingSetManifest


@dataclass(frozen=True)
class Inputs:
    """Rows of a model, and what they were read from.

    Attributes
    ----------
    rows : pyarrow.Table
        The entity keys (string), ``event_timestamp`` and ``created_timestamp`` (timestamp[us, UTC]; when the row of the
        model's group had become known), for each other group of the service when its row had (`created_column`; null
        where it had none), and the service's features in its order. Sorted by time and keys, which are unique in it.
    features : tuple of str
        Names of the service's features, in its order.
    sources : dict of str to int
        The lake tables that were read, and their versions.
    unpublished : tuple of str
        Days that were asked for and are not published.
    """

    rows: pa.Table
    features: tuple[str, ...]
    sources: dict[str, int]
    unpublished: tuple[str, ...] = ()


def created_column(group: str) -> str:
    """Return the column that says when the row of another group than the model's own had become known."""
    return f"{group}_{CREATED_TIMESTAMP}"


def other_groups(spec: ModelSpec, service: str) -> list[str]:
    """Return the groups that a service reads beside the model's own."""
    return [group for group in load_feature_service(service).features if group != spec.features.group]


def select_population(deployment: Deployment, spec: ModelSpec, rows: pa.Table) -> pa.Table:
    """Return those rows of the model's feature group that it is asked about.

    Raises
    ------
    MlopsError
        If the engine can't compute the condition.
    """
    is_asked = ask_population(deployment, spec, rows)
    return rows if pc.all(is_asked).as_py() else rows.filter(is_asked)


def ask_population(deployment: Deployment, spec: ModelSpec, rows: pa.Table) -> pa.ChunkedArray:
    """Say of each row of the model's feature group, in their order, whether it is asked about; otherwise as above."""
    statement = population_statement(spec.population)
    said = deployment.duckdb.run_select(statement, {ROWS: rows}, purpose=f"the population of {spec.model_id}")
    return said[ASKED]


def read_snapshots(
    deployment: Deployment, spec: ModelSpec, days: Sequence[str], *, as_for: TrainingSetManifest | None = None
) -> Inputs:
    """Return the rows that stand at the ends of days, each as it was known then.

    Parameters
    ----------
    as_for : TrainingSetManifest, optional
        Read the versions of tables that this set was made from, and the days that were published then. Default: those
        of today.

    Raises
    ------
    MlopsError
        If a table is not there. A day that is not published has no rows and is told of.
    """
    return _read(deployment, spec, spec.features.service, days, as_for=as_for)


def read_scored(deployment: Deployment, spec: ModelSpec, partition: str, scored: pa.Table, *, service: str) -> Inputs:
    """Return the rows that predictions of one night were made from: of each the version that was scored.

    Parameters
    ----------
    scored : pyarrow.Table
        The predictions of one role: the entity keys, ``created_timestamp`` and `created_column` of each other group,
        as they were read when they were scored. What is not among them is not returned.
    service : str
        The feature service of the version that scored.
    """
    return _read(deployment, spec, service, [partition], scored=scored)


def read_at(
    deployment: Deployment, spec: ModelSpec, asked: pa.Table, *, service: str, versions: Mapping[str, int]
) -> Inputs:
    """Return what was true of keys at times of their own, as it was known then, in their order and number.

    Nobody is left out: who was asked about is not chosen anew.

    Parameters
    ----------
    asked : pyarrow.Table
        The entity keys and ``event_timestamp``, any times, in any order and number.
    service : str
        The feature service that is read.
    versions : mapping of str to int
        Of lake tables, the versions that are read; the present one of a table that is not named.
    """
    wanted = load_feature_service(service)
    rows, sources = asked, {}
    for group, names in wanted.features.items():
        read = load_feature_group(group)
        version = versions[read.table] if read.table in versions else version_of(deployment, spec, read.table)
        rows = with_features(deployment, rows, read, names, version, known_at=True)
        sources[read.table] = version
    return Inputs(rows.select([*asked.column_names, *wanted.feature_names]), wanted.feature_names, sources)


def _read(
    deployment: Deployment,
    spec: ModelSpec,
    service_name: str,
    days: Sequence[str],
    *,
    scored: pa.Table | None = None,
    as_for: TrainingSetManifest | None = None,
) -> Inputs:
    group, service = load_feature_group(spec.features.group), load_feature_service(service_name)
    others = [load_feature_group(name) for name in other_groups(spec, service_name)]
    tables = [each.table for each in (group, *others)]
    sources = {name: as_for.version_of(name) if as_for else version_of(deployment, spec, name) for name in tables}
    published = _published(deployment, group.table, days, as_for)

    def chosen(keys: Sequence[str]) -> pa.Table:
        among = _among(scored, group.entity.keys[0]) if scored is not None else None
        rows = deployment.lake.read(group.table, keys=keys, where=among, version=sources[group.table])
        rows = _versions_known(rows, group.entity.keys, scored=scored)
        # Who was scored was in the population then.
        return rows if scored is not None else select_population(deployment, spec, rows)

    # All snapshots of a training set are many times the rows of whom the model is asked about.
    rows = pa.concat_tables(map(chosen, [*fitting(published.items())] or [[]]))
    rows = ordered(rows, (EVENT_TIMESTAMP, *spec.entity.keys))
    for other in others:
        until = _until(rows, scored, other, spec)
        features, version = service.features[other.group], sources[other.table]
        rows = with_features(deployment, rows, other, features, version, known_at=scored is None, until=until)
    names = [*spec.entity.keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP, *(created_column(other.group) for other in others)]
    unpublished = tuple(day for day in days if day not in published)
    return Inputs(rows.select([*names, *service.feature_names]), service.feature_names, sources, unpublished)


def _among(scored: pa.Table, key: str) -> ds.Expression | None:
    """Return the span of a key that those who were scored have: files are in its order, and read where it lies."""
    first, last = pc.min_max(scored[key]).as_py().values()
    return (ds.field(key) >= first) & (ds.field(key) <= last) if first is not None else None


def _published(
    deployment: Deployment, table: str, days: Sequence[str], as_for: TrainingSetManifest | None
) -> dict[str, int]:
    """Return the days that are published, or were for a set, and about how many rows each has."""
    known = deployment.state.publications(table)
    if as_for is None:
        return {day: known[day] for day in days if day in known}
    # One that is not on record here is read by itself.
    return {day: known.get(day, ROWS_AT_ONCE) for day in days if day not in as_for.unpublished_snapshots}


def _versions_known(rows: pa.Table, keys: tuple[str, ...], *, scored: pa.Table | None) -> pa.Table:
    """Return of each entity and time the newest version that was known at its time, or when it was scored."""
    if scored is not None:
        rows = _known_by(rows, scored, keys)
    else:
        rows = rows.filter(pc.less_equal(rows[CREATED_TIMESTAMP], rows[EVENT_TIMESTAMP]))
    return newest_versions(rows, keys=keys)


def _known_by(rows: pa.Table, scored: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the versions that those who were scored had by then."""
    known = scored.select([*keys, CREATED_TIMESTAMP]).rename_columns([*keys, "known_by"])
    joined = rows.join(known, keys=list(keys), join_type="inner")
    return joined.filter(pc.less_equal(joined[CREATED_TIMESTAMP], joined["known_by"])).select(rows.column_names)


def _until(rows: pa.Table, scored: pa.Table | None, other: FeatureGroupSpec, spec: ModelSpec) -> pa.ChunkedArray | None:
    if scored is None:
        return None
    keys = list(spec.entity.keys)
    column = created_column(other.group)
    told = rows.select([*keys, EVENT_TIMESTAMP]).join(scored.select([*keys, column]), keys=keys, join_type="left outer")
    return told.sort_by([(name, "ascending") for name in (EVENT_TIMESTAMP, *keys)])[column]


def with_features(
    deployment: Deployment,
    rows: pa.Table,
    other: FeatureGroupSpec,
    features: Sequence[str],
    version: int,
    *,
    known_at: bool = False,
    until: pa.ChunkedArray | None = None,
) -> pa.Table:
    """Return rows with the features of another group, as each row's entity sees them at its time.

    Parameters
    ----------
    rows : pyarrow.Table
        A column that is called as one of the features gives way to it: a service reads a name once.
    known_at : bool
        See only what was known at that time; default: all that is known now.
    until : pyarrow.ChunkedArray, optional
        See only what was known by then.
    """
    ttl = timedelta(days=other.ttl_days)
    first, last = _bounds(rows)
    within = Span(EVENT_TIMESTAMP, first - ttl if first is not None else None, last)
    stored = _stored(deployment, other, (*features, CREATED_TIMESTAMP), version, within)
    at, keys = rows[EVENT_TIMESTAMP], [rows[key] for key in other.entity.keys]
    found = features_as_of(stored, keys, at, ttl=ttl, known_at=known_at, known_until=until)
    rows = rows.drop_columns([name for name in features if name in rows.column_names])
    for name in features:
        rows = rows.append_column(name, found[name])
    return rows.append_column(created_column(other.group), found[CREATED_TIMESTAMP])


def are_stale(deployment: Deployment, rows: pa.Table, other: FeatureGroupSpec, version: int) -> pa.ChunkedArray:
    """Say of rows that see nothing of another group whether there was something within twice its ttl."""
    ttl = timedelta(days=other.ttl_days)
    first, last = _bounds(rows)
    within = Span(EVENT_TIMESTAMP, first - 2 * ttl if first is not None else None, last - ttl if last else None)
    stored = _stored(deployment, other, (CREATED_TIMESTAMP,), version, within)
    at, keys = rows[EVENT_TIMESTAMP], [rows[key] for key in other.entity.keys]
    found = features_as_of(stored, keys, at, ttl=2 * ttl, known_at=False)
    return pc.is_valid(found[CREATED_TIMESTAMP])


def _stored(
    deployment: Deployment, group: FeatureGroupSpec, columns: tuple[str, ...], version: int, within: Span
) -> FeatureRows:
    rows = deployment.lake.dataset(group.table, version=version, within=within)
    return FeatureRows(rows, group.entity.keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP, columns)


def _bounds(rows: pa.Table) -> tuple[datetime | None, datetime | None]:
    found = pc.min_max(rows[EVENT_TIMESTAMP]).as_py()
    return found["min"], found["max"]


def version_of(deployment: Deployment, spec: ModelSpec, table: str) -> int:
    """Return the present version of a table that a model reads.

    Raises
    ------
    MlopsError
        If it is not there.
    """
    version = deployment.lake.version(table)
    if version is None:
        raise MlopsError(
            f"{spec.model_id} reads {table}, which is not in the lake at {deployment.lake.uri}; build it first (mlops "
            "features build), or set MLOPS_LAKE_URI"
        )
    return version
