"""What to do about a first version that was refused.

What belongs here: the advice. What does not: the reason, which is the ledger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.specs.deployed import find_model_files

if TYPE_CHECKING:
    from include.specs.models import ModelSpec


def gates_advice(spec: ModelSpec) -> str:
    """Return which gates a version was held against, where they stand, and how they are changed for such data."""
    file = find_model_files(spec.model_id)[-1]
    gates = ", ".join(f"gates.{name}={value}" for name, value in spec.gates.model_dump().items())
    return (
        f"the gates of {file} hold: {gates}. The same data give the same version: where a lower value is right for "
        f"them, write it into FOLDER/{spec.model_id}.yaml, a copy of that file in a folder of your own, and start over "
        "with MLOPS_SPECS=FOLDER and --fresh (make demo ARGS=--fresh)"
    )
