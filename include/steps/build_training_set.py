"""Build the training set of a model as of a day.

What belongs here: putting features and labels together, and writing the examples once. What does not: reading either
(``read_inputs``, ``read_labels``).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import read_manifest, write_training_set
from include.adapters.provenance import read_provenance
from include.errors import RefusedError
from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import LABEL, snapshot_days
from include.refs import TrainingSetRef
from include.specs.models import ModelSpec, load_model
from include.steps.read_inputs import Inputs, read_snapshots
from include.steps.read_labels import Labels, read_labels
from include.training.manifest import TrainingSetManifest, set_id, spec_sha256

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def build_training_set(deployment: Deployment, model_id: str, *, as_of: str) -> TrainingSetRef:
    """Write the labelled examples that are known at the end of `as_of`.

    The same orders, features, spec and code give the same set, which is written once.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read and written; its state says which features are published.
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
    inputs = read_snapshots(deployment, spec, days)
    labels = read_labels(deployment, spec, inputs.rows, known_until=partitions.end_of(as_of))
    examples = _examples(spec, inputs, labels)
    _require_enough(spec, as_of, examples, inputs)
    sha256, spec_hash, provenance = digest(examples), spec_sha256(spec), read_provenance(deployment.settings)
    manifest = TrainingSetManifest(
        model_id=model_id,
        set_id=set_id(
            as_of=as_of,
            rows_sha256=sha256,
            spec_hash=spec_hash,
            feature_names=inputs.features,
            provenance=provenance,
        ),
        as_of=as_of,
        feature_service=spec.features.service,
        feature_names=inputs.features,
        entity_keys=spec.entity.keys,
        horizon_days=spec.label.horizon_days,
        first_snapshot=days[0],
        last_snapshot=days[-1],
        rows=examples.num_rows,
        positives=_positives(examples),
        rows_without_label=inputs.rows.num_rows - examples.num_rows,
        unpublished_snapshots=inputs.unpublished,
        rows_sha256=sha256,
        sources={**labels.sources, **inputs.sources},
        spec_sha256=spec_hash,
        provenance=provenance,
    )
    _write_once(deployment, manifest, examples)
    return TrainingSetRef(model_id, manifest.set_id, as_of, manifest.rows, sha256)


def _examples(spec: ModelSpec, inputs: Inputs, labels: Labels) -> pa.Table:
    identity = [*spec.entity.keys, EVENT_TIMESTAMP]
    labelled = inputs.rows.join(labels.rows.select([*identity, LABEL]), keys=identity, join_type="inner")
    by_time = [(name, "ascending") for name in (EVENT_TIMESTAMP, *spec.entity.keys)]
    return labelled.select([*identity, *inputs.features, LABEL]).sort_by(by_time).combine_chunks()


def _write_once(deployment: Deployment, manifest: TrainingSetManifest, examples: pa.Table) -> None:
    is_there = read_manifest(deployment.lake, manifest.model_id, manifest.set_id) is not None
    written = not is_there and write_training_set(deployment.lake, manifest, examples)
    log.info(
        "training_set model=%s set=%s rows=%d positives=%d without_label=%d unpublished=%d written=%s",
        manifest.model_id, manifest.set_id, manifest.rows, manifest.positives, manifest.rows_without_label,
        len(manifest.unpublished_snapshots), written,
    )  # fmt: skip


def _positives(examples: pa.Table) -> int:
    return int(pc.sum(examples[LABEL]).as_py() or 0)


def _require_enough(spec: ModelSpec, as_of: str, examples: pa.Table, inputs: Inputs) -> None:
    rows, positives = examples.num_rows, _positives(examples)
    found = f"{spec.model_id} as of {as_of}: {rows} examples, {positives} of them positive"
    if inputs.unpublished:
        found += (
            f"; features of {len(inputs.unpublished)} snapshots are not published (the last: {inputs.unpublished[-1]})"
        )
    if rows < spec.training.min_rows:
        raise RefusedError(
            f"{found}; at least {spec.training.min_rows} are needed (training.min_rows): train as of a later day, "
            "build the feature partitions of the snapshots, or raise training.window_days"
        )
    if positives in (0, rows):
        raise RefusedError(f"{found}; both classes are needed: train as of a later day, or change label.horizon_days")
