"""Read one night, all of it or a slice at a time, and say what becomes of each of its rows.

What belongs here: who of the night is scored, with which features, with all that is known now; and the account of the
others. What does not: the past as it was known (``read_inputs``), scoring, and what an account means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.file_batches import read_batches
from include.errors import NotYetError, UnpublishedError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP
from include.features.row_order import ordered
from include.features.versions import newest_versions, without_retractions
from include.scoring.manifest import NightAccount
from include.scoring.slices import in_slices
from include.specs.groups import load_feature_group
from include.specs.models import ModelSpec, RankingModelSpec
from include.specs.services import load_feature_service
from include.steps.read_inputs import (
    Inputs,
    are_stale,
    created_column,
    other_groups,
    select_population,
    version_of,
    with_features,
)

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment

# Stored rows of a night, from the first on, and up to the second without it.
Part: TypeAlias = tuple[int, int]

MISSING, STALE = "missing", "stale"

# What a slice has about: large enough that a statement doesn't count, and many fit into memory.
ROWS_OF_A_SLICE = 131_072
_BATCHES_OF_A_SLICE, _WIDER = 4, 4


@dataclass(frozen=True)
class Slice:
    """Rows of a night that are scored, as ``Inputs.rows`` has them, and the account of all that were read with them."""

    rows: pa.Table
    account: NightAccount


@dataclass(frozen=True)
class Night:
    """One partition of the model's group, as one feature service reads it.

    Attributes
    ----------
    deployment : Deployment
        Its lake, state and DuckDB are asked.
    spec : ModelSpec
    partition : str
    service : str
    sources : dict of str to int
        The lake tables that are read, and the version of each that is.
    """

    deployment: Deployment = field(repr=False)
    spec: ModelSpec
    partition: str
    service: str
    sources: dict[str, int]

    def slices(self, *, rows_at_once: int | None = ROWS_OF_A_SLICE, part: Part | None = None) -> Iterator[pa.Table]:
        """Yield the stored rows, all versions of an entity, and all items of a list, in one slice; one slice at least.

        Parameters
        ----------
        rows_at_once : int, optional
            About what a slice has, some times that where the service reads other groups; None: all in one.
        part : Part, optional
            One of `parts`; default: the whole night.

        Raises
        ------
        UnorderedError
            If several slices can't be made, as the rows are not in the order of their keys.
        """
        stored = self._stored()
        if rows_at_once is None:
            yield stored.to_table()
            return
        if other_groups(self.spec, self.service):
            # Each slice looks for its rows in all files of those groups that may hold them.
            rows_at_once *= _WIDER
        start, end = part or (0, None)
        batches = read_batches(stored, rows_at_once=max(1, rows_at_once // _BATCHES_OF_A_SLICE), start=start, end=end)
        yield from in_slices(batches, stored.schema, keys=self._cut_by, rows_at_once=rows_at_once)

    def parts(self, *, rows_at_once: int) -> Iterator[Part]:
        """Yield parts of the stored rows of about that size, which others may read: no entity or list is in two.

        Raises
        ------
        UnorderedError
            As `slices`.
        """
        stored, keys = self._stored(), list(self._cut_by)
        schema = pa.schema([stored.schema.field(key) for key in keys])
        batches = read_batches(stored, rows_at_once=max(1, rows_at_once // _BATCHES_OF_A_SLICE), columns=keys)
        start = 0
        for each in in_slices(batches, schema, keys=keys, rows_at_once=rows_at_once):
            yield start, start + each.num_rows
            start += each.num_rows

    def count_stored(self) -> int:
        """Return how many rows are stored, all versions of an entity."""
        return int(self._stored().count_rows())

    @property
    def _cut_by(self) -> tuple[str, ...]:
        keys = load_feature_group(self.spec.features.group).entity.keys
        return self.spec.list_keys if isinstance(self.spec, RankingModelSpec) else keys

    def _stored(self) -> Dataset:
        table = _table(self.spec.features.group)
        return self.deployment.lake.dataset(table, version=self.sources[table], keys=[self.partition])

    def read(self, stored: pa.Table) -> Slice:
        """Return who of a slice is scored, with the features of the service; may run in several threads at once."""
        keys = load_feature_group(self.spec.features.group).entity.keys
        newest = newest_versions(stored, keys=keys, with_retractions=True)
        standing = without_retractions(newest, keys=keys)
        asked = ordered(select_population(self.deployment, self.spec, standing), (EVENT_TIMESTAMP, *keys))
        rows, why = self._with_features(asked)
        is_incomplete = pc.is_valid(why)
        told = {each["values"]: each["counts"] for each in pc.value_counts(why.filter(is_incomplete)).to_pylist()}
        skips = self.spec.scoring.incomplete == "skip"
        if skips and told:
            rows = rows.filter(pc.invert(is_incomplete))
        account = NightAccount(
            rows=stored.num_rows,
            superseded=stored.num_rows - newest.num_rows,
            retracted=newest.num_rows - standing.num_rows,
            outside_population=standing.num_rows - asked.num_rows,
            scored=rows.num_rows,
            skipped=told if skips else {},
            incomplete={} if skips else told,
        )
        return Slice(rows, account)

    def _with_features(self, rows: pa.Table) -> tuple[pa.Table, pa.Array]:
        """Return rows with the service's features, and of each why it lacks some of another group; null of most."""
        service = load_feature_service(self.service)
        others = [load_feature_group(name) for name in other_groups(self.spec, self.service)]
        why = pa.nulls(rows.num_rows, pa.string())
        for other in others:
            version = self.sources[other.table]
            rows = with_features(self.deployment, rows, other, service.features[other.group], version)
            is_absent = pc.is_null(rows[created_column(other.group)])
            if not pc.any(is_absent).as_py():
                continue
            is_stale = are_stale(self.deployment, rows.filter(is_absent), other, version).combine_chunks()
            said = pc.if_else(is_stale, f"{STALE}: {other.group}", f"{MISSING}: {other.group}")
            reasons = pc.replace_with_mask(pa.nulls(rows.num_rows, pa.string()), is_absent.combine_chunks(), said)
            why = pc.coalesce(why, reasons)
        created = (created_column(other.group) for other in others)
        names = [*self.spec.entity.keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP, *created, *service.feature_names]
        return rows.select(names), why


