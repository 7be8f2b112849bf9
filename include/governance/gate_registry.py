"""The gates that there are, by name.

What belongs here: listing the folder ``governance/gates``. What does not: any gate, and asking them, which is a step's.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from include.governance import gates
from include.governance.gate import Gate


def find_gates() -> tuple[Gate, ...]:
    """Return the ``GATE`` of every file in ``governance/gates``, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(gates.__path__))
    return tuple(import_module(f"{gates.__name__}.{name}").GATE for name in names)
