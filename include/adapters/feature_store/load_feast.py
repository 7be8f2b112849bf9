"""Load Feast, once in a process and soon.

What belongs here: its first import. What does not: anything that is done with it.

Feast has typeguard compile a check of every argument into twenty of its classes each time that it is imported: seven
tenths of the 3.4 s of computing that the import takes, in every task. Types are checked by mypy here, and values that
come from outside by pydantic.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typeguard


def load_feast() -> None:
    """Import Feast without the checks that it compiles into itself; a Feast that is there stays as it is."""
    if "feast" in sys.modules:
        return
    checked = typeguard.typechecked
    typeguard.typechecked = _unchecked
    try:
        importlib.import_module("feast")
    finally:
        typeguard.typechecked = checked


def _unchecked(target: Any = None, **_options: object) -> Any:
    return target if target is not None else _unchecked
