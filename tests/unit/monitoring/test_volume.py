from __future__ import annotations

from statistics import median

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.monitoring.check import Check
from include.monitoring.volume import VolumeLimits, judge_volume
from include.partitions import days_between, shift, span
from tests.real_data import real_data
from tests.unit.monitoring.nights import MONITORING

NIGHT = "2026-03-31"
LIMITS = VolumeLimits(0.5, 2.0)


def judged(*counts: int | None, night: str = NIGHT) -> Check:
    """Judge the last of consecutive days; None is a day that is not known."""
    days = {shift(night, n + 1 - len(counts)): rows for n, rows in enumerate(counts) if rows is not None}
    return judge_volume("rows", days, night, LIMITS)


def verdicts(*counts: int) -> list[str]:
    """Judge each of consecutive days with what is known on it."""
    first = shift(NIGHT, 1 - len(counts))
    return [judged(*counts[: n + 1], night=shift(first, n)).verdict for n in range(len(counts))]


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([1000], "unknown"),
        ([1000, 500], "ok"),
        ([1000, 499], "breach"),
        ([1000, 2000], "ok"),
        ([1000, 2001], "breach"),
        ([0, 1000], "unknown"),
        ([1000, 0], "breach"),
        ([4, 1], "ok"),  # one of four is chance
        ([40, 10], "breach"),
    ],
)
def test_a_night_is_held_against_the_one_that_is_known(counts: list[int], verdict: str) -> None:
    assert judged(*counts).verdict == verdict


def test_an_outage_is_one_incident_and_its_recovery_none() -> None:
    assert verdicts(*[1000] * 10, 3, 2, *[1000] * 5)[8:] == ["ok", "ok", "breach", "breach", *["ok"] * 5]


@pytest.mark.parametrize("before", [4, 6, 10, 14])
@pytest.mark.parametrize("away", [1, 3, 7])
def test_a_recovery_is_no_incident_while_weekdays_are_not_known_yet(before: int, away: int) -> None:
    told = verdicts(*[1000] * before, *[100] * away, *[1000] * 3)[before:]
    assert told[0] == "breach"
    assert told[away:] == ["ok"] * 3


def test_a_slow_collapse_is_noticed() -> None:
    assert verdicts(1000, 520, 271, 141) == ["unknown", "ok", "breach", "breach"]


def test_a_closed_weekday_is_usual_and_a_closed_week_is_not() -> None:
    week = [900, 1000, 1100, 1000, 900, 0, 700]
    told = verdicts(*week * 6)
    assert [day for day, verdict in enumerate(told) if verdict == "breach"] == [5]  # the first of its weekday
    closed = verdicts(*week * 5, *[0] * 7)[35:]
    assert closed == ["breach"] * 5 + ["unknown"] + ["breach"]


def test_a_level_that_has_stood_for_two_weeks_is_the_new_normal() -> None:
    told = verdicts(*[1000] * 30, *[3000] * 40)[30:]
    assert told == [*["breach"] * 15, *["ok"] * 25]


def test_the_same_weekday_counts_where_three_are_known_or_where_the_night_is_like_its_last() -> None:
    counts: list[int | None] = [100] * 29
    for week in range(1, 5):
        counts[28 - 7 * week] = 1000
    assert judged(*counts[:28], 1000).value == 1.0
    assert judged(*counts[:28], 100).verdict == "breach"
    for week in range(2, 5):
        counts[28 - 7 * week] = None
    assert judged(*counts[:28], 1000).value == 1.0
    assert judged(*counts[:28], 100).value == 1.0
    assert judged(*counts[:28], 400).verdict == "breach"


def test_what_has_grown_day_by_day_is_a_season_and_is_told() -> None:
    season = [round(1000 * 1.05**day) for day in range(30)]
    assert verdicts(*season) == ["unknown", *["ok"] * 29]
    grown = judged(*season)
    assert (grown.verdict, grown.reason) == (
        "ok",
        "rows: 4116 is 2.31 times the 1778 that are usual, 3920 the time before",
    )
    assert judged(*season[:-1], 2 * season[-1]).verdict == "breach"


def test_a_real_shops_closing_days_are_incidents_and_its_season_is_told() -> None:
    orders = pd.read_parquet(real_data("online_retail/online_retail.parquet"), columns=["InvoiceDate"])
    counted = orders["InvoiceDate"].dt.strftime("%Y-%m-%d").value_counts().to_dict()
    days = {day: counted.get(day, 0) for day in span("2010-12-01", "2011-12-09")}
    limits = VolumeLimits(MONITORING.delivered_ratio_min, MONITORING.delivered_ratio_max, MONITORING.volume_ratio_max)
    found = {day: judge_volume("rows", days, day, limits) for day in days}
    breaches = {day for day, check in found.items() if check.verdict == "breach"}
    christmas = {*span("2010-12-22", "2011-01-03")} - {"2010-12-23", "2010-12-25", "2011-01-01"}
    easter_and_a_wedding = {"2011-04-22", "2011-04-24", "2011-04-25", "2011-04-29"}
    bank_holidays = {"2011-05-02", "2011-05-30", "2011-08-29"}
    first_saturday = {"2010-12-04"}
    assert breaches == christmas | easter_and_a_wedding | bank_holidays | first_saturday
    told = {day for day, check in found.items() if check.verdict == "ok" and check.reason}
    assert {day for day in told if day > "2011-10-01"} == {"2011-10-30", "2011-11-06", "2011-11-11"}


@given(st.lists(st.integers(900, 1100), min_size=3, max_size=60))
def test_the_value_is_the_ratio_to_the_median_of_what_is_usual(counts: list[int]) -> None:
    days = {shift(NIGHT, n + 1 - len(counts)): rows for n, rows in enumerate(counts)}
    before = {day: rows for day, rows in days.items() if shift(NIGHT, -28) <= day < NIGHT}
    alike = [rows for day, rows in before.items() if days_between(day, NIGHT) % 7 == 0]
    usual = median(alike) if len(alike) > 2 else alike[-1] if alike else median(before.values())
    assert judge_volume("rows", days, NIGHT, LIMITS).value == pytest.approx(counts[-1] / usual)
