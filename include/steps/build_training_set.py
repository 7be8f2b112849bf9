"""Build the training set of a model as of a day.

What belongs here: labels and features read once, examples written once. What does not: the label's
definition, which is SQL, and the point-in-time join, which is the feature store's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.compute.duckdb_compute import run_select
from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import read_manifest, write_training_set
from include.adapters.provenance import read_provenance
from include.errors import MlopsError, RefusedError
from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import LABEL, label_sql_path, snapshot_days
from include.refs import TrainingSetRef
from include.specs.models import ModelSpec, load_model
from include.training.manifest import TrainingSetManifest, set_id, spec_sha256

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

ORDERS = "raw/orders"

# A night's commit takes a moment, a read some seconds.
_MAX_READS = 5


def build_training_set(deployment: Deployment, model_id: str, *, as_of: str) -> TrainingSetRef:
    """Write the labelled examples that are known at the end of `as_of`.

    The same orders, features, spec and code give the same set, which is written once.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written; its feature store is asked for features.
    model_id : str
        The model's spec.
    as_of : str
        Partition key: nothing received after its end is used.

    Raises
    ------
    MlopsError
        If orders or features are missing.
    RefusedError
        If the set has fewer rows than ``training.min_rows``, or one class only.
    """
    spec = load_model(model_id)
    days = snapshot_days(as_of, spec.label, spec.training)
    sources, names, labelled, examples = _read_at_one_version(deployment, spec, days, as_of)
    positives, dropped = int(pc.sum(examples[LABEL]).as_py() or 0), labelled.num_rows - examples.num_rows
    _require_enough(spec, as_of, examples.num_rows, positives, dropped)
    sha256, spec_hash, provenance = digest(examples), spec_sha256(spec), read_provenance(deployment.settings)
    manifest = TrainingSetManifest(
        model_id=model_id,
        set_id=set_id(as_of=as_of, rows_sha256=sha256, spec_hash=spec_hash, feature_names=names, provenance=provenance),
        as_of=as_of,
        feature_service=spec.features.service,
        feature_names=names,
        entity_keys=spec.entity.keys,
        horizon_days=spec.label.horizon_days,
        first_snapshot=days[0],
        last_snapshot=days[-1],
        rows=examples.num_rows,
        positives=positives,
        rows_without_features=dropped,
        rows_sha256=sha256,
        sources=sources,
        spec_sha256=spec_hash,
        provenance=provenance,
    )
    _write_once(deployment, manifest, examples)
    return TrainingSetRef(model_id, manifest.set_id, as_of, manifest.rows, sha256)


def _read_at_one_version(
    deployment: Deployment, spec: ModelSpec, days: list[str], as_of: str
) -> tuple[dict[str, int], tuple[str, ...], pa.Table, pa.Table]:
    """Return versions, feature names, labels and examples that belong together.

    They are read again when a night was published meanwhile.
    """
    tables = (ORDERS, f"features/{spec.features.group}")
    for _ in range(_MAX_READS):
        sources = {table: _version(deployment, table) for table in tables}
        names = tuple(deployment.feature_store.service_features(spec.features.service))
        labelled = _label(deployment, spec, days, as_of, version=sources[ORDERS])
        examples = _with_features(deployment, spec, labelled, names)
        if _version(deployment, tables[1]) == sources[tables[1]]:
            return sources, names, labelled, examples
    raise MlopsError(f"{tables[1]} was written to during each of {_MAX_READS} reads; train when its backfill has ended")


def _label(deployment: Deployment, spec: ModelSpec, days: list[str], as_of: str, *, version: int) -> pa.Table:
    stands_at = pa.array([partitions.end_of(day) for day in days], pa.timestamp("us", tz="UTC"))
    rows = run_select(
        label_sql_path(spec.label.definition).read_text(encoding="utf-8"),
        {
            "orders": deployment.lake.dataset(ORDERS, version=version),
            "snapshots": pa.table({EVENT_TIMESTAMP: stands_at}),
        },
        purpose=f"label {spec.label.definition} of {spec.model_id} as of {as_of}",
        parameters={
            "as_of": as_of,
            "known_until": partitions.end_of(as_of),
            "active_within_days": spec.label.active_within_days,
            "horizon_days": spec.label.horizon_days,
        },
    )
    return rows.cast(
        pa.schema(
            [
                *((key, pa.string()) for key in spec.entity.keys),
                (EVENT_TIMESTAMP, pa.timestamp("us", tz="UTC")),
                (LABEL, pa.int8()),
            ]
        )
    )


def _with_features(deployment: Deployment, spec: ModelSpec, labelled: pa.Table, names: tuple[str, ...]) -> pa.Table:
    service, keys = spec.features.service, spec.entity.keys
    joined = deployment.feature_store.historical(service, labelled, known_at=True)
    if joined.num_rows != labelled.num_rows:
        raise MlopsError(
            f"feature service {service} returned {joined.num_rows} rows for {labelled.num_rows} labelled ones; the "
            "point-in-time join must keep every row"
        )
    has_features = np.zeros(joined.num_rows, dtype=bool)
    for name in names:
        has_features |= pc.is_valid(joined[name]).to_numpy()
    examples = joined.filter(pa.array(has_features)).select([*keys, EVENT_TIMESTAMP, *names, LABEL])
    return examples.sort_by([(name, "ascending") for name in (EVENT_TIMESTAMP, *keys)]).combine_chunks()


def _write_once(deployment: Deployment, manifest: TrainingSetManifest, examples: pa.Table) -> None:
    is_there = read_manifest(deployment.lake, manifest.model_id, manifest.set_id) is not None
    if not is_there:
        write_training_set(deployment.lake, manifest, examples)
    log.info(
        "training_set model=%s set=%s rows=%d positives=%d without_features=%d written=%s",
        manifest.model_id, manifest.set_id, manifest.rows, manifest.positives, manifest.rows_without_features,
        not is_there,
    )  # fmt: skip


def _version(deployment: Deployment, table: str) -> int:
    version = deployment.lake.version(table)
    if version is None:
        raise MlopsError(
            f"a training set needs {table}, which is not in the lake at {deployment.lake.uri}; import orders and build "
            "features first, or set MLOPS_LAKE_URI"
        )
    return version


def _require_enough(spec: ModelSpec, as_of: str, rows: int, positives: int, dropped: int) -> None:
    found = f"{spec.model_id} as of {as_of}: {rows} examples, {positives} of them positive, {dropped} without features"
    if rows < spec.training.min_rows:
        raise RefusedError(
            f"{found}; at least {spec.training.min_rows} are needed (training.min_rows): train as of a later day, "
            "build the feature partitions of the snapshots, or raise training.window_days"
        )
    if positives in (0, rows):
        raise RefusedError(f"{found}; both classes are needed: train as of a later day, or change label.horizon_days")
