"""Columns computed side by side.

What belongs here: when threads are worth their start, and how many there are. What does not: what is computed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Column = TypeVar("Column")
Made = TypeVar("Made")

# So many values take a few milliseconds to count, and threads a tenth of one to start.
_WORTH_THREADS = 1_000_000
# Each holds a sorted copy of its column.
_MAX_THREADS = 4


def side_by_side(compute: Callable[[Column], Made], columns: Iterable[Column], *, values: int) -> list[Made]:
    """Return what is computed of each column, in order; of many values, in a thread for each core, up to four.

    Parameters
    ----------
    compute : callable
        Shares nothing that it changes between columns.
    columns : iterable
    values : int
        Of all columns together.

    Notes
    -----
    Whatever `compute` raises is raised here, once the columns under way are done.

    Examples
    --------
    >>> side_by_side(len, ["ab", "c"], values=3)
    [2, 1]
    """
    threads = min(os.cpu_count() or 1, _MAX_THREADS) if values >= _WORTH_THREADS else 1
    if threads == 1:
        return [compute(column) for column in columns]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(compute, columns))
