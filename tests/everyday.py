"""Which members of a kind `make test` meets: each of the others is marked thorough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest


def members(kind: Iterable[object], *, daily: Sequence[object]) -> list[object]:
    """Return a parameter for each member of a kind, of which those in `daily` are not left to `make test-all`."""
    return [pytest.param(each, marks=() if each in daily else pytest.mark.thorough) for each in kind]
