"""Say whether a day of a source, and every day before it, has been delivered.

What belongs here: one look at the lake. What does not: waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.adapters.deployment import Deployment
from include.adapters.sources.deliveries import delivered_days, first_gap
from include.specs.sources import load_source


@dataclass(frozen=True)
class DayStatus:
    """What is known of a day.

    Attributes
    ----------
    status : {"delivered", "missing", "not_arrived"}
        ``missing``: a later day is there, this one or an earlier one isn't. ``not_arrived``: nothing later is there.
    day : str
        The first day that isn't there, or the day asked for.
    """

    status: Literal["delivered", "missing", "not_arrived"]
    day: str


def find_day(source: str, partition: str) -> DayStatus:
    """Look for a day.

    A day counts as delivered when no day before it is missing: features look back, and would be
    built without the rows of the gap.

    Parameters
    ----------
    source : str
        Its name.
    partition : str
        The day.
    """
    delivered = delivered_days(Deployment.from_env().lake, load_source(source))
    gap = first_gap(delivered, partition) if delivered else partition
    if gap is None:
        return DayStatus("delivered", partition)
    return DayStatus("missing" if delivered and delivered[-1] > gap else "not_arrived", gap)
