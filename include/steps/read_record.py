"""Read what is on record of a version: what it was registered with, made from and trained on.

What belongs here: holding that against what was registered, and finding the spec that made it. What does not: making
anything again (``reproduce_version``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.adapters.lake.training_sets import read_manifest, read_training_set
from include.adapters.registry.model_files import differing
from include.errors import MlopsError, SpecError, UsageError
from include.governance.lifecycle import stages
from include.specs.models import ModelSpec
from include.steps.load_version import registered_files
from include.training.artifacts import MANIFEST, SPEC, checksums
from include.training.manifest import TrainingSetManifest, spec_of_text, spec_sha256
from include.training.reproduction import Compared

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.deployment import Deployment

# Without these nothing says what to build again, and what should come of it.
_NEEDED = ("set_id", "as_of", "feature_names", "entity_keys", "rows_sha256", "sources", "spec_sha256")


@dataclass
class Told:
    """What is found while a version is looked at: what is not equal, and what a reader should know."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """What is on record of a version.

    Attributes
    ----------
    registered, stored : mapping of str to str
        sha256 of each file, as it was registered and as the artifact store holds it.
    manifest : TrainingSetManifest
        Empty where its file was altered.
    spec : ModelSpec or None
        The one that made it. None where it can't be made again, and why is told.
    examples : pyarrow.Table or None
        The training set, where the lake keeps it as it was.
    """

    registered: Mapping[str, str]
    stored: Mapping[str, str]
    manifest: TrainingSetManifest
    spec: ModelSpec | None
    examples: pa.Table | None

    def compared(self, name: str, rebuilt: bytes | None) -> Compared:
        """Return a file of the version: as it was registered, as it is kept, and as it was made again."""
        sha256 = None if rebuilt is None else hashlib.sha256(rebuilt).hexdigest()
        return Compared(self.registered.get(name), self.stored.get(name), sha256)


def read_record(deployment: Deployment, present: ModelSpec, version: int, told: Told) -> Record:
    """Return what is on record of a version, and tell what of it was altered or is missing.

    Parameters
    ----------
    present : ModelSpec
        The model's spec as it is today.
    told : Told
        Is added to.

    Raises
    ------
    UsageError
        If the model has no such version.
    MlopsError
        If the registry or the lake can't be reached, or no history knows of the version.
    """
    name = present.registered_name
    _require_version(deployment, present, version)
    registered = registered_files(deployment, present.model_id, version)
    if registered is None:
        registered = checksums(deployment.model_registry.read(name, version, registered=None))
        told.notes.append(
            f"{name} version {version} was registered before the ledger kept what with: its files are held against the "
            "checksum beside them"
        )
    files = deployment.model_registry.stored(name, version)
    stored = checksums(files)
    altered = differing(stored, registered)
    told.differences += [_tell_altered(each, stored.get(each), registered.get(each)) for each in altered]
    if MANIFEST in altered:
        return Record(registered, stored, TrainingSetManifest.from_incomplete_json("{}"), None, None)
    manifest = TrainingSetManifest.from_incomplete_json(files[MANIFEST].decode())
    text = files[SPEC].decode() if SPEC in files and SPEC not in altered else None
    spec = _find_spec(present, manifest, text, told)
    return Record(registered, stored, manifest, spec, _read_examples(deployment, present.model_id, manifest, told))


def _require_version(deployment: Deployment, spec: ModelSpec, version: int) -> None:
    there = [found.version for found in deployment.model_registry.versions(spec.registered_name)]
    if version in there:
        return
    told = f"{spec.model_id} has no version {version} in MLflow"
    if version in stages(deployment.state.ledger(spec.model_id)):
        raise MlopsError(
            f"{told} any more, which the ledger knows of: it is looked for by the registered_name of today, "
            f"{spec.registered_name}; write the one that it was registered by, or bring it back from a backup"
        )
    raise UsageError(f"{told}; it has {', '.join(map(str, there)) or 'none'}")


def _tell_altered(name: str, stored: str | None, registered: str | None) -> str:
    if registered is None:
        return f"{name} is among the files of the version, and was not registered with it"
    found = "is gone from the artifact store" if stored is None else f"has sha256 {stored:.12} in the artifact store"
    return f"{name} {found}, and was registered with {registered:.12}: it was altered since"


def _find_spec(present: ModelSpec, manifest: TrainingSetManifest, text: str | None, told: Told) -> ModelSpec | None:
    if lacking := [name for name in _NEEDED if not getattr(manifest, name)]:
        told.differences.append(f"nothing can be built again: {MANIFEST} lacks {', '.join(lacking)}")
        return None
    if text is not None:
        try:
            spec, came_later = spec_of_text(text, present=present)
        except SpecError as err:
            told.differences.append(f"nothing can be built again: {SPEC} is not allowed by the code of today: {err}")
            return None
        if came_later:
            told.notes.append(
                f"{SPEC} is from before a spec had {', '.join(came_later)}, which is that of {present.model_id} today"
            )
        return spec
    if spec_sha256(present) == manifest.spec_sha256:
        return present
    told.differences.append(
        f"nothing can be built again: the version has no {SPEC} to go by, and its manifest names another spec (sha256 "
        f"{manifest.spec_sha256:.12}) than the one of {present.model_id} today; what is trained now keeps its own"
    )
    return None


def _read_examples(deployment: Deployment, model_id: str, manifest: TrainingSetManifest, told: Told) -> pa.Table | None:
    """Return the examples that the lake keeps, where it keeps them as they were."""
    if not manifest.set_id:
        return None
    if read_manifest(deployment.lake, model_id, manifest.set_id) is None:
        told.notes.append(
            f"the lake does not keep training set {manifest.set_id} any more; mlops lake pins says which it keeps"
        )
        return None
    try:
        found, examples = read_training_set(deployment.lake, model_id, manifest.set_id)
    except MlopsError as err:
        told.differences.append(f"the training set that the lake keeps is not what it was: {err}")
        return None
    if found.rows_sha256 != manifest.rows_sha256:
        told.differences.append(
            f"the training set that the lake keeps has rows with sha256 {found.rows_sha256:.12}, and its manifest says "
            f"so; that of the version says {manifest.rows_sha256:.12}: set and manifest were altered together"
        )
        return None
    return examples
