"""A version's files in a local folder, their sha256 checked at every read.

What belongs here: writing the folder whole and reading it back. What does not: what the files say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.errors import MlopsError
from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.profile_json import profile_from_json
from include.scoring.engine_choice import EngineChoice
from include.scoring.model import Engine, ScoringModel
from include.training.artifacts import (
    CHECKSUMS,
    ENGINES,
    MANIFEST,
    METRICS,
    NATIVE_MODEL,
    ONEDAL_MODEL,
    ONNX_MODEL,
    REFERENCE_PROFILE,
    SIGNATURE,
    SPEC,
    Signature,
    checksums,
    metrics_from_json,
)
from include.training.manifest import TrainingSetManifest

# MLflow writes it into the folder that it loads a registered version from, which may be the artifact store's own.
_MLFLOWS_OWN = "registered_model_meta"
_NEXT = "remove the folder to have it downloaded again; if that does not help, train the version again"


@dataclass(frozen=True)
class LoadedModel:
    """A version's files, read and checked.

    Attributes
    ----------
    model : ScoringModel
    signature : Signature
    profile : ReferenceProfile
        The test window's features and the model's ``score`` on them.
    metrics : mapping of str to float
        Of the test window.
    manifest : TrainingSetManifest
        The training set's; a field that the file lacks is empty, for the gates to judge.
    spec : str or None
        `include.training.manifest.spec_text` of what made it; None of a version from before that was kept.
    engine : {"native", "onedal", "onnx"}
        Of its nights; native of a version from before it was chosen, and where what was chosen is not installed.
    """

    model: ScoringModel
    signature: Signature
    profile: ReferenceProfile
    metrics: Mapping[str, float]
    manifest: TrainingSetManifest
    spec: str | None = None
    engine: Engine = "native"


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a version, ``checksums.json`` among them, below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def list_files(folder: Path) -> dict[str, bytes]:
    """Return every file of a version below a folder, by name, unchecked; what MLflow adds at a load is none."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / _MLFLOWS_OWN)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_files(folder: Path, *, checksums_sha256: str) -> dict[str, bytes]:
    """Return the files of a version, each one checked.

    Parameters
    ----------
    folder : Path
        Holds ``checksums.json`` and exactly the files that it names.
    checksums_sha256 : str
        sha256 of ``checksums.json`` itself, as the registry keeps it.

    Returns
    -------
    dict of str to bytes
        The bytes that were checked: a change on disk after that does no harm.

    Raises
    ------
    MlopsError
        If a file is absent, changed, or not among the checksums.
    """
    files = list_files(folder)
    listed = files.pop(CHECKSUMS, None)
    if listed is None:
        raise MlopsError(f"{folder} holds no {CHECKSUMS}: it is not a trained version, or not all of it")
    _check(folder, CHECKSUMS, listed, checksums_sha256)
    expected: dict[str, str] = json.loads(listed)
    if strays := sorted(set(expected) ^ set(files)):
        raise MlopsError(f"{folder}: {', '.join(strays)} is only in the folder or only in {CHECKSUMS}; {_NEXT}")
    for name, sha256 in expected.items():
        _check(folder, name, files[name], sha256)
    return files


def require_registered(what: str, files: Mapping[str, bytes], registered: Mapping[str, str]) -> None:
    """Compare the files of a version with those that the ledger says were registered.

    Parameters
    ----------
    what : str
        The version, for the message.
    files : mapping of str to bytes
        By name.
    registered : mapping of str to str
        sha256 by name.

    Raises
    ------
    MlopsError
        If a file is another one, too many or too few.
    """
    if wrong := differing(checksums(files), registered):
        raise MlopsError(
            f"{what} is not loaded: {', '.join(wrong)} is not what the ledger says was registered, though the "
            "registry's own checksum agrees with it: files and checksum were changed together. Put the registered "
            "files back, or roll back to another version; mlops registry verify says what else disagrees"
        )


def differing(found: Mapping[str, str], registered: Mapping[str, str]) -> list[str]:
    """Return the names of files whose sha256 is not the registered one, of those too many and of those too few."""
    return sorted(name for name in {*found, *registered} if found.get(name) != registered.get(name))


def unpack(files: Mapping[str, bytes]) -> LoadedModel:
    """Return a version, ready to score, from its files."""
    signature = Signature.from_json(files[SIGNATURE].decode())
    return LoadedModel(
        model=ScoringModel(
            signature.feature_names,
            native=files[NATIVE_MODEL],
            onnx=files[ONNX_MODEL],
            onedal=files.get(ONEDAL_MODEL),
        ),
        signature=signature,
        profile=profile_from_json(files[REFERENCE_PROFILE].decode()),
        metrics=metrics_from_json(files[METRICS].decode()),
        manifest=TrainingSetManifest.from_incomplete_json(files[MANIFEST].decode()),
        spec=files[SPEC].decode() if SPEC in files else None,
        engine=EngineChoice.from_json(files[ENGINES]).usable if ENGINES in files else "native",
    )


def _check(folder: Path, name: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise MlopsError(f"{folder / name} has sha256 {found}, it was registered with {expected}; {_NEXT}")
