"""Load a version: its files, held against what the ledger says was registered.

What belongs here: the one way to a version's files. What does not: where they are kept, and what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from include.errors import MlopsError, UsageError
from include.governance.lifecycle import stages
from include.specs.models import load_model

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel


def load_version(deployment: Deployment, model_id: str, version: int) -> LoadedModel:
    """Return a version, ready to score.

    Raises
    ------
    MlopsError
        If it can't be read, or is not what was registered.
    """
    registered = registered_files(deployment, model_id, version)
    return deployment.model_registry.load(load_model(model_id).registered_name, version, registered=registered)


def require_known(deployment: Deployment, model_id: str, version: int) -> None:
    """Refuse a version that was never registered, and never moved.

    Raises
    ------
    UsageError
        Naming where a person reads which versions there are.
    """
    if deployment.state.registration(model_id, version) is None and not _has_moved(deployment, model_id, version):
        raise UsageError(
            f"{model_id} has no version {version}; which there are, says mlops registry status --model {model_id}"
        )


def registered_files(deployment: Deployment, model_id: str, version: int) -> Mapping[str, str] | None:
    """Return the sha256 of the files that a version was registered with, by name; None of one from before it was kept.

    Raises
    ------
    MlopsError
        If no history knows of the version.
    """
    registration = deployment.state.registration(model_id, version)
    if registration is None and not _has_moved(deployment, model_id, version):
        raise MlopsError(
            f"{load_model(model_id).registered_name} version {version} is not loaded: the ledger knows neither its "
            "registration nor a move of it, so that nothing says what its files were; train a version with mlops train"
        )
    return registration.files if registration else None


def _has_moved(deployment: Deployment, model_id: str, version: int) -> bool:
    return version in stages(deployment.state.ledger(model_id))
