"""Work on a sequence that goes on in a thread while the next of it is read.

What belongs here: that one way to overlap. What does not: the work, which releases Python's lock where it takes long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(make: Callable[[Item], Made], items: Iterable[Item], *, threads: int = 1) -> Iterator[Made]:
    """Yield what `make` makes of each item, in order; one more than there are threads is held at a time.

    Parameters
    ----------
    make : callable
        Runs in a thread of its own; with one thread, on one item after the other.
    items : iterable
        Read in the caller's thread, no further than needed.
    threads : int
        At least 1.

    Notes
    -----
    Whatever raises, `make` or `items`, raises here, and nothing runs on then.

    Examples
    --------
    >>> list(ahead(str.upper, ["a", "b", "c"]))
    ['A', 'B', 'C']
    """
    pending: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(make, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
