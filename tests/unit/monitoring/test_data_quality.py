from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import binomtest

from include.monitoring.data_quality import DataQuality, Delivery, judge_data_quality, of_arrivals
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.watched import Watched, judge_watched
from include.partitions import shift
from tests.unit.monitoring.nights import MONITORING, make_drift

NIGHT = "2026-03-31"
STEADY = {shift(NIGHT, -1): 1_000, NIGHT: 1_000}


def judged(
    *,
    rows: int = 1_000,
    previous: int | None = 1_000,
    drift: tuple[FeatureDrift, ...] = (),
    delivery: Delivery | None = None,
) -> DataQuality:
    before = {} if previous is None else {shift(NIGHT, -1): previous}
    quality, _ = judge_data_quality(
        MONITORING, night=NIGHT, rows_scored={**before, NIGHT: rows}, drift=drift, deliveries={"orders": delivery}
    )
    return quality


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
def test_volume_is_judged_from_the_second_night_on(rows: int, previous: int | None, status: str) -> None:
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


def test_a_column_that_is_another_is_an_incident() -> None:
    gone = replace(make_drift("basket", psi=None), verdict="schema", reason="the column is gone")
    assert judged(drift=(gone, make_drift("other"))) == DataQuality("incident", ("basket: the column is gone",))


def test_a_night_on_which_nothing_happened_is_unknown() -> None:
    assert judged(rows=0, previous=None).status == "unknown"


@pytest.mark.parametrize("usual", [40, 0], ids=["an outage", "a closing day"])
def test_an_empty_delivery_with_nobody_to_score_is_an_incident_where_rows_are_usual(usual: int) -> None:
    by_day = {shift(NIGHT, -7 * week): usual for week in range(1, 5)} | {NIGHT: 0}
    quality, checks = judge_data_quality(
        MONITORING,
        night=NIGHT,
        rows_scored=by_day,
        drift=(),
        deliveries={"orders": Delivery(0, 0, 0)},
        rows_delivered={"orders": by_day},
    )
    volumes = {check.name: check.verdict for check in checks if check.name.startswith("rows ")}
    assert volumes == dict.fromkeys(["rows scored", "rows of orders delivered"], "breach" if usual else "unknown")
    assert quality.status == ("incident" if usual else "unknown")
    assert len(quality.reasons) == (2 if usual else 1)


