"""Which few of many rows bring something about.

What belongs here: leaving out rows as long as it still happens. What does not: what happens, which the caller asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def smallest_cause(rows: Sequence[_T], happens: Callable[[Sequence[_T]], bool], *, tries: int) -> list[_T]:
    """Return rows that bring it about and of which none can be left out.

    Parameters
    ----------
    rows : sequence
        Rows of which it is known that they bring it about.
    happens : callable
        Whether some of them, in their order, do.
    tries : int
        How often that is asked at most; where they are used up, rows are left that may not matter.

    Notes
    -----
    Halves are left out first, then ever smaller parts, down to single rows: of n rows of which a few matter it is asked
    about log2(n) times for each of those.

    Examples
    --------
    >>> smallest_cause(range(1000), lambda some: sum(some) > 1500, tries=100)
    [998, 999]
    >>> smallest_cause(range(1000), lambda some: 17 in some and 400 in some, tries=100)
    [17, 400]
    """
    kept, size = list(rows), len(rows)
    while size > 1:
        size = (size + 1) // 2
        start = 0
        while start < len(kept) and tries:
            fewer = kept[:start] + kept[start + size :]
            tries -= 1
            if fewer and happens(fewer):
                kept = fewer
            else:
                start += size
    return kept
