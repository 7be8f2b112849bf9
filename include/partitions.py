"""The partition: a UTC day, the only clock of this project.

What belongs here: keys, instants and ranges of partitions, and how a task finds its own.
What does not: the wall clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.errors import UsageError

_KEY = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse(key: str) -> date:
    """Return the UTC day of a partition key.

    Parameters
    ----------
    key : str
        ``YYYY-MM-DD``.

    Raises
    ------
    UsageError
        If `key` isn't a day of the calendar in that form.

    Examples
    --------
    >>> parse("2011-12-09")
    datetime.date(2011, 12, 9)
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise UsageError(f"partition {key!r} is not a day; write YYYY-MM-DD, e.g. 2026-03-01")
    try:
        return date.fromisoformat(key)
    except ValueError as err:
        raise UsageError(f"partition {key!r} is not a day of the calendar ({err})") from err


def is_key(text: str) -> bool:
    """Say whether a text is the key of a partition.

    Examples
    --------
    >>> is_key("2011-12-09"), is_key("2011-13-09")
    (True, False)
    """
    try:
        parse(text)
    except UsageError:
        return False
    return True


def key_of(day: date) -> str:
    """Return the key of a UTC day."""
    return day.isoformat()


def shift(key: str, days: int) -> str:
    """Return the key `days` later (earlier when negative).

    Raises
    ------
    UsageError
        If the calendar has no such day.

    Examples
    --------
    >>> shift("2011-12-31", 1)
    '2012-01-01'
    """
    try:
        return key_of(parse(key) + timedelta(days=days))
    except OverflowError as err:
        raise UsageError(f"{key} and {days:+,d} days is no day of the calendar (0001-01-01 … 9999-12-31)") from err


def span(start: str, end: str) -> list[str]:
    """Return the keys from `start` to `end`, both included, in order.

    Raises
    ------
    UsageError
        If `end` is before `start`.
    """
    require_order(start, end)
    first = parse(start)
    return [key_of(first + timedelta(days=n)) for n in range(days_between(start, end) + 1)]


def require_order(start: str, end: str) -> None:
    """Refuse a range that ends before it starts.

    Raises
    ------
    UsageError
        If `end` is before `start`.
    """
    if days_between(start, end) < 0:
        raise UsageError(f"the range ends ({end}) before it starts ({start}); swap them")


def consecutive(keys: Iterable[str]) -> list[list[str]]:
    """Return the keys in order, in runs of days that follow one another.

    Examples
    --------
    >>> consecutive(["2026-03-02", "2026-02-28", "2026-03-01", "2026-03-04"])
    [['2026-02-28', '2026-03-01', '2026-03-02'], ['2026-03-04']]
    """
    runs: list[list[str]] = []
    for key in sorted(set(keys)):
        if runs and shift(runs[-1][-1], 1) == key:
            runs[-1].append(key)
        else:
            runs.append([key])
    return runs


def days_between(start: str, end: str) -> int:
    """Return the number of days from `start` to `end`; negative when `end` is earlier."""
    return (parse(end) - parse(start)).days


def start_of(key: str) -> datetime:
    """Return the first instant of the partition, aware, UTC."""
    day = parse(key)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(key: str) -> datetime:
    """Return the instant at which the partition is over: 00:00Z of the next day.

    The feature row of a partition stands at this instant.

    Raises
    ------
    UsageError
        If the calendar has no next day.
    """
    return start_of(shift(key, 1))


def resolve(context: Mapping[str, Any]) -> str:
    """Return the partition key that an Airflow task works on.

    It is named by the run's partition key, the extra of a triggering asset event, or the Param ``partition``; those
    that name one name the same.

    Parameters
    ----------
    context : mapping
        An Airflow task context, or any mapping with the same entries.

    Raises
    ------
    UsageError
        If none of the three is there, one isn't a day, or two differ.
    """
    named = {key_of(parse(key)) for key in _candidates(context) if key}
    if not named:
        raise UsageError(
            "this run has no partition: trigger it with a partition key (YYYY-MM-DD), or set the Param 'partition'"
        )
    if len(named) > 1:
        raise UsageError(
            f"this run names several days ({', '.join(sorted(named))}) by its partition key, its event and its Param "
            "'partition': name one"
        )
    return named.pop()


def _candidates(context: Mapping[str, Any]) -> Iterator[str | None]:
    yield getattr(context.get("dag_run"), "partition_key", None)
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            yield (event.extra or {}).get("partition")
    yield (context.get("params") or {}).get("partition")
