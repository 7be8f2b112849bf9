"""MLflow: runs, registered versions with their files, aliases and lifecycle tags.

What belongs here: calls into MLflow, and the local cache of a version's files. What does not: which
version may stand where: the ledger says so, aliases and tags repeat it.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from include.adapters.registry.mlflow_client import connect, explained, shown
from include.adapters.registry.model_files import (
    LoadedModel,
    list_files,
    read_files,
    require_registered,
    unpack,
    write_files,
)
from include.errors import MlopsError
from include.settings import Settings
from include.training.artifacts import CHECKSUMS

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

_FOLDER = "model"
_CHECKSUMS_TAG = "checksums_sha256"
_LIFECYCLE_TAG = "lifecycle"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version as the registry knows it."""

    name: str
    version: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def lifecycle(self) -> str | None:
        """Return the stage that its tag says; None where there is no tag."""
        return self.tags.get(_LIFECYCLE_TAG)


class ModelRegistryAdapter:
    """MLflow's tracking and registry.

    Parameters
    ----------
    tracking_uri : str
        A database (``postgresql+psycopg://…``, ``sqlite:///…``) or a server (``http://…``).
    artifact_uri : str
        Root of the runs' files, ``file://`` or ``s3://``.
    cache : Path
        Folder of downloaded versions.
    """

    def __init__(self, tracking_uri: str, artifact_uri: str, cache: Path) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_uri = artifact_uri.rstrip("/")
        self.cache = cache

    @classmethod
    def from_settings(cls, settings: Settings) -> ModelRegistryAdapter:
        """Return the deployment's registry."""
        return cls(settings.mlflow_tracking_uri, settings.mlflow_artifact_uri, settings.home / "cache" / "models")

    def initialise(self) -> None:
        """Make MLflow's tables; again changes nothing."""
        client = connect(self.tracking_uri, makes_tables=True)
        with explained(self.tracking_uri, "its tables can't be made"):
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)

    def register(
        self,
        name: str,
        *,
        run_name: str,
        files: Mapping[str, bytes],
        params: Mapping[str, str],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> RegisteredVersion:
        """Record a run with its files, and register them as the next version of `name`.

        One caller at a time for a name: a run of the kind that is still RUNNING was killed, and is marked so.

        Parameters
        ----------
        name : str
            The registered model and its experiment, made where they don't exist.
        files : mapping of str to bytes
            With ``checksums.json``, whose own sha256 becomes a tag of the version.
        tags : mapping of str to str
            Of the run and of the version.
        """
        sealed = {**tags, _CHECKSUMS_TAG: hashlib.sha256(files[CHECKSUMS]).hexdigest()}
        with self._mlflow(f"{name} can't be registered") as client:
            experiment_id = self._experiment_id(client, name)
            self._close_killed(client, experiment_id, tags)
            run = client.create_run(experiment_id, run_name=run_name, tags=dict(tags))
            run_id = run.info.run_id
            try:
                self._log(client, run_id, files, params, metrics)
                self._ensure_registered_model(client, name)
            except BaseException:
                client.set_terminated(run_id, status="FAILED")
                raise
            client.set_terminated(run_id)
            source = f"{run.info.artifact_uri}/{_FOLDER}"
            found = client.create_model_version(name, source, run_id, tags={**sealed, _LIFECYCLE_TAG: "None"})
        log.info("registered model=%s version=%s run=%s files=%d", name, found.version, run_id, len(files))
        return RegisteredVersion(name, int(found.version), run_id, dict(found.tags))

    def find(self, name: str, *, tag: str, value: str) -> RegisteredVersion | None:
        """Return the first version of `name` whose `tag` is `value`; None where there is none."""
        with self._mlflow(f"versions of {name} can't be listed") as client:
            found = client.search_model_versions(f"name = '{name}' AND tags.`{tag}` = '{value}'")
        versions = [RegisteredVersion(name, int(v.version), v.run_id, dict(v.tags)) for v in found]
        return min(versions, key=lambda v: v.version, default=None)

    def get(self, name: str, version: int) -> RegisteredVersion:
        """Return one version.

        Raises
        ------
        MlopsError
            If it isn't there, or MLflow can't be reached.
        """
        with self._mlflow(f"{name} version {version} can't be read") as client:
            found = client.get_model_version(name, str(version))
        return RegisteredVersion(name, int(found.version), found.run_id, dict(found.tags))

    def read(self, name: str, version: int, *, registered: Mapping[str, str] | None) -> dict[str, bytes]:
        """Return the files of a version, downloaded at the first call, checked at every one.

        Parameters
        ----------
        name : str
        version : int
        registered : mapping of str to str or None
            sha256 of each file as the ledger has it. None of a version that was registered before the ledger had
            it: what it is compared with lies beside it then.

        Raises
        ------
        MlopsError
            If a file is not what was registered.
        """
        folder, sha256 = self._cached(name, version)
        files = read_files(folder, checksums_sha256=sha256)
        if registered is not None:
            require_registered(f"{name} version {version}", files, registered)
        return files

    def load(self, name: str, version: int, *, registered: Mapping[str, str] | None) -> LoadedModel:
        """Return a version, ready to score; the parameters are those of `read`.

        Raises
        ------
        MlopsError
            If a file is not what was registered.
        """
        return unpack(self.read(name, version, registered=registered))

    def stored(self, name: str, version: int) -> dict[str, bytes]:
        """Return each file of a version as the artifact store holds it now, unchecked, whatever was downloaded."""
        found = self.get(name, version)
        with tempfile.TemporaryDirectory(prefix="mlops-model-") as folder:
            with self._mlflow(f"the files of {name} version {version} can't be downloaded") as client:
                fetched = Path(client.download_artifacts(found.run_id, _FOLDER, folder))
            return list_files(fetched)

    def versions(self, name: str) -> list[RegisteredVersion]:
        """Return every version of a model, by number; none where there is no such model."""
        with self._mlflow(f"versions of {name} can't be listed") as client:
            found = client.search_model_versions(f"name = '{name}'")
        versions = [RegisteredVersion(name, int(v.version), v.run_id, dict(v.tags)) for v in found]
        return sorted(versions, key=lambda v: v.version)

    def set_lifecycle(self, name: str, version: int, lifecycle: str) -> None:
        """Write a version's stage as a tag."""
        if self.get(name, version).lifecycle == lifecycle:
            return
        with self._mlflow(f"{name} version {version} can't be tagged {lifecycle}") as client:
            client.set_model_version_tag(name, str(version), _LIFECYCLE_TAG, lifecycle)

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Point an alias at a version, or at none."""
        if self.aliases(name).get(alias) == version:
            return
        with self._mlflow(f"alias {alias} of {name} can't be moved to {version}") as client:
            if version is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, str(version))

    def aliases(self, name: str) -> dict[str, int]:
        """Return the versions that a model's aliases point at; none where there is no such model."""
        with self._mlflow(f"{name} can't be read") as client:
            found = client.search_registered_models(f"name = '{name}'")
        return {alias: int(version) for model in found for alias, version in model.aliases.items()}

    def _cached(self, name: str, version: int) -> tuple[Path, str]:
        registered = self.get(name, version)
        sha256 = registered.tags.get(_CHECKSUMS_TAG)
        if sha256 is None:
            raise MlopsError(
                f"{name} version {version} in MLflow at {shown(self.tracking_uri)} has no tag {_CHECKSUMS_TAG}: it "
                "was not registered by mlops train and can't be trusted; train a version with it"
            )
        # Another MLflow's version of that number is another folder.
        folder = self.cache / name / str(version) / sha256[:16]
        if not folder.exists():
            self._fetch(registered, folder, sha256)
        return folder, sha256

    def _fetch(self, registered: RegisteredVersion, folder: Path, sha256: str) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as temporary:
            with self._mlflow(
                f"the files of {registered.name} version {registered.version} can't be downloaded"
            ) as client:
                fetched = Path(client.download_artifacts(registered.run_id, _FOLDER, temporary))
            read_files(fetched, checksums_sha256=sha256)
            try:
                fetched.rename(folder)
            except OSError:
                # Somebody else was first; the files are the same, they have the same sha256.
                if not folder.exists():
                    shutil.move(fetched, folder)

    def _log(
        self,
        client: MlflowClient,
        run_id: str,
        files: Mapping[str, bytes],
        params: Mapping[str, str],
        metrics: Mapping[str, float],
    ) -> None:
        from mlflow.entities import Metric, Param

        client.log_batch(
            run_id,
            # The time of a metric is the run's, which MLflow keeps; 0 keeps two runs comparable.
            metrics=[Metric(key, value, 0, 0) for key, value in metrics.items()],
            params=[Param(key, value) for key, value in params.items()],
        )
        with tempfile.TemporaryDirectory(prefix="mlops-model-") as folder:
            write_files(Path(folder), files)
            client.log_artifacts(run_id, folder, _FOLDER)

    def _close_killed(self, client: MlflowClient, experiment_id: str, tags: Mapping[str, str]) -> None:
        for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
            # An experiment may hold runs that aren't ours; those have not all of our tags.
            if tags.keys() <= run.data.tags.keys():
                client.set_terminated(run.info.run_id, status="KILLED")
                log.warning("run=%s had been left running by a process that was killed", run.info.run_id)

    def _experiment_id(self, client: MlflowClient, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, artifact_location=f"{self.artifact_uri}/{name}"))
            except MlflowException:
                # Two first trainings at once: the other one made it.
                found = client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _ensure_registered_model(self, client: MlflowClient, name: str) -> None:
        from mlflow.exceptions import MlflowException

        if client.search_registered_models(f"name = '{name}'"):
            return
        try:
            client.create_registered_model(name)
        except MlflowException:
            if not client.search_registered_models(f"name = '{name}'"):
                raise

    @cached_property
    def _client(self) -> MlflowClient:
        return connect(self.tracking_uri)

    @contextmanager
    def _mlflow(self, what_fails: str) -> Iterator[MlflowClient]:
        client = self._client
        with explained(self.tracking_uri, what_fails):
            yield client
