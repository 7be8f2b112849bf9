"""The night's data, judged before its drift: what is broken isn't drift.

What belongs here: row account, missing values and volume against the spec. What does not: shifts
of what did arrive whole (``drift``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, starmap
from typing import Literal

from include.monitoring.check import Check, data_check
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.shares import growth_interval, share_interval
from include.monitoring.volume import VolumeLimits, judge_volume
from include.monitoring.watched import Watched, judge_watched
from include.specs.model_sections import MonitoringSpec

QualityStatus = Literal["ok", "incident", "unknown"]

_DELIVERED, _LOST = "rows of {} delivered", "rows of {} lost"
_QUARANTINED, _REJECTED = "share of {} quarantined", "corrections of {} rejected"
_NOBODY = "nobody was there to score, and nothing says that anybody should have been"


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
class DataQuality:
    """The judgement of one night.

    Attributes
    ----------
    status : {"ok", "incident", "unknown"}
        ``unknown`` when nobody was scored and nothing says that anybody should have been.
    reasons : tuple of str
        One sentence per finding; empty when all is well.
    """

    status: QualityStatus
    reasons: tuple[str, ...] = ()


def judge_data_quality(
    policy: MonitoringSpec,
    *,
    night: str,
    rows_scored: Mapping[str, int],
    drift: Sequence[FeatureDrift],
    deliveries: Mapping[str, Delivery | None] | None = None,
    rows_delivered: Mapping[str, Mapping[str, int]] | None = None,
    watched: Sequence[Watched] = (),
    nullable: Collection[str] = (),
) -> tuple[DataQuality, tuple[Check, ...]]:
    """Judge one night.

    Parameters
    ----------
    policy : MonitoringSpec
        The limits.
    night : str
    rows_scored : mapping of str to int
        Entities scored for the night, and for the measured ones of the 56 days before it.
    drift : sequence of FeatureDrift
        The night's features, for their missing fractions.
    deliveries : mapping of str to Delivery or None, optional
        The night's account of each source; None where nothing was delivered, as on a shop's closing day.
    rows_delivered : mapping of str to mapping of str to int, optional
        Of each source, rows by the day that they were delivered for.
    watched : sequence of Watched
    nullable : collection of str
        Features that may be null by their definition. That more of them are is drift, which has a bin for
        it, not a fault of the data.

    Returns
    -------
    DataQuality, tuple of Check
        The judgement, and what it was judged by.

    Notes
    -----
    A feature may miss ``missing_max`` more of its values than the reference did: a column that is
    half empty by nature is no incident. A day on which what is watched is ``price_ratio_max`` times that
    of the 28 days before it, or a fraction as small, was delivered in another unit. Until it is corrected, every night
    whose features still see it is an incident.
    """
    delivered = {source: found for source, found in (deliveries or {}).items() if found is not None}
    checks = (
        *chain.from_iterable(starmap(partial(_account_checks, policy), delivered.items())),
        *judge_volumes(policy, night=night, rows_scored=rows_scored, rows_delivered=rows_delivered or {}),
        *_schema_checks(drift),
        *_missing_checks(policy, drift, nullable),
        *chain.from_iterable(map(partial(judge_watched, policy), watched)),
    )
    return quality_of(checks, rows_scored=rows_scored[night]), checks


def judge_volumes(
    policy: MonitoringSpec,
    *,
    night: str,
    rows_scored: Mapping[str, int],
    rows_delivered: Mapping[str, Mapping[str, int]],
) -> tuple[Check, ...]:
    """Judge how many rows a night has: those that were scored, and those that each source delivered.

    Parameters are those of `judge_data_quality`.
    """
    delivered = VolumeLimits(policy.delivered_ratio_min, policy.delivered_ratio_max, policy.volume_ratio_max)
    return (
        judge_volume("rows scored", rows_scored, night, VolumeLimits(policy.volume_ratio_min, policy.volume_ratio_max)),
        *(
            judge_volume(_DELIVERED.format(source), by_day, night, delivered)
            for source, by_day in rows_delivered.items()
            if night in by_day
        ),
    )


def with_volumes(checks: Sequence[Check], volumes: Sequence[Check]) -> tuple[Check, ...]:
    """Return a night's checks, those of its volume replaced."""
    judged = {volume.name: volume for volume in volumes}
    return tuple(judged.get(check.name, check) for check in checks)


