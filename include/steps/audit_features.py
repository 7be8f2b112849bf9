"""Audit for skew: hold the vectors that a model was given online against the offline truth at their time.

What belongs here: the one comparison. What does not: logging vectors, and the point-in-time join.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.lake.online_log import REQUEST, SERVICE, STANDS_AT, TABLE_VERSIONS, read_vectors
from include.errors import ExpiredError, MlopsError, RefusedError, UsageError
from include.specs.models import load_model
from include.steps.read_inputs import read_at
from include.tables import online_vectors_name, online_vectors_table

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SkewReport:
    """What an audit found.

    Attributes
    ----------
    model_id, partition : str
    rows : int
        Vectors compared.
    mismatches : dict of str to int
        Vectors by feature whose online value is not the offline one; 0 where all agree.
    differing : pyarrow.Table
        One row for each such value: ``request_id``, the entity key, ``event_timestamp`` (when it was asked),
        ``feature``, ``online`` and ``offline`` (as text; null where there was no value).
    """

    model_id: str
    partition: str
    rows: int
    mismatches: dict[str, int]
    differing: pa.Table


def audit_features(deployment: Deployment, model_id: str, *, partition: str) -> SkewReport:
    """Recompute a day's online vectors offline, each at its time and as known then, and compare them value by value.

    Held against is what was served then: the feature service that a vector was logged with, and the versions of its
    tables that were online. What has been corrected since is no skew.

    Raises
    ------
    UsageError
        If no vector was logged on that day.
    """
    spec = load_model(model_id)
    partitions.parse(partition)
    log_of = online_vectors_table(model_id, spec.entity.keys, spec.entity.whose)
    vectors = read_vectors(deployment.lake, log_of.name, partition)
    if vectors is None:
        raise UsageError(
            f"no online vector of {model_id} of {partition} can be audited (table {log_of.name} in "
            f"{deployment.lake.uri}): the verify task of its feature group logs a sample, and the online service what "
            f"it answers; both are kept for {log_of.kept_days} days"
        )
    mismatches: dict[str, int] = {}
    found = []
    for served in _as_served(vectors):
        for name, differing in _compare(deployment, spec, served):
            mismatches[name] = mismatches.get(name, 0) + differing.num_rows
            found.append(differing)
    log.info(
        "audit model=%s partition=%s rows=%d mismatches=%d",
        model_id, partition, vectors.num_rows, sum(mismatches.values()),
    )  # fmt: skip
    return SkewReport(model_id, partition, vectors.num_rows, mismatches, pa.concat_tables(found))


def require_no_skew(deployment: Deployment, model_id: str, *, partition: str) -> dict[str, int]:
    """Audit what stood at the end of a night, and return the mismatches by feature: all of them 0.

    Raises
    ------
    RefusedError
        If no vector was logged, as of a night that was not the newest when it went online, or of one without rows. If
        the versions of the tables that were online then are not kept any more.
    MlopsError
        If a value differs. If no vector was logged because none can be read online, with the reason.
    """
    # What stands at the end of a partition was asked for on the next day.
    asked_on = partitions.shift(partition, 1)
    if read_vectors(deployment.lake, online_vectors_name(model_id), asked_on) is None:
        _require_readable(deployment, model_id, partition)
        raise RefusedError(
            f"no online vector of {model_id} was logged for {partition}, so that none is audited: the verify task of "
            "its feature group logs a sample of a night that has rows, while it is the newest; its log says where "
            "that failed"
        )
    try:
        report = audit_features(deployment, model_id, partition=asked_on)
    except ExpiredError as err:
        raise RefusedError(f"what {model_id} was served on {asked_on} can't be audited any more: {err}") from err
    if report.differing.num_rows:
        found = {name: count for name, count in report.mismatches.items() if count}
        raise MlopsError(
            f"{report.differing.num_rows} values of {report.rows} online vectors of {model_id} on {asked_on} are not "
            f"what the offline store gives at their time: {found}; see them row by row: "
            f"mlops features audit --model {model_id} --date {asked_on} --out FILE"
        )
    return report.mismatches


def _require_readable(deployment: Deployment, model_id: str, partition: str) -> None:
    """Say why vectors are not there where they can't be: the task that logs them has ended well, as others need it."""
    service = load_model(model_id).features.service
    try:
        deployment.feature_store.warm(service)
    except MlopsError as err:
        raise MlopsError(
            f"no online vector of {model_id} was logged for {partition}, as its feature service {service} can't be "
            f"read online: {err}; run apply_feature_repo where it was never applied, then the task verify of its group"
        ) from err


@dataclass(frozen=True)
class _Served:
    """Vectors of one feature service that were read while the same versions of its tables were online."""

    vectors: pa.Table
    service: str
    versions: dict[str, int]


def _as_served(vectors: pa.Table) -> Iterator[_Served]:
    """Yield the vectors by what they were served from."""
    for kind in vectors.group_by([SERVICE, TABLE_VERSIONS]).aggregate([]).to_pylist():
        service, versions = kind[SERVICE], kind[TABLE_VERSIONS]
        chosen = pc.and_(pc.equal(vectors[SERVICE], service), pc.equal(vectors[TABLE_VERSIONS], versions))
        yield _Served(vectors.filter(chosen), service, json.loads(versions))


def _compare(deployment: Deployment, spec: ModelSpec, served: _Served) -> Iterator[tuple[str, pa.Table]]:
    """Yield each feature with the vectors whose value differs: of numbers as a model reads them, float32."""
    vectors = served.vectors
    asked = vectors.select([REQUEST, *spec.entity.keys, STANDS_AT])
    inputs = read_at(deployment, spec, asked, service=served.service, versions=served.versions)
    for name in inputs.features:
        truth = _as_given(inputs.rows[name])
        given = _as_given(vectors[name]) if name in vectors.column_names else None
        differs = _differs(given, truth)
        rows = asked.filter(differs)
        rows = rows.append_column("feature", pa.array([name] * rows.num_rows, pa.string()))
        online = pa.nulls(vectors.num_rows, pa.string()) if given is None else given.cast(pa.string())
        rows = rows.append_column("online", pc.filter(online, differs))
        yield name, rows.append_column("offline", truth.cast(pa.string()).filter(differs))


def _as_given(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.float64(), safe=False).cast(pa.float32(), safe=False)


def _differs(given: pa.ChunkedArray | None, truth: pa.ChunkedArray) -> pa.ChunkedArray:
    if given is None:
        return pc.is_valid(truth)
    return pc.or_(pc.fill_null(pc.not_equal(given, truth), False), pc.xor(pc.is_null(given), pc.is_null(truth)))
