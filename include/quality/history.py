"""Until which day a history has arrived.

What belongs here: what the days of a file say of that. What does not: nights that are delivered one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from statistics import median

from include import partitions

# The last days of a file are held against so many days with rows before them.
_USUAL_DAYS = 28
_FEWEST = 0.1


def arrived_until(rows_by_day: Mapping[date, int], *, over: str) -> str | None:
    """Return the last day that has arrived by a history: the last one that has at least a tenth of the usual rows.

    A mistyped date of a single row, days after all others, must not say that those between have arrived.

    Parameters
    ----------
    rows_by_day : mapping of date to int
        The rows that were taken, by day of the deliverer's clock.
    over : str
        The last day that was over: of a later one the file has a part, however many rows.

    Returns
    -------
    str or None
        The day; None where no row was taken.

    Examples
    --------
    >>> arrived_until({date(2026, 3, 1): 100, date(2026, 3, 2): 90, date(2026, 3, 9): 1}, over="2026-03-31")
    '2026-03-02'
    >>> few = {date(2026, 3, 1): 1, date(2026, 3, 9): 1}
    >>> arrived_until(few, over="2026-03-31"), arrived_until(few, over="2026-03-08")
    ('2026-03-09', '2026-03-08')
    """
    days = sorted(rows_by_day)
    while len(days) > 1:
        usual = median(rows_by_day[day] for day in days[-1 - _USUAL_DAYS : -1])
        if rows_by_day[days[-1]] >= _FEWEST * usual:
            break
        days.pop()
    return min(partitions.key_of(days[-1]), over) if days else None
