"""What a process of the online service answered in a minute, and several of those together.

What belongs here: the value and its sum. What does not: counting (``serving``), and keeping (``adapters.state``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from include.monitoring.latency_histogram import merge


@dataclass(frozen=True)
class ServingWindow:
    """Requests to one version in one role, that one process answered in a minute.

    Attributes
    ----------
    process : str
        Which one: host, process id and start.
    model_id : str
    model_version : int
        0 where no version answered.
    role : str
        ``champion`` or ``challenger``; ``shadow`` of a challenger that scored unseen; ``none`` where no version
        answered.
    started_at, ended_at : datetime
        Aware; half-open.
    requests : int
        Of a request whose rows two versions answered each has one.
    rows : int
    errors : mapping of int to int
        Requests that were not answered with 200, by status.
    latency : mapping of int to int
        Requests that were, by upper bound of their microseconds: see `latency_histogram`.
    first_sequence, last_sequence : int or None
        Numbers of its rows in the log; None without rows.
    dropped : int
        Rows that were answered and did not get into the log, as it was full.
    """

    process: str
    model_id: str
    model_version: int
    role: str
    started_at: datetime
    ended_at: datetime
    requests: int
    rows: int
    errors: Mapping[int, int] = field(default_factory=dict)
    latency: Mapping[int, int] = field(default_factory=dict)
    first_sequence: int | None = None
    last_sequence: int | None = None
    dropped: int = 0


@dataclass(frozen=True)
class ServedTogether:
    """The sum of windows: attributes are theirs.

    Attributes
    ----------
    processes : int
        How many processes counted.
    """

    processes: int
    requests: int
    rows: int
    errors: Mapping[int, int]
    latency: Mapping[int, int]
    dropped: int


def add_up(windows: Iterable[ServingWindow]) -> ServedTogether:
    """Return windows as one: counts add up exactly, whichever process and minute they are of.

    Examples
    --------
    >>> at = datetime(2026, 3, 1)
    >>> one = ServingWindow("a", "churn", 1, "champion", at, at, 3, 4, {422: 1}, {100: 2})
    >>> other = ServingWindow("b", "churn", 1, "champion", at, at, 1, 1, {}, {100: 1})
    >>> add_up([one, other])
    ServedTogether(processes=2, requests=4, rows=5, errors={422: 1}, latency={100: 3}, dropped=0)
    """
    each = list(windows)
    errors: Counter[int] = Counter()
    for window in each:
        errors.update(window.errors)
    return ServedTogether(
        processes=len({window.process for window in each}),
        requests=sum(window.requests for window in each),
        rows=sum(window.rows for window in each),
        errors=dict(sorted(errors.items())),
        latency=merge(window.latency for window in each),
        dropped=sum(window.dropped for window in each),
    )
