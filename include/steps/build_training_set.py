"""Build the training set of a model as of a day.

What belongs here: what a set has to be, its manifest, and writing it once. What does not: where its examples come from
(``gather_examples``).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import read_manifest, write_training_set
from include.adapters.provenance import read_libraries, read_provenance
from include.errors import RefusedError
from include.question.labels import LABEL
from include.refs import TrainingSetRef
from include.specs.models import ModelSpec, load_model
from include.steps.find_person import ERASING
from include.steps.gather_examples import Gathered, gather_examples
from include.training.definitions import definitions_of
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
    # An erasure says which sets hold the person.
    with deployment.state.alone(f"building a training set of {model_id}", not_during=ERASING):
        return _build(deployment, load_model(model_id), as_of)


def _build(deployment: Deployment, spec: ModelSpec, as_of: str) -> TrainingSetRef:
    found = gather_examples(deployment, spec, as_of=as_of)
    examples = found.examples
    _require_enough(spec, as_of, found)
    sha256, spec_hash, provenance = digest(examples), spec_sha256(spec), read_provenance(deployment.settings)
    manifest = TrainingSetManifest(
        model_id=spec.model_id,
        set_id=set_id(
            as_of=as_of,
            rows_sha256=sha256,
            spec_hash=spec_hash,
            feature_names=found.features,
            provenance=provenance,
        ),
        as_of=as_of,
        feature_service=spec.features.service,
        feature_names=found.features,
        entity_keys=spec.entity.keys,
        horizon_days=spec.label.horizon_days,
        first_snapshot=found.days[0],
        last_snapshot=found.days[-1],
        rows=examples.num_rows,
        positives=_positives(examples),
        rows_without_label=found.without_label,
        unpublished_snapshots=found.unpublished,
        rows_sha256=sha256,
        sources=found.sources,
        spec_sha256=spec_hash,
        provenance=provenance,
        definitions=definitions_of(spec, deployment.settings.specs_overlay),
        libraries=read_libraries(),
    )
    _write_once(deployment, manifest, examples)
    return TrainingSetRef(spec.model_id, manifest.set_id, as_of, manifest.rows, sha256)


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


def _require_enough(spec: ModelSpec, as_of: str, gathered: Gathered) -> None:
    rows, positives = gathered.examples.num_rows, _positives(gathered.examples)
    found = f"{spec.model_id} as of {as_of}: {rows} examples, {positives} of them positive"
    if missing := gathered.unpublished:
        found += f"; features of {len(missing)} snapshots are not published (the last: {missing[-1]})"
    if rows < spec.training.min_rows:
        raise RefusedError(
            f"{found}; at least {spec.training.min_rows} are needed (training.min_rows): train as of a later day, "
            "build the feature partitions of the snapshots, or raise training.window_days"
        )
    if positives in (0, rows):
        raise RefusedError(
            f"{found}; both classes are needed: train as of a later day, or change label.horizon_days or what "
            f"{spec.label.kind}.sql asks"
        )
