from __future__ import annotations

import pytest

from include.monitoring.data_quality import DataQuality, Delivery, judge_data_quality
from include.monitoring.drift import FeatureDrift
from tests.unit.monitoring.nights import MONITORING, make_drift


def judged(
    *,
    rows: int = 1_000,
    previous: int | None = 1_000,
    drift: tuple[FeatureDrift, ...] = (),
    delivery: Delivery | None = None,
) -> DataQuality:
    return judge_data_quality(
        MONITORING, rows_scored=rows, previous_rows_scored=previous, drift=drift, delivery=delivery
    )


@pytest.mark.parametrize(
    ("missing", "usual", "status"),
    [(0.05, 0.0, "ok"), (0.051, 0.0, "incident"), (0.54, 0.5, "ok"), (0.56, 0.5, "incident"), (0.0, 0.5, "ok")],
)
def test_missing_values_are_judged_against_the_references_own(missing: float, usual: float, status: str) -> None:
    assert judged(drift=(make_drift("basket", missing=missing, usual=usual),)).status == status


def test_missing_values_are_judged_without_a_drift_verdict() -> None:
    quality = judged(drift=(make_drift("basket", psi=None, missing=0.4),))
    assert quality == DataQuality(
        "incident", ("basket is missing in 40.0% of rows, more than 5.0% above the reference's 0.0%",)
    )


@pytest.mark.parametrize(
    ("rows", "previous", "status"),
    [
        (500, 1_000, "ok"),
        (499, 1_000, "incident"),
        (2_000, 1_000, "ok"),
        (2_001, 1_000, "incident"),
        (0, 1_000, "incident"),
        (1_000, None, "ok"),
        (1_000, 0, "ok"),
    ],
)
def test_volume_is_judged_against_the_night_before(rows: int, previous: int | None, status: str) -> None:
    assert judged(rows=rows, previous=previous).status == status


@pytest.mark.parametrize(
    ("delivery", "status"),
    [
        (Delivery(100, 50, 50), "ok"),
        (Delivery(100, 49, 51), "incident"),
        (Delivery(100, 60, 30), "incident"),
        (Delivery(0, 0, 0), "ok"),
        (None, "ok"),
    ],
    ids=["half_quarantined", "more_than_half", "rows_lost", "nothing_delivered", "closing_day"],
)
def test_the_row_account_is_judged(delivery: Delivery | None, status: str) -> None:
    assert judged(delivery=delivery).status == status


def test_every_finding_is_told() -> None:
    quality = judged(
        rows=100,
        delivery=Delivery(100, 10, 80),
        drift=(make_drift("a", missing=0.2), make_drift("b", missing=0.3)),
    )
    assert quality.status == "incident"
    assert len(quality.reasons) == 5


def test_a_night_on_which_nothing_happened_is_unknown() -> None:
    assert judged(rows=0, previous=None).status == "unknown"