def test_shares_have_an_interval_that_changes_no_verdict() -> None:
    account = Delivery(100, 70, 30)
    drift = (
        make_drift("basket", missing=0.06),
        replace(make_drift("again", missing=0.06, usual=0.02), design_effect=4.0),
    )
    _, checks = judge_data_quality(
        MONITORING, night=NIGHT, rows_scored=STEADY, drift=drift, deliveries={"orders": account}
    )
    found = {check.name: check for check in checks}
    quarantined = found["share of orders quarantined"]
    exact = binomtest(30, 100).proportion_ci(method="exact")
    assert (quarantined.low, quarantined.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    missing, again = (found[f"missing share of {name}, above the reference's"] for name in ("basket", "again"))
    assert missing.low < 0.05 < 0.06 < missing.high
    assert missing.verdict == "breach"
    assert again.high - again.low > missing.high - missing.low
    assert found["rows of orders lost"].low is None


def test_how_a_source_came_is_found_among_a_nights_checks() -> None:
    _, checks = judge_data_quality(
        MONITORING, night=NIGHT, rows_scored=STEADY, drift=(make_drift("basket"),),
        deliveries=dict.fromkeys(("orders", "products"), Delivery(100, 70, 30)),
        rows_delivered=dict.fromkeys(("orders", "products"), STEADY),
    )  # fmt: skip
    assert [check.name for check in of_arrivals(checks, ["orders"])] == [
        "rows of orders lost", "share of orders quarantined", "corrections of orders rejected",
        "rows of orders delivered",
    ]  # fmt: skip


def test_a_share_of_no_rows_has_no_interval() -> None:
    empty = replace(make_drift("basket"), reference_rows=0, missing_reference=None)
    _, checks = judge_data_quality(MONITORING, night=NIGHT, rows_scored=STEADY, drift=(empty,))
    (missing,) = (check for check in checks if check.name.startswith("missing"))
    assert (missing.low, missing.high) == (None, None)


def test_a_feature_that_may_be_null_is_not_missed() -> None:
    drift = (make_drift("gap", missing=0.4),)
    quality, _ = judge_data_quality(MONITORING, night=NIGHT, rows_scored=STEADY, drift=drift, nullable={"gap"})
    assert quality.status == "ok"


def prices(days: int, **changed: float) -> dict[str, float]:
    """Return a median price of 8.0 for each of the days up to 2026-03-31, but for those that are changed."""
    usual = {shift("2026-03-31", -back): 8.0 for back in range(days)}
    return {**usual, **{name.replace("_", "-").removeprefix("d"): price for name, price in changed.items()}}


@pytest.mark.parametrize(
    ("price", "status"), [(8.0, "ok"), (80.0, "ok"), (80.1, "incident"), (0.8, "ok"), (0.79, "incident")]
)
def test_a_day_in_another_unit_is_an_incident(price: float, status: str) -> None:
    assert judged_prices(prices(40, d2026_03_31=price)).status == status


def judged_prices(medians: dict[str, float]) -> DataQuality:
    watched = [Watched("price", medians)]
    return judge_data_quality(MONITORING, night=NIGHT, rows_scored=STEADY, drift=(), watched=watched)[0]


def test_it_stays_an_incident_until_the_day_is_corrected_and_is_no_reference_itself() -> None:
    quality = judged_prices(prices(40, d2026_03_29=800.0))
    assert quality.reasons == (
        "the price of 2026-03-29 is 800.00, 100 times the 8.00 of the 28 days before; "
        "have the day delivered anew, with a later received_at",
    )


def test_two_broken_days_in_a_row_are_both_named() -> None:
    reasons = judged_prices(prices(40, d2026_03_30=800.0, d2026_03_31=800.0)).reasons
    assert [reason[13:23] for reason in reasons] == ["2026-03-30", "2026-03-31"]


@pytest.mark.parametrize(("price", "threshold", "ratio"), [(4.0, 0.1, 0.5), (0.4, 0.1, 0.05), (800.0, 10.0, 100.0)])
def test_what_is_watched_keeps_the_limit_on_its_side_and_the_rows_that_it_is_of(
    price: float, threshold: float, ratio: float
) -> None:
    medians = prices(40, d2026_03_31=price)
    (check,) = judge_watched(MONITORING, Watched("price", medians, dict.fromkeys(medians, 20)))
    assert (check.value, check.threshold) == (pytest.approx(ratio), pytest.approx(threshold))
    assert (check.reference, check.reference_rows, check.current_rows) == (8.0, 28 * 20, 20)
    assert check.verdict == ("ok" if price == 4.0 else "breach")


def test_of_what_is_usually_nothing_no_multiple_is_told() -> None:
    (check,) = judge_watched(MONITORING, Watched("discount", {day: 0.0 for day in prices(40)} | {NIGHT: 5.0}))
    assert (check.value, check.verdict) == (None, "unknown")
    assert check.reason == "the discount of the 28 days before is 0, of which nothing is a multiple"


def test_a_missing_share_keeps_what_the_reference_had_and_of_how_many_rows() -> None:
    checks = judge_data_quality(
        MONITORING, night=NIGHT, rows_scored=STEADY, drift=(make_drift("x", missing=0.3, usual=0.2),)
    )[1]
    (check,) = (each for each in checks if each.name.startswith("missing share of x"))
    assert (check.reference, check.reference_rows, check.current_rows) == (0.2, 2_000, 1_000)


def test_prices_are_not_judged_in_a_shops_first_weeks() -> None:
    assert judged_prices(prices(28, d2026_03_31=800.0)).status == "ok"
    assert judged_prices({}).status == "ok"


def test_a_doubling_of_prices_that_stays_is_no_incident() -> None:
    risen = {day: 16.0 if day >= "2026-03-10" else price for day, price in prices(60).items()}
    assert judged_prices(risen).status == "ok"
