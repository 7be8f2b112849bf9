"""A version's files for the service: what the ledger pins, from the artifact store, without MLflow.

What belongs here: finding the bytes and holding them against the ledger. What does not: which version is asked for
(``lineup``), and registering versions, which is MLflow's (``adapters.registry``).

MLflow lays a run's files below its artifact root as ``NAME/RUN/artifacts/model``. Whoever moved a file there would have
to move its sha256 in the ledger too, which nobody can: so the bytes may come from anywhere.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.whole_files import put
from include.errors import MlopsError
from include.scoring.model import ScoringModel
from include.serving.served_version import Role, ServedVersion
from include.specs.models import ModelSpec
from include.training.artifacts import ONNX_MODEL, SIGNATURE, Signature

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


class VersionFiles:
    """Files of registered versions.

    Parameters
    ----------
    deployment : Deployment
        Its state says what was registered; its settings where files are.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        # By what is in them: a file of another home, or one that was changed, has another name.
        self._cache = deployment.settings.home / "cache" / "served"

    def load(self, spec: ModelSpec, version: int, role: Role) -> ServedVersion:
        """Return a version, read and checked.

        Raises
        ------
        MlopsError
            If the ledger does not pin its files, or they are gone or are others.
        """
        registration = self._deployment.state.registration(spec.model_id, version)
        if registration is None:
            raise MlopsError(
                f"{spec.registered_name} version {version} is not served: the ledger has no sha256 of its files; train "
                "a version with mlops train, which records them"
            )
        root = self._deployment.settings.mlflow_artifact_uri.rstrip("/")
        folder = f"{root}/{spec.registered_name}/{registration.run_id}/artifacts/model"
        what = f"{spec.registered_name} version {version}"
        read = {name: self._read(what, folder, name, registration.files) for name in (SIGNATURE, ONNX_MODEL)}
        signature = Signature.from_json(read[SIGNATURE].decode())
        if signature.task != spec.task:
            raise MlopsError(
                f"{what} is of task: {signature.task}, the spec of {spec.model_id} of task: {spec.task}; train a "
                "version of the spec's task"
            )
        model = ScoringModel(signature.feature_names, native=b"", onnx=read[ONNX_MODEL])
        return ServedVersion(spec, version, role, signature, model, registration.files[ONNX_MODEL])

    def _read(self, what: str, folder: str, name: str, registered: Mapping[str, str]) -> bytes:
        sha256 = registered.get(name)
        if sha256 is None:
            raise MlopsError(f"{what} was registered without {name}; train a version with mlops train")
        kept = self._cache / sha256
        if kept.is_file() and _digest(content := kept.read_bytes()) == sha256:
            return content
        content = self._download(what, f"{folder}/{name}")
        if (found := _digest(content)) != sha256:
            raise MlopsError(
                f"{what} is not served: {name} has sha256 {found}, the ledger says that {sha256} was registered; put "
                "the registered file back, or roll back to another version (mlops registry verify says what else "
                "disagrees)"
            )
        self._keep(kept, content)
        return content

    def _download(self, what: str, uri: str) -> bytes:
        filesystem, path = open_location(uri, self._deployment.settings.s3_endpoint_url)
        try:
            with filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())
        except OSError as err:
            raise MlopsError(
                f"{what} is not served: {uri} can't be read: {err}; check MLOPS_MLFLOW_ARTIFACTS and the artifact store"
            ) from err

    def _keep(self, path: Path, content: bytes) -> None:
        try:
            put(fs.LocalFileSystem(), str(path), content)
        except OSError as err:
            # Read again at the next start, which takes longer and no more.
            log.warning("serving cannot keep a model's file in %s: %s", path, err)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
