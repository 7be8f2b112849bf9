"""Load a version: its files, held against what the ledger says was registered.

What belongs here: the one way to a version's files. What does not: where they are kept, and what they say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import MlopsError
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
    name = load_model(model_id).registered_name
    registration = deployment.state.registration(model_id, version)
    if registration is None and version not in stages(deployment.state.ledger(model_id)):
        raise MlopsError(
            f"{name} version {version} is not loaded: the ledger knows neither its registration nor a move of it, so "
            "that nothing says what its files were; train a version with mlops train"
        )
    return deployment.model_registry.load(name, version, registered=registration.files if registration else None)
