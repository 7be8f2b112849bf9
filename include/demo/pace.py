"""How a demo is played: how fast, and to whom it is told.

What belongs here: both as values. What does not: playing (``play``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


class Narrator(Protocol):
    """Whoever tells a person how far the demo is."""

    def say(self, line: str) -> None:
        """Print a line that stays."""

    def working_on(self, what: str) -> AbstractContextManager[object]:
        """Show what is being done until it is done."""


@dataclass(frozen=True)
class Pace:
    """How a demo is played.

    Attributes
    ----------
    approve_after_s : float or None
        Seconds that a question waits for a person before the demo answers it; None waits as long as it takes.
    night_s : float
        Seconds that a night takes at least.
    """

    approve_after_s: float | None = None
    night_s: float = 0.0