def open_night(
    deployment: Deployment,
    spec: ModelSpec,
    partition: str,
    *,
    service: str,
    versions: Mapping[str, int] | None = None,
) -> Night:
    """Return a night that is published, the versions of its tables pinned: all slices are of one state.

    Parameters
    ----------
    service : str
        What is read: the feature service of the version that scores, which may be older than the spec's.
    versions : mapping of str to int, optional
        Of lake tables, the versions that are read; the present one of a table that is not named.

    Raises
    ------
    UnpublishedError
        If the night's features of a group that the model reads are not published.
    NotYetError
        If those are of groups that only this service reads: the model's DAG does not wait for them.
    MlopsError
        If a table is not there.
    """
    _require_published(deployment, spec, partition, service)
    known = versions or {}
    tables = [_table(group) for group in (spec.features.group, *other_groups(spec, service))]
    sources = {name: known[name] if name in known else version_of(deployment, spec, name) for name in tables}
    return Night(deployment, spec, partition, service, sources)


def read_partition(deployment: Deployment, spec: ModelSpec, partition: str, *, service: str) -> Inputs:
    """Return the rows of one night that are scored, all at once; as `open_night` has them."""
    night = open_night(deployment, spec, partition, service=service)
    [stored] = night.slices(rows_at_once=None)
    return Inputs(night.read(stored).rows, load_feature_service(service).feature_names, night.sources)


def _require_published(deployment: Deployment, spec: ModelSpec, partition: str, service: str) -> None:
    absent = [
        group
        for group in (spec.features.group, *other_groups(spec, service))
        if partition not in deployment.state.publications(_table(group))
    ]
    if not absent:
        return
    builds = "; ".join(f"mlops features build --group {group} --date {partition}" for group in absent)
    told = f"{' and '.join(map(_table, absent))} of {partition} {'is' if len(absent) == 1 else 'are'} not published"
    if {spec.features.group, *load_feature_service(spec.features.service).features}.isdisjoint(absent):
        raise NotYetError(
            f"{told}, which the version that scores reads (feature service {service}) and the spec of {spec.model_id} "
            f"does not any more (feature service {spec.features.service}), so that its DAG does not wait for it; build "
            f"it: {builds}"
        )
    what = "would read older values" if spec.features.group not in absent else "has nothing to read"
    raise UnpublishedError(f"{told}, so {spec.model_id} {what}; build it: {builds}")


def _table(group: str) -> str:
    return load_feature_group(group).table
