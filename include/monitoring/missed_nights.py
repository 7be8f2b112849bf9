"""Nights that are missing, in words: of a model, which should have been decided on, and of a feature group.

What belongs here: what a missed night lacks, and the sentences that are told of it. What does not: finding them, which
takes the lake and the state (``steps.find_missed``, ``steps.night_status``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from include.partitions import consecutive

Lacks = Literal["rows", "features", "online", "scores", "outcomes", "measurement", "decision"]
Kind = Literal["source", "group", "model"]


@dataclass(frozen=True, order=True)
class MissedNight:
    """A night that is over and owed, and that lacks something.

    Attributes
    ----------
    partition : str
    lacks : {"rows", "features", "online", "scores", "outcomes", "measurement", "decision"}
        The first thing that it lacks.
    why : str
        What is known of the cause, and the way to put it right.
    """

    partition: str
    lacks: Lacks
    why: str


@dataclass(frozen=True, order=True)
class Hole:
    """Whose night is missing: a feature group's, a model's, or a source's, whose rows were published and are gone."""

    kind: Kind
    name: str
    night: MissedNight

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by, whatever it lacks."""
        return self.kind, self.name, self.night.partition


@dataclass(frozen=True)
class NightIncident:
    """A night that was found missing, and whether it still is.

    Attributes
    ----------
    incident_id : int
    hole : Hole
        As it was when it was found.
    found_by : str
        The run that found it, and told of it.
    found_at : datetime
    ended_by : str or None
        The run that found it to be there; None where it is missing.
    ended_at : datetime or None
    """

    incident_id: int
    hole: Hole
    found_by: str
    found_at: datetime
    ended_by: str | None
    ended_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether it was still missing when nights were last looked at."""
        return self.ended_at is None


_SAID: dict[Lacks, str] = {
    "rows": "not in its table",
    "features": "not built",
    "online": "not brought online",
    "scores": "not scored",
    "outcomes": "without its outcomes",
    "measurement": "not measured",
    "decision": "not decided on",
}


def tell_missed(missed: Sequence[MissedNight]) -> tuple[str, ...]:
    """Return a sentence for each cause and run of nights, in order of the nights.

    Examples
    --------
    >>> tell_missed([MissedNight(f"2026-03-0{day}", "scores", "not built") for day in (1, 2, 4)])
    ('2026-03-01 … 2026-03-02 were not scored: not built', '2026-03-04 was not scored: not built')
    """
    return tuple(_sentences(sorted(missed, key=lambda night: night.partition)))


def tell_holes(holes: Iterable[Hole]) -> tuple[str, ...]:
    """Return a sentence for each cause and run of nights of each source, group or model.

    Examples
    --------
    >>> late = [MissedNight(f"2026-03-0{day}", "features", "no delivery") for day in (1, 2)]
    >>> tell_holes(Hole("group", "customer_daily", night) for night in late)
    ('group customer_daily: 2026-03-01 … 2026-03-02 were not built: no delivery',)
    """
    by_name = groupby(sorted(holes), key=lambda hole: (hole.kind, hole.name))
    return tuple(
        f"{kind} {name}: {sentence}"
        for (kind, name), alike in by_name
        for sentence in tell_missed([hole.night for hole in alike])
    )


def _sentences(missed: Sequence[MissedNight]) -> Iterator[str]:
    for (lacks, why), alike in groupby(missed, key=lambda night: (night.lacks, night.why)):
        for first, *rest in consecutive(night.partition for night in alike):
            yield tell_run(first, rest[-1] if rest else first, lacks, why)


def tell_run(first: str, last: str, lacks: Lacks, why: str) -> str:
    """Return the sentence of nights that follow one another and lack the same."""
    nights, verb = (f"{first} … {last}", "were") if first != last else (first, "was")
    return f"{nights} {verb} {_SAID[lacks]}: {why}"
