"""The night's data, judged before its drift: what is broken isn't drift.

What belongs here: row account, missing values and volume against the spec. What does not: shifts
of what did arrive whole (``drift``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Literal

from include import partitions
from include.monitoring.drift import FeatureDrift
from include.specs.model_sections import MonitoringSpec

# What is watched of a day is compared with that of so many days before it, of which some must have rows.
REFERENCE_DAYS = 28
_REFERENCE_MIN = 7

QualityStatus = Literal["ok", "incident", "unknown"]


@dataclass(frozen=True)
class Delivery:
    """A night's row account: delivered = published + quarantined.

    Of the last, ``rejected_corrections`` are of a key that the table has: it keeps the row that was to be corrected.
    """

    rows_delivered: int
    rows_published: int
    rows_quarantined: int
    rejected_corrections: int = 0


@dataclass(frozen=True)
class Watched:
    """What is watched of a source: its name, and its value on each recent day, the night's included.

    Days without rows are absent. Those with 28 days before them are judged.
    """

    name: str
    by_day: Mapping[str, float]


@dataclass(frozen=True)
class DataQuality:
    """The judgement of one night.

    Attributes
    ----------
    status : {"ok", "incident", "unknown"}
        ``unknown`` when nothing was scored and nothing was expected.
    reasons : tuple of str
        One sentence per finding; empty when all is well.
    """

    status: QualityStatus
    reasons: tuple[str, ...] = ()


def judge_data_quality(
    policy: MonitoringSpec,
    *,
    rows_scored: int,
    previous_rows_scored: int | None,
    drift: Sequence[FeatureDrift],
    deliveries: Mapping[str, Delivery | None] | None = None,
    watched: Sequence[Watched] = (),
    nullable: Collection[str] = (),
) -> DataQuality:
    """Judge one night.

    Parameters
    ----------
    policy : MonitoringSpec
        The limits.
    rows_scored : int
        Entities scored for the partition.
    previous_rows_scored : int or None
        Those of the monitored night before; None on the first one, or 0, leaves volume unjudged.
    drift : sequence of FeatureDrift
        The night's features, for their missing fractions.
    deliveries : mapping of str to Delivery or None, optional
        The night's account of each source; None where nothing was delivered, as on a shop's closing day.
    watched : sequence of Watched
    nullable : collection of str
        Features that may be null by their definition. That more of them are is drift, which has a bin for
        it, not a fault of the data.

    Returns
    -------
    DataQuality

    Notes
    -----
    A feature may miss ``missing_max`` more of its values than the reference did: a column that is
    half empty by nature is no incident. A day on which what is watched is ``price_ratio_max`` times that
    of the 28 days before it, or a fraction as small, was delivered in another unit. Until it is corrected, every night
    whose features still see it is an incident.
    """
    delivered = _delivered(deliveries or {})
    if not rows_scored and (nothing := _explain_nothing(previous_rows_scored, delivered.values())):
        return DataQuality("unknown", (nothing,))
    findings = (
        *chain.from_iterable(_account_findings(policy, source, found) for source, found in delivered.items()),
        *_volume_findings(policy, rows_scored, previous_rows_scored),
        *_missing_findings(policy, [feature for feature in drift if feature.feature not in nullable]),
        *chain.from_iterable(_watched_findings(policy, each) for each in watched),
    )
    return DataQuality("incident" if findings else "ok", findings)


def _delivered(deliveries: Mapping[str, Delivery | None]) -> dict[str, Delivery]:
    return {source: found for source, found in deliveries.items() if found is not None}


def _explain_nothing(previous_rows_scored: int | None, delivered: Collection[Delivery]) -> str | None:
    """Say why a night on which nothing was scored can't be judged; None where it can."""
    if not delivered:
        return None if previous_rows_scored else "nothing was scored or delivered, and nothing the night before"
    return (
        None
        if any(found.rows_delivered for found in delivered)
        else "the day was delivered empty, and nobody was there to score"
    )


def _account_findings(policy: MonitoringSpec, source: str, delivery: Delivery) -> Iterator[str]:
    if not delivery.rows_delivered:
        return
    accounted = delivery.rows_published + delivery.rows_quarantined
    if accounted != delivery.rows_delivered:
        yield (
            f"{delivery.rows_delivered} rows of {source} were delivered but {accounted} are accounted for "
            f"({delivery.rows_published} published, {delivery.rows_quarantined} quarantined)"
        )
    fraction = delivery.rows_quarantined / delivery.rows_delivered
    if fraction > policy.quarantined_max:
        yield (
            f"{fraction:.1%} of {delivery.rows_delivered} delivered rows of {source} were quarantined, "
            f"above {policy.quarantined_max:.1%}"
        )
    if delivery.rejected_corrections:
        yield (
            f"{delivery.rejected_corrections} delivered rows of {source} were to correct others, but broke a rule: "
            "what they were to correct stands; correct them and deliver them again"
        )


def _volume_findings(policy: MonitoringSpec, rows: int, previous: int | None) -> Iterator[str]:
    if not previous:
        return
    ratio = rows / previous
    if not policy.volume_ratio_min <= ratio <= policy.volume_ratio_max:
        yield (
            f"{rows} rows were scored after {previous} the night before: the ratio {ratio:.2f} is outside "
            f"{policy.volume_ratio_min:g} to {policy.volume_ratio_max:g}"
        )


def _missing_findings(policy: MonitoringSpec, drift: Sequence[FeatureDrift]) -> Iterator[str]:
    for feature in drift:
        if feature.missing_current is None:
            continue
        usual = feature.missing_reference or 0.0
        if feature.missing_current - usual > policy.missing_max:
            yield (
                f"{feature.feature} is missing in {feature.missing_current:.1%} of rows, more than "
                f"{policy.missing_max:.1%} above the reference's {usual:.1%}"
            )


def _watched_findings(policy: MonitoringSpec, watched: Watched) -> Iterator[str]:
    broken: set[str] = set()
    values = watched.by_day
    for day in sorted(values):
        before = partitions.shift(day, -REFERENCE_DAYS)
        if before < min(values):
            continue
        # A broken day is no reference for the days after it.
        reference = [value for other, value in values.items() if before <= other < day and other not in broken]
        if len(reference) < _REFERENCE_MIN:
            continue
        usual = median(reference)
        ratio = values[day] / usual if usual else 1.0
        if not 1 / policy.price_ratio_max <= ratio <= policy.price_ratio_max:
            broken.add(day)
            yield (
                f"the {watched.name} of {day} is {values[day]:.2f}, {ratio:.3g} times the {usual:.2f} of the "
                f"{REFERENCE_DAYS} days before; have the day delivered anew, with a later received_at"
            )
