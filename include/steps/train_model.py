"""Train a version on a training set and register it, once.

What belongs here: reading the set, registering the version. What does not: training itself, and gates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.adapters.lake.training_sets import read_training_set
from include.errors import MlopsError, UsageError
from include.governance.lifecycle import stages
from include.refs import CandidateRef, TrainingSetRef
from include.specs.models import ModelSpec, load_model
from include.steps.anchor_history import anchor_history
from include.steps.choose_engine import with_engine
from include.training.artifacts import checksums
from include.training.manifest import TrainingSetManifest, spec_sha256
from include.training.version import train_version

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_registry import RegisteredVersion

log = logging.getLogger(__name__)

TRAINING_SET_TAG = "training_set"


def train_model(deployment: Deployment, training_set: TrainingSetRef) -> CandidateRef:
    """Train on a set and register the version; a set that was trained on gives its version back, checked.

    Parameters
    ----------
    deployment : Deployment
        Its lake is read, its model registry written.
    training_set : TrainingSetRef
        What `build_training_set` returned.

    Raises
    ------
    MlopsError
        If set or registered files are not what they were, or the two formats differ.
    UsageError
        If the spec is not what the set was built by, or its registered name is not the one that the ledger's versions
        have.
    RefusedError
        If the set can't be split.
    """
    spec = load_model(training_set.model_id)
    known = _find(deployment, spec, training_set)
    if known is not None:
        return known
    _require_same_name(deployment, spec)
    manifest, examples = read_training_set(deployment.lake, training_set.model_id, training_set.set_id)
    if manifest.spec_sha256 != spec_sha256(spec):
        raise UsageError(
            f"the spec of {spec.model_id} changed after training set {manifest.set_id} was built; build the set again"
        )
    trained = train_version(spec, manifest, examples)
    files = with_engine(trained.files, trained.tested)
    with deployment.state.alone(f"registering {spec.registered_name}"):
        # Who trained on the same set meanwhile has registered it: one set is one version.
        known = _find(deployment, spec, training_set)
        if known is not None:
            return known
        registered = deployment.model_registry.register(
            spec.registered_name,
            run_name=f"{spec.model_id}-{manifest.set_id}",
            files=files,
            params=_params(spec, manifest),
            metrics=trained.metrics,
            tags=_tags(spec, manifest),
        )
        _record(deployment, spec, registered, checksums(files))
    log.info(
        "train model=%s set=%s rows=%d version=%d %s",
        spec.model_id, manifest.set_id, manifest.rows, registered.version, trained.evaluation,
    )  # fmt: skip
    return CandidateRef(spec.model_id, registered.version, registered.run_id, training_set.as_of)


def _find(deployment: Deployment, spec: ModelSpec, training_set: TrainingSetRef) -> CandidateRef | None:
    known = deployment.model_registry.find(spec.registered_name, tag=TRAINING_SET_TAG, value=training_set.set_id)
    if known is None:
        return None
    _confirm(deployment, spec, known)
    log.info("train model=%s set=%s is version=%d already", spec.model_id, training_set.set_id, known.version)
    return CandidateRef(spec.model_id, known.version, known.run_id, training_set.as_of)


def _require_same_name(deployment: Deployment, spec: ModelSpec) -> None:
    """Refuse a name that no version has where the ledger has some, whose numbers would come a second time."""
    if deployment.model_registry.versions(spec.registered_name):
        return
    if deployment.state.registration(spec.model_id, 1) or stages(deployment.state.ledger(spec.model_id)):
        raise UsageError(
            f"{spec.model_id}.yaml: registered_name={spec.registered_name!r} has no version in MLflow, and the ledger "
            f"of {spec.model_id} has some, so that there would be another version 1; write the name that they were "
            "registered by, or give the model a model_id of its own"
        )


def _tags(spec: ModelSpec, manifest: TrainingSetManifest) -> dict[str, str]:
    return {
        "model_id": spec.model_id,
        "as_of": manifest.as_of,
        TRAINING_SET_TAG: manifest.set_id,
        "training_set_sha256": manifest.rows_sha256,
        "mlflow.source.git.commit": manifest.provenance.code_commit,
    }


def _confirm(deployment: Deployment, spec: ModelSpec, known: RegisteredVersion) -> None:
    """Check the files of a version that is there; what it was registered with is kept now where a kill came between."""
    registration = deployment.state.registration(spec.model_id, known.version)
    registered = registration.files if registration else None
    files = deployment.model_registry.read(known.name, known.version, registered=registered)
    if registration is None and known.version not in stages(deployment.state.ledger(spec.model_id)):
        _record(deployment, spec, known, checksums(files))


def _record(deployment: Deployment, spec: ModelSpec, version: RegisteredVersion, files: Mapping[str, str]) -> None:
    deployment.state.record_registration(spec.model_id, version.version, run_id=version.run_id, files=files)
    kept = deployment.state.registration(spec.model_id, version.version)
    if kept is None or kept.run_id != version.run_id:
        raise MlopsError(
            f"{version.name} version {version.version} is another one in the ledger of {spec.model_id}, which it was "
            "registered in before: it is not loaded; bring MLflow's database back from a backup, and train again"
        )
    anchor_history(deployment, spec.model_id)


def _params(spec: ModelSpec, manifest: TrainingSetManifest) -> dict[str, str]:
    training = spec.training.model_dump(exclude={"hyperparameters"})
    values = {
        "task": spec.task,
        "feature_service": manifest.feature_service,
        "training_set": manifest.set_id,
        "as_of": manifest.as_of,
        "population": spec.population,
        "label": spec.label.kind,
        **spec.label.parameters,
        **training,
        **spec.training.hyperparameters.model_dump(),
        **spec.decides_by,
    }
    return {name: str(value) for name, value in values.items()}
