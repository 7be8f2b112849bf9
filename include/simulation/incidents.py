"""Incidents: what goes wrong in the shop or on the way from it, by date.

What belongs here: which kinds there are, what each means, and reading one from text. What does not:
carrying it out, which is `shop` (what customers do) and `deliveries` (what arrives, and when).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from include import partitions
from include.errors import UsageError, nearest

IncidentKind = Literal[
    "price_drift", "churn_drift", "campaign", "unit_error", "missing_customers", "renamed_column",
    "late_rows", "corrections", "missing_day", "double_delivery",
]  # fmt: skip

_TEXT = re.compile(
    r"(?P<kind>[a-z_]+)@(?P<day>[0-9-]+)(\+(?P<after>\d{1,9}))?(\*(?P<size>\d{1,9}(\.\d{1,9})?))?",
)


@dataclass(frozen=True)
class _Meaning:
    told: str
    mended: str = ""
    later: str = ""
    size: float | None = None
    # A million: pence in a currency that has thousands. Nobody's file is further off.
    size_max: float = 1e6
    after_days: int | None = None
    is_share: bool = False
    lasts: bool = False


MEANINGS: dict[IncidentKind, _Meaning] = {
    "price_drift": _Meaning("from that day on, prices times SIZE", size=2.0, lasts=True),
    "churn_drift": _Meaning(
        "from that day on, after each order at least a SIZE share leaves, the loyal too",
        size=0.1,
        is_share=True,
        lasts=True,
    ),
    "campaign": _Meaning("from that day on, SIZE times as many new customers", size=10.0, size_max=1000.0, lasts=True),
    "unit_error": _Meaning(
        "that day's prices arrive times SIZE",
        mended="right ones DAYS later",
        later="the right prices of DAY arrive",
        size=100.0,
        after_days=0,
    ),
    "missing_customers": _Meaning(
        "a SIZE share of that day's rows names no customer",
        mended="right ones DAYS later",
        later="the rows of DAY that named no customer arrive with one",
        size=0.5,
        after_days=0,
        is_share=True,
    ),
    "renamed_column": _Meaning(
        "that day's file calls customer_id customer",
        mended="the right file DAYS later",
        later="the right file of DAY arrives",
        after_days=0,
    ),
    "late_rows": _Meaning(
        "a SIZE share of that day's rows comes DAYS later",
        later="the late rows of DAY arrive",
        size=0.2,
        after_days=2,
        is_share=True,
    ),
    "corrections": _Meaning(
        "a SIZE share of that day's rows is wrong, and corrected DAYS later",
        later="the corrections of DAY arrive",
        size=0.1,
        after_days=2,
        is_share=True,
    ),
    "missing_day": _Meaning("that day's delivery comes DAYS later", later="the delivery of DAY arrives", after_days=2),
    "double_delivery": _Meaning(
        "that day's rows come again DAYS later",
        later="the rows of DAY arrive once more",
        after_days=0,
    ),
}


@dataclass(frozen=True)
class Incident:
    """One incident.

    Attributes
    ----------
    kind : str
        One of `MEANINGS`.
    day : str
        Partition key: the day that is concerned, or the first one.
    after_days : int
        How much later it is put right, or arrives; 0 for never, or for at once.
    size : float
        A factor, or a share of rows.
    """

    kind: IncidentKind
    day: str
    after_days: int
    size: float

    @property
    def lasts(self) -> bool:
        """Whether it goes on from its day to the end."""
        return MEANINGS[self.kind].lasts

    @property
    def told_later(self) -> str:
        """What happens `after_days` later, in words."""
        return MEANINGS[self.kind].later.replace("DAY", self.day)

    def __str__(self) -> str:
        """Say what happens, in words."""
        meaning = MEANINGS[self.kind]
        days = {0: "the same night", 1: "a day later"}.get(self.after_days, f"{self.after_days} days later")
        told = f"{meaning.told}; {meaning.mended}" if meaning.mended and self.after_days else meaning.told
        share = told.replace("a SIZE share", f"{self.size:.0%}")
        return share.replace("SIZE", f"{self.size:g}").replace("DAYS later", days)


def parse_incident(text: str) -> Incident:
    """Read an incident from ``KIND@DATE[+DAYS][*SIZE]``.

    Raises
    ------
    UsageError
        If it is not of that form, or a part isn't allowed for its kind.

    Examples
    --------
    >>> parse_incident("late_rows@2026-03-20+3*0.5")
    Incident(kind='late_rows', day='2026-03-20', after_days=3, size=0.5)
    >>> str(parse_incident("late_rows@2026-03-20+1*0.5"))
    "50% of that day's rows comes a day later"
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError(f"incident {text!r} is not KIND@DATE[+DAYS][*SIZE], e.g. late_rows@2026-03-20+3*0.5")
    kind = _find_kind(text, found["kind"])
    meaning, day = MEANINGS[kind], partitions.key_of(partitions.parse(found["day"]))
    for part, given, usual in (("+DAYS", found["after"], meaning.after_days), ("*SIZE", found["size"], meaning.size)):
        if given is not None and usual is None:
            raise UsageError(f"incident {text!r}: {kind} has no {part}; it means: {meaning.told}")
    after = int(found["after"] or meaning.after_days or 0)
    size = float(found["size"] or meaning.size or 0)
    return _checked(text, Incident(kind, day, after, size))


def _find_kind(text: str, name: str) -> IncidentKind:
    for known in MEANINGS:
        if known == name:
            return known
    raise UsageError(
        f"incident {text!r}: kind {name!r} is not known; allowed: {', '.join(MEANINGS)}{nearest(name, MEANINGS)}"
    )


def _checked(text: str, incident: Incident) -> Incident:
    meaning = MEANINGS[incident.kind]
    if incident.kind in ("late_rows", "corrections", "missing_day") and incident.after_days < 1:
        raise UsageError(f"incident {text!r}: +DAYS must be at least 1; it means: {meaning.told}")
    if meaning.is_share and not 0 < incident.size < 1:
        raise UsageError(f"incident {text!r}: *SIZE must be above 0 and below 1; it means: {meaning.told}")
    if meaning.size is not None and not 0 < incident.size <= meaning.size_max:
        raise UsageError(
            f"incident {text!r}: *SIZE must be above 0 and at most {meaning.size_max:,.0f}; it means: {meaning.told}"
        )
    return incident