def of_arrivals(checks: Sequence[Check], sources: Collection[str]) -> tuple[Check, ...]:
    """Return those of a night's checks that say how some sources came: how many of their rows, and how whole."""
    names = {form.format(source) for form in (_DELIVERED, _LOST, _QUARANTINED, _REJECTED) for source in sources}
    return tuple(check for check in checks if check.name in names)


def quality_of(checks: Sequence[Check], *, rows_scored: int) -> DataQuality:
    """Return what a night's checks say of its data."""
    findings = tuple(str(c.reason) for c in checks if c.watch == "data_quality" and c.verdict == "breach")
    if findings:
        return DataQuality("incident", findings)
    return DataQuality("ok") if rows_scored else DataQuality("unknown", (_NOBODY,))


def _account_checks(policy: MonitoringSpec, source: str, delivery: Delivery) -> Iterator[Check]:
    delivered = delivery.rows_delivered
    if not delivered:
        return
    accounted = delivery.rows_published + delivery.rows_quarantined
    told = (
        f"{delivered} rows of {source} were delivered but {accounted} are accounted for "
        f"({delivery.rows_published} published, {delivery.rows_quarantined} quarantined)"
    )
    yield data_check(_LOST.format(source), delivered - accounted, 0, delivered, told, is_breach=accounted != delivered)
    fraction, most = delivery.rows_quarantined / delivered, policy.quarantined_max
    told = f"{fraction:.1%} of {delivered} delivered rows of {source} were quarantined, above {most:.1%}"
    interval = share_interval(delivery.rows_quarantined, delivered)
    yield data_check(_QUARANTINED.format(source), fraction, most, delivered, told, interval=interval)
    told = (
        f"{delivery.rejected_corrections} delivered rows of {source} were to correct others, but broke a rule: "
        "what they were to correct stands; correct them and deliver them again"
    )
    yield data_check(_REJECTED.format(source), delivery.rejected_corrections, 0, delivered, told)


def _schema_checks(drift: Sequence[FeatureDrift]) -> Iterator[Check]:
    changed = [feature for feature in drift if feature.verdict == "schema"]
    told = "; ".join(f"{feature.feature}: {feature.reason}" for feature in changed)
    rows = max((feature.current_rows for feature in drift), default=0)
    yield data_check("features of another schema", len(changed), 0, rows, told)


def _missing_checks(
    policy: MonitoringSpec, drift: Sequence[FeatureDrift], nullable: Collection[str]
) -> Iterator[Check]:
    for feature in drift:
        if feature.missing_current is None or feature.feature in nullable:
            continue
        usual = feature.missing_reference or 0.0
        more = feature.missing_current - usual
        told = (
            f"{feature.feature} is missing in {feature.missing_current:.1%} of rows, more than "
            f"{policy.missing_max:.1%} above the reference's {usual:.1%}"
        )
        name = f"missing share of {feature.feature}, above the reference's"
        yield data_check(
            name, more, policy.missing_max, feature.current_rows, told,
            interval=_missing_interval(feature), reference=usual, reference_rows=feature.reference_rows,
        )  # fmt: skip


def _missing_interval(feature: FeatureDrift) -> tuple[float, float] | None:
    if feature.missing_reference is None or feature.missing_current is None:
        return None
    # Where entities recur in the reference, its rows count for fewer.
    independent = feature.reference_rows / feature.design_effect
    return growth_interval(
        (feature.missing_reference * independent, independent),
        (feature.missing_current * feature.current_rows, feature.current_rows),
    )
