"""The night's data, judged before its drift: what is broken isn't drift.

What belongs here: row account, missing values and volume against the spec. What does not: shifts
of what did arrive whole (``drift``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from include import partitions
from include.monitoring.drift import FeatureDrift
from include.specs.models import MonitoringSpec

# A day's prices are compared with those of so many days before it, of which some must have sales.
PRICE_REFERENCE_DAYS = 28
_PRICE_REFERENCE_MIN = 7

QualityStatus = Literal["ok", "incident", "unknown"]


@dataclass(frozen=True)
class Delivery:
    """A night's row account: delivered = published + quarantined."""

    rows_delivered: int
    rows_published: int
    rows_quarantined: int


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
    delivery: Delivery | None = None,
    median_prices: Mapping[str, float] | None = None,
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
    delivery : Delivery or None
        The raw partition's account; None when nothing was delivered, as on a shop's closing day.
    median_prices : mapping of str to float, optional
        The median unit price of the sales of each recent day, the night's included, in currency. Days without
        sales are absent. Those with 28 days before them are judged.
    nullable : collection of str
        Features that may be null by their definition. That more of them are is drift, which has a bin for
        it, not a fault of the data.

    Returns
    -------
    DataQuality

    Notes
    -----
    A feature may miss ``missing_max`` more of its values than the reference did: a column that is
    half empty by nature is no incident. A day whose median price is ``price_ratio_max`` times that of the 28
    days before it, or a fraction as small, was delivered in another unit. Until it is corrected, every night
    whose features still see it is an incident.
    """
    if not rows_scored and (nothing := _explain_nothing(previous_rows_scored, delivery)):
        return DataQuality("unknown", (nothing,))
    findings = (
        *_account_findings(policy, delivery),
        *_volume_findings(policy, rows_scored, previous_rows_scored),
        *_missing_findings(policy, [feature for feature in drift if feature.feature not in nullable]),
        *_price_findings(policy, median_prices or {}),
    )
    return DataQuality("incident" if findings else "ok", findings)


def _explain_nothing(previous_rows_scored: int | None, delivery: Delivery | None) -> str | None:
    """Say why a night on which nothing was scored can't be judged; None where it can."""
    if delivery is None:
        return None if previous_rows_scored else "nothing was scored or delivered, and nothing the night before"
    return None if delivery.rows_delivered else "the day was delivered empty, and nobody was there to score"


def _account_findings(policy: MonitoringSpec, delivery: Delivery | None) -> Iterator[str]:
    if delivery is None or not delivery.rows_delivered:
        return
    accounted = delivery.rows_published + delivery.rows_quarantined
    if accounted != delivery.rows_delivered:
        yield (
            f"{delivery.rows_delivered} rows were delivered but {accounted} are accounted for "
            f"({delivery.rows_published} published, {delivery.rows_quarantined} quarantined)"
        )
    fraction = delivery.rows_quarantined / delivery.rows_delivered
    if fraction > policy.quarantined_max:
        yield (
            f"{fraction:.1%} of {delivery.rows_delivered} delivered rows were quarantined, "
            f"above {policy.quarantined_max:.1%}"
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


def _price_findings(policy: MonitoringSpec, medians: Mapping[str, float]) -> Iterator[str]:
    broken: set[str] = set()
    for day in sorted(medians):
        before = partitions.shift(day, -PRICE_REFERENCE_DAYS)
        if before < min(medians):
            continue
        # A broken day is no reference for the days after it.
        reference = [price for other, price in medians.items() if before <= other < day and other not in broken]
        if len(reference) < _PRICE_REFERENCE_MIN:
            continue
        usual = median(reference)
        ratio = medians[day] / usual if usual else 1.0
        if not 1 / policy.price_ratio_max <= ratio <= policy.price_ratio_max:
            broken.add(day)
            yield (
                f"the sales of {day} have a median unit price of {medians[day]:.2f}, {ratio:.3g} times the {usual:.2f} "
                f"of the {PRICE_REFERENCE_DAYS} days before; have the day delivered anew, with a later received_at"
            )
