"""What is watched of a source day by day, such as its prices: a day in another unit stands out.

What belongs here: values by day in, checks out. What does not: which columns are watched, which a source's spec says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from include import partitions
from include.monitoring.check import Check, data_check
from include.monitoring.volume import REFERENCE_DAYS
from include.specs.model_sections import MonitoringSpec

# Of the days before it that a day is held against, some must have rows.
_REFERENCE_MIN = 7


@dataclass(frozen=True)
class Watched:
    """What is watched of a source: its name, and its value on each recent day, the night's included.

    Days without rows are absent. Those with 28 days before them are judged.
    """

    name: str
    by_day: Mapping[str, float]


def judge_watched(policy: MonitoringSpec, watched: Watched) -> Iterator[Check]:
    """Yield a check for each day that is in another unit, and one for the last day.

    A broken day is no reference for the days after it.
    """
    usual: dict[str, float] = {}
    values = watched.by_day
    for day in sorted(values):
        before = _before(usual, day)
        usual[day] = values[day]
        if partitions.shift(day, -REFERENCE_DAYS) < min(values) or len(before) < _REFERENCE_MIN:
            continue
        check = _judge(policy, watched.name, day, values[day], median(before))
        if check.verdict == "breach":
            del usual[day]
        if check.verdict == "breach" or day == max(values):
            yield check


def _before(usual: Mapping[str, float], day: str) -> list[float]:
    since = partitions.shift(day, -REFERENCE_DAYS)
    return [value for other, value in usual.items() if since <= other < day]


def _judge(policy: MonitoringSpec, name: str, day: str, value: float, usual: float) -> Check:
    ratio, most = value / usual if usual else 1.0, policy.price_ratio_max
    told = (
        f"the {name} of {day} is {value:.2f}, {ratio:.3g} times the {usual:.2f} of the "
        f"{REFERENCE_DAYS} days before; have the day delivered anew, with a later received_at"
    )
    is_breach = not 1 / most <= ratio <= most
    return data_check(f"{name} against the {REFERENCE_DAYS} days before", ratio, most, 0, told, is_breach)
