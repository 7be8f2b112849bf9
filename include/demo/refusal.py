"""What to do about a first version that was refused.

What belongs here: the advice. What does not: the reason, which is the ledger's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.specs.deployed import tell_gates

if TYPE_CHECKING:
    from include.specs.models import ModelSpec


def gates_advice(spec: ModelSpec) -> str:
    """Return which gates a version was held against, where they stand, and how they are changed for such data."""
    return (
        f"{tell_gates(spec)}. The same data give the same version: where a lower value is right for them, write it "
        f"into FOLDER/{spec.model_id}.yaml, a copy of that file in a folder of your own, and start over with "
        "MLOPS_SPECS=FOLDER and --fresh (make demo ARGS=--fresh)"
    )
