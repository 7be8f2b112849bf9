"""What `make test` meets of a kind or a number: `make test-all` meets the rest too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import pytest

IS_ALL = os.environ.get("TESTS") == "all"


def members(kind: Iterable[object], *, daily: Sequence[object]) -> list[object]:
    """Return a parameter for each member of a kind, of which those in `daily` are not left to `make test-all`."""
    return [pytest.param(each, marks=() if each in daily else pytest.mark.thorough) for each in kind]


def examples(number: int) -> int:
    """Return how many of a property's drawn examples are tried: a third of them daily, others each time."""
    return number if IS_ALL else number // 3
