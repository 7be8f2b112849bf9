"""What a version says of itself to MLflow's own clients: its file ``MLmodel``.

What belongs here: that file's text. What does not: what loads a version by it (``adapters.registry.pyfunc_model``).
"""

from __future__ import annotations

import json
import sys

import yaml

from include.training.artifacts import Signature

_LOADER = "include.adapters.registry.pyfunc_model"


def mlmodel_text(signature: Signature) -> str:
    """Return ``MLmodel``, by which `mlflow.pyfunc` loads the version; equal signatures give equal text.

    The features are its ``metadata``, not the inputs of its ``signature``: by those MLflow leaves out columns that are
    too many, names columns without a name by their place, and refuses whole numbers beside a column that has holes.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = {
        "flavors": {"python_function": {"loader_module": _LOADER, "python_version": python}},
        "metadata": {"features": list(signature.feature_names), "task": signature.task},
        "signature": {"outputs": json.dumps([{"type": "float", "required": True}])},
    }
    return yaml.safe_dump(said, sort_keys=True)
