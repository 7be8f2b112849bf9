"""Latencies as counts in fixed bounds: what several processes and minutes count adds up exactly.

What belongs here: the bounds, counting, and what can be said of counts. What does not: who counts.

A quantile is told as the upper bound of where it lies: at most an eighth too high, never too low.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil

# Twenty to a power of ten, from ten microseconds to a hundred seconds.
_PER_DECADE, _FIRST, _LAST = 20, 1, 8
BOUNDS_US: tuple[int, ...] = tuple(
    round(10 ** (n / _PER_DECADE)) for n in range(_FIRST * _PER_DECADE, _LAST * _PER_DECADE + 1)
)
# What is beyond the last bound is counted in it.
_BEFORE_LAST = len(BOUNDS_US) - 1


def find_bound(latency_us: int) -> int:
    """Return the place of the bound that a latency is counted in; what is longer than the last one counts there.

    Examples
    --------
    >>> BOUNDS_US[find_bound(10)], BOUNDS_US[find_bound(11)], BOUNDS_US[find_bound(10**12)]
    (10, 11, 100000000)
    """
    return bisect_left(BOUNDS_US, latency_us, 0, _BEFORE_LAST)


def histogram(counts: Sequence[int]) -> dict[int, int]:
    """Return the counts of all bounds, in their order, by upper bound in microseconds; those that are not 0."""
    return {bound: count for bound, count in zip(BOUNDS_US, counts, strict=True) if count}


def merge(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Return what several counted, together.

    Examples
    --------
    >>> merge([{10: 1, 13: 2}, {13: 1}])
    {10: 1, 13: 3}
    """
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def quantile_us(found: Mapping[int, int], share: float) -> int | None:
    """Return the bound below or at which a share of the latencies lies; None where there are none.

    Examples
    --------
    >>> quantile_us({100: 98, 1000: 2}, 0.5), quantile_us({100: 98, 1000: 2}, 0.99), quantile_us({}, 0.5)
    (100, 1000, None)
    """
    wanted, seen = ceil(share * sum(found.values())), 0
    for bound, count in sorted(found.items()):
        seen += count
        if seen >= wanted:
            return bound
    return None
