"""How many rows a night has, against those that are usual on its day of the week.

What belongs here: counts by day in, one check out. What does not: counting, and what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import median

from include import partitions
from include.monitoring.check import Check

# A day is held against those of so many days before it. A level that stands for two weeks of them is the new normal.
REFERENCE_DAYS = 28
# Counts of so many days are asked for: the reference of the days that are a reference.
HISTORY_DAYS = 2 * REFERENCE_DAYS
_WEEKDAYS_MIN = 3
_SIGMAS = 3.0


@dataclass(frozen=True)
class VolumeLimits:
    """The least and the most that a night may have, as a ratio to what is usual, and from what on it is told at all."""

    least: float
    most: float
    told: float = math.inf


def judge_volume(name: str, by_day: Mapping[str, int], night: str, limits: VolumeLimits) -> Check:
    """Judge how many rows a night has.

    Parameters
    ----------
    name : str
        What is counted, e.g. ``rows scored``.
    by_day : mapping of str to int
        Rows of the night and of days before it, of which 56 are looked at; a day that is not known is absent, one
        without rows is 0.
    night : str
    limits : VolumeLimits

    Returns
    -------
    Check
        Its value is the ratio to what is usual: the median of the same day of the week in the 28 days before. Where
        three of that weekday are not known yet, it is that of all those days, or the weekday's last one, or that of
        the days without those that broke this rule, if the night is like it. A day that its own weekday was against is
        usual for nothing, so that neither an outage nor its recovery is taken for the other. ``unknown`` where nothing
        is usual yet.

    Notes
    -----
    A ratio outside the limits is a breach where the count is also three standard deviations of a Poisson count away: of
    four rows, one is not half of what is usual but chance. Too many are a breach where they came at once, beyond the
    limit against the day before too: a file twice, or a join that multiplies. What has grown day by day is a season: it
    is told.

    Examples
    --------
    >>> days = {"2026-03-01": 1000, "2026-03-02": 980, "2026-03-03": 1}
    >>> judge_volume("rows delivered", days, "2026-03-03", VolumeLimits(0.5, 2)).reason
    'rows delivered: 1 is 0.00 times the 990 that are usual, outside 0.5 to 2'
    """
    kept: dict[str, int] = {}
    broken: set[str] = set()
    first = partitions.shift(night, -HISTORY_DAYS)
    for day in sorted(day for day in by_day if first <= day < night):
        found = _judge_day(name, by_day[day], day, kept, broken, limits)
        if found.verdict == "breach" and len(_alike(kept, day)) >= _WEEKDAYS_MIN:
            continue
        kept[day] = by_day[day]
        if found.verdict == "breach":
            broken.add(day)
    return _judge_day(name, by_day[night], night, kept, broken, limits)


def _judge_day(
    name: str, rows: int, day: str, kept: Mapping[str, int], broken: Collection[str], limits: VolumeLimits
) -> Check:
    """Judge a day by the days before it that are kept, of which some were broken while their weekday was not known."""
    alike, near = _alike(kept, day), _near(kept, day)
    if len(alike) >= _WEEKDAYS_MIN:
        return _judge(name, rows, median(alike), kept, limits)
    if alike and _judge(name, rows, alike[-1], kept, limits).verdict != "breach":
        return _judge(name, rows, alike[-1], kept, limits)
    sound = [count for other, count in near.items() if other not in broken]
    if sound and _judge(name, rows, median(sound), kept, limits).verdict != "breach":
        return _judge(name, rows, median(sound), kept, limits)
    return _judge(name, rows, median(near.values()) if near else None, kept, limits)


def _near(kept: Mapping[str, int], night: str) -> dict[str, int]:
    before = partitions.shift(night, -REFERENCE_DAYS)
    return {day: rows for day, rows in kept.items() if day >= before}


def _alike(kept: Mapping[str, int], night: str) -> list[int]:
    return [rows for day, rows in _near(kept, night).items() if partitions.days_between(day, night) % 7 == 0]


def _judge(name: str, rows: int, usual: float | None, kept: Mapping[str, int], limits: VolumeLimits) -> Check:
    if not usual:
        why = "no day before it is known" if usual is None else "no rows are usual on its day of the week"
        return Check("data_quality", name, None, None, "unknown", current_rows=rows, reason=why)
    ratio = rows / usual
    words = _outside(rows, usual, kept[max(kept)], limits)
    is_far = abs(rows - usual) > _SIGMAS * math.sqrt(usual)
    is_told = is_far and (words is not None or ratio > min(limits.told, limits.most))
    told = words or f"{kept[max(kept)]} the time before"
    return Check(
        "data_quality",
        name,
        ratio,
        limits.least if ratio < 1 else limits.most,
        "breach" if is_far and words is not None else "ok",
        reference=float(usual),
        reference_rows=round(usual),
        current_rows=rows,
        reason=f"{name}: {rows} is {ratio:.2f} times the {usual:g} that are usual, {told}" if is_told else None,
    )


def _outside(rows: int, usual: float, last: int, limits: VolumeLimits) -> str | None:
    """Say that a count is outside of its limits; None where it is not, or has grown from the one before it."""
    ratio = rows / usual
    if limits.least <= ratio <= limits.most or 1 < ratio <= limits.most * last / usual:
        return None
    return f"outside {limits.least:g} to {limits.most:g}"
