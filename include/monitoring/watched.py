"""What is watched of a source day by day, such as its prices: a day in another unit stands out.

What belongs here: values by day in, checks out. What does not: which columns are watched, which a source's spec says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

    Days without rows are absent. Those with 28 days before them are judged. `rows` says of how many rows each value is.
    """

    name: str
    by_day: Mapping[str, float]
    rows: Mapping[str, int] = field(default_factory=dict)


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
        check = _judge(policy, watched, day, before)
        if check.verdict == "breach":
            del usual[day]
        if check.verdict == "breach" or day == max(values):
            yield check


def _before(usual: Mapping[str, float], day: str) -> dict[str, float]:
    since = partitions.shift(day, -REFERENCE_DAYS)
    return {other: value for other, value in usual.items() if since <= other < day}


def _judge(policy: MonitoringSpec, watched: Watched, day: str, before: Mapping[str, float]) -> Check:
    name, value, usual, most = watched.name, watched.by_day[day], median(before.values()), policy.price_ratio_max
    rows, reference_rows = watched.rows.get(day, 0), sum(watched.rows.get(other, 0) for other in before)
    check = f"{name} against the {REFERENCE_DAYS} days before"
    if not usual:
        why = f"the {name} of the {REFERENCE_DAYS} days before is 0, of which nothing is a multiple"
        return Check("data_quality", check, None, most, "unknown", None, None, 0.0, reference_rows, rows, why)
    ratio = value / usual
    told = (
        f"the {name} of {day} is {value:.2f}, {ratio:.3g} times the {usual:.2f} of the "
        f"{REFERENCE_DAYS} days before; have the day delivered anew, with a later received_at"
    )
    return data_check(
        check, ratio, most if ratio >= 1 else 1 / most, rows, told, not 1 / most <= ratio <= most,
        reference=usual, reference_rows=reference_rows,
    )  # fmt: skip
