"""The gates that there are, by name.

What belongs here: listing the folder ``governance/gates``. What does not: any gate, and asking them, which is a step's.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

from include.governance import gates
from include.governance.gate import Gate
from include.specs.model_sections import GatesSpec


def find_gates(spec: GatesSpec) -> tuple[Gate[Any], ...]:
    """Return the gates that a model with these thresholds is held against, in the order of their names.

    Each is the ``GATE`` of a file in ``governance/gates``.
    """
    names = sorted(module.name for module in pkgutil.iter_modules(gates.__path__))
    found = (import_module(f"{gates.__name__}.{name}").GATE for name in names)
    return tuple(gate for gate in found if isinstance(spec, gate.thresholds))
