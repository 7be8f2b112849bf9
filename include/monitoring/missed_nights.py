"""Nights that monitoring should have decided on and did not, in words.

What belongs here: what a missed night lacks, and the sentences that a later decision tells of it. What does not:
finding them, which takes the lake and the state (``steps.find_missed``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from include.partitions import consecutive


@dataclass(frozen=True)
class MissedNight:
    """A night that a version governs, that is over and that was not decided on.

    Attributes
    ----------
    partition : str
    lacks : {"scores", "measurement", "decision"}
        The first thing that it lacks.
    why : str
        What is known of the cause, and the way to put it right.
    """

    partition: str
    lacks: Literal["scores", "measurement", "decision"]
    why: str


_SAID = {"scores": "not scored", "measurement": "not measured", "decision": "not decided on"}


def tell_missed(missed: Sequence[MissedNight]) -> tuple[str, ...]:
    """Return a sentence for each cause and run of nights, in order of the nights.

    Examples
    --------
    >>> tell_missed([MissedNight(f"2026-03-0{day}", "scores", "not built") for day in (1, 2, 4)])
    ('2026-03-01 … 2026-03-02 were not scored: not built', '2026-03-04 was not scored: not built')
    """
    return tuple(_sentences(sorted(missed, key=lambda night: night.partition)))


def _sentences(missed: Sequence[MissedNight]) -> Iterator[str]:
    for (lacks, why), alike in groupby(missed, key=lambda night: (night.lacks, night.why)):
        for first, *rest in consecutive(night.partition for night in alike):
            nights, verb = (f"{first} … {rest[-1]}", "were") if rest else (first, "was")
            yield f"{nights} {verb} {_SAID[lacks]}: {why}"
