"""Integers that only grow: what one version in one role has answered since the process started.

What belongs here: the counters of a version. What does not: what a minute of them is (``recorder``), and how they are
told (``metrics``).

The thread that answers adds; whoever reads sees a moment of it. So nobody waits for anybody.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from include.monitoring.latency_histogram import BOUNDS_US, find_bound

# Beside the roles that answer: a challenger that scored unseen, and no version at all.
SHADOW, NONE = "shadow", "none"


@dataclass(slots=True, eq=False)
class Tally:
    """Counters of one version in one role.

    Attributes
    ----------
    model_id : str
    version : int
        0 where no version answers.
    role : str
        See `ServingWindow`.
    requests, rows, dropped : int
        See `ServingWindow`.
    shed : int
        Rows that a shadow had no time for.
    errors : Counter of int
        By status.
    latency : list of int
        Of requests that were answered, by bound.
    latency_us : int
        Of all of them together.
    sequence : int
        Number of the last row.
    marks : list of int, or memoryview of int64
        Where the number of the last row is kept for whoever comes after this process, at `place`.
    newest_event_us : int or None
        The newest event time among the rows that were logged.
    """

    model_id: str
    version: int
    role: str
    requests: int = 0
    rows: int = 0
    dropped: int = 0
    shed: int = 0
    errors: Counter[int] = field(default_factory=Counter)
    latency: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_US))
    latency_us: int = 0
    sequence: int = 0
    marks: list[int] | memoryview[int] = field(default_factory=lambda: [0])
    place: int = 0
    newest_event_us: int | None = None

    def fail(self, status: int) -> None:
        """Count a request that was not answered."""
        self.requests += 1
        self.errors[status] += 1

    def answer(self, rows: int, latency_us: int) -> int:
        """Count a request that was answered, and return the number of its first row."""
        first = self.sequence + 1
        self.requests += 1
        self.rows += rows
        self.latency[find_bound(latency_us)] += 1
        self.latency_us += latency_us
        self.marks[self.place] = self.sequence = first + rows - 1
        return first
