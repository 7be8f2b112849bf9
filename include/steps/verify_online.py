"""Compare what is online with the offline table, for a sample of a partition's entities.

What belongs here: the one comparison after a materialisation, and its log. What does not: how a store is read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.lake.online_log import (
    ASKED_AT,
    REQUEST,
    SERVICE,
    STANDS_AT,
    TABLE_VERSIONS,
    append_vectors,
)
from include.errors import ExpiredError, MlopsError, RefusedError, UsageError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP, PARTITION
from include.features.versions import newest_versions
from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.models import ModelSpec
from include.specs.services import load_feature_service
from include.tables import online_vectors_table

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.online.reading import OnlineFeatures

log = logging.getLogger(__name__)

_SHOWN = 10


def verify_online(deployment: Deployment, group: str, *, partition: str, sample: int = 100) -> int:
    """Compare a sample of online rows with the offline table, and log the vectors that were read.

    An online row has to be one of the offline table's: of the same event and created time, with the same
    values. It may be newer than `partition`, never older than the newest version there when it was materialised.

    Parameters
    ----------
    deployment : Deployment
        Its lake and online store are read; vectors of the models that read the group are logged.
    group : str
        The feature group.
    partition : str
        Whose entities are sampled; the same ones every time.
    sample : int
        How many entities, at most.

    Returns
    -------
    int
        Entities compared; 0 where the partition has none.

    Raises
    ------
    MlopsError
        If a row differs, with the keys and features that do.
    RefusedError
        If the version of the table that went online is not kept any more.
    UsageError
        If the partition is not published.
    """
    spec = load_feature_group(group)
    if partition not in deployment.state.publications(spec.table):
        raise UsageError(
            f"{group} of {partition} can't be compared: {spec.table} of that day is not published; build it first "
            f"(mlops features build --group {group} --date {partition})"
        )
    chosen = _chosen(deployment, spec, partition, sample)
    keys, at = _keys(chosen, spec.entity.keys), partitions.end_of(partition)
    online = deployment.feature_store.online_group(group, keys, at=at)
    first = spec.entity.keys[0]
    wanted = (pc.field(PARTITION) >= pa.scalar(partitions.parse(partition))) & pc.field(first).isin(chosen[first])
    offline = deployment.lake.dataset(spec.table).to_table(filter=wanted)
    differing = list(_differences(spec, chosen, offline, online))
    if differing:
        shown = "; ".join(differing[:_SHOWN])
        raise MlopsError(
            f"{len(differing)} values of {group} differ between the online store and {spec.table} of {partition}: "
            f"{shown}{' …' if len(differing) > _SHOWN else ''}; materialise the partition again, and look at who else "
            "writes to the store"
        )
    for model in load_specs().models.values():
        if _is_complete(deployment, model, group, partition):
            _try_to_log_vectors(deployment, model, partition, sample)
    log.info("verify group=%s partition=%s compared=%d", group, partition, len(keys))
    return len(keys)


def _chosen(deployment: Deployment, spec: FeatureGroupSpec, partition: str, sample: int) -> pa.Table:
    """Return the newest rows of some entities of a partition, as they went online; none of who was erased since."""
    # A heal may have added later versions since, which go online in its own time.
    version = deployment.state.table_versions(f"online/{spec.group}").get(partition)
    try:
        stored = deployment.lake.read(spec.table, start=partition, end=partition, version=version)
    except ExpiredError as err:
        raise RefusedError(
            f"{spec.group} of {partition} went online from version {version} of {spec.table}, which has expired since "
            f"(replaced rows are kept for {deployment.settings.retention_days} days), so that nothing can be compared; "
            f"bring the day online anew: run backfill_features__{spec.group} with start and end {partition}"
        ) from err
    keys = list(spec.entity.keys)
    present = deployment.lake.read(spec.table, start=partition, end=partition, columns=keys)
    stored = stored.join(present, keys=keys, join_type="left semi")
    return _sampled(newest_versions(stored, keys=spec.entity.keys, with_retractions=True), partition, sample)


def _keys(rows: pa.Table, join_keys: Sequence[str]) -> list[Any]:
    """Return keys as an online read takes them: strings, or tuples of them."""
    columns = [rows[key].to_pylist() for key in join_keys]
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _is_complete(deployment: Deployment, model: ModelSpec, group: str, partition: str) -> bool:
    """Say whether the group is one that the model reads, and the last of them to go online with the partition."""
    groups = {model.features.group, *load_feature_service(model.features.service).features}
    return group in groups and all(partition in deployment.state.publications(f"online/{other}") for other in groups)


def _sampled(rows: pa.Table, partition: str, sample: int) -> pa.Table:
    if rows.num_rows <= sample:
        return rows
    rng = np.random.default_rng(int(partition.replace("-", "")))
    return rows.take(pa.array(np.sort(rng.choice(rows.num_rows, sample, replace=False))))


def _differences(spec: FeatureGroupSpec, chosen: pa.Table, offline: pa.Table, online: OnlineFeatures) -> Iterator[str]:
    times = (EVENT_TIMESTAMP, CREATED_TIMESTAMP)
    versions = {
        (key, row[EVENT_TIMESTAMP], row[CREATED_TIMESTAMP]): row
        for key, row in zip(
            _keys(offline, spec.entity.keys), offline.select([*times, *spec.feature_names]).to_pylist(), strict=True
        )
    }
    events, created = online.event_timestamps.to_pylist(), online.created_timestamps.to_pylist()
    rows = zip(
        _keys(chosen, spec.entity.keys), chosen.select(times).to_pylist(), online.values.to_pylist(), strict=True
    )
    for n, (key, newest, values) in enumerate(rows):
        for name in spec.feature_names:
            at, known = events[n][name], created[n][name]
            if at is None or _is_older((at, known), (newest[EVENT_TIMESTAMP], newest[CREATED_TIMESTAMP])):
                yield f"{key} {name} is {'absent' if at is None else f'of {at} (known {known})'} online"
            elif (row := versions.get((key, at, known or at))) is None:
                yield f"{key} {name} of {at} (known {known}) is online and not in the table"
            elif values[name] != row[name]:
                yield f"{key} {name} is {values[name]!r} online, {row[name]!r} in the table"


def _is_older(one: tuple[datetime, datetime | None], other: tuple[datetime, datetime]) -> bool:
    return (one[0], one[1] or one[0]) < other


def _try_to_log_vectors(deployment: Deployment, model: ModelSpec, partition: str, sample: int) -> None:
    """Log a model's vectors; where that fails, as for a service that nobody has applied yet, say so and go on.

    The group is compared by now, and its other models wait for it.
    """
    try:
        _log_vectors(deployment, model, partition, sample)
    except MlopsError as err:
        log.error("verify model=%s partition=%s: no vector was logged: %s", model.model_id, partition, err)


def _log_vectors(deployment: Deployment, model: ModelSpec, partition: str, sample: int) -> None:
    """Read the vectors of some entities as the model would be given them, and keep them for the audit."""
    spec, at = load_feature_group(model.features.group), partitions.end_of(partition)
    chosen, service = _chosen(deployment, spec, partition, sample), model.features.service
    if not chosen.num_rows:
        return
    # A service may have its keys in another order than the model, or not all of them.
    keys = _keys(chosen, deployment.feature_store.warm(service).join_keys)
    online = deployment.feature_store.online(service, keys, at=at)
    entities = [key if isinstance(key, str) else json.dumps(key) for key in _keys(chosen, spec.entity.keys)]
    stands_at = pa.array(_newest_known(online, at), pa.timestamp("us", tz="UTC"))
    versions = versions_online(deployment, service)
    vectors = pa.table(
        {
            REQUEST: [f"verify-{partition}-{entity}" for entity in entities],
            **{name: chosen[name] for name in spec.entity.keys},
            **{name: online.values[name] for name in online.columns},
            STANDS_AT: stands_at,
            ASKED_AT: stands_at,
            SERVICE: pa.array([service] * chosen.num_rows, pa.string()),
            TABLE_VERSIONS: pa.array([json.dumps(versions)] * chosen.num_rows, pa.string()),
        }
    )
    # From then on the next partition's row stands offline, which was not online when this was read.
    is_over = pc.greater_equal(vectors[STANDS_AT], pa.scalar(partitions.end_of(partitions.shift(partition, 1))))
    if (lasting := vectors.filter(pc.invert(is_over))).num_rows:
        table = online_vectors_table(model.model_id, model.entity.keys, model.entity.whose)
        # What has gone online since is another sample of the same night: versions only grow, and so does their sum.
        work, number = f"verify {partition}", sum(versions.values())
        append_vectors(deployment.lake, table, lasting, work=work, number=number)


def versions_online(deployment: Deployment, service: str) -> dict[str, int]:
    """Return, of each table of a feature service, its newest version that has gone online."""
    groups = load_feature_service(service).features
    online = {group: deployment.state.table_versions(f"online/{group}") for group in groups}
    return {load_feature_group(group).table: max(held.values()) for group, held in online.items()}


def _newest_known(online: OnlineFeatures, at: datetime) -> list[datetime]:
    """Return for each vector when the newest of its values had become known, not before a time.

    Its offline truth is what stood and was known then.
    """
    width = len(online.join_keys)
    times = [*online.event_timestamps.columns[width:], *online.created_timestamps.columns[width:]]
    return [max([at, *(moment for moment in row if moment)]) for row in zip(*map(_listed, times), strict=True)]


def _listed(column: pa.ChunkedArray) -> list[datetime | None]:
    values: list[datetime | None] = column.to_pylist()
    return values
