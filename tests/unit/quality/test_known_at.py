"""When a row became known, in SQL against the spec's own end of a day and against the time zone database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quality.verdict import known_at_sql
from include.specs.sources import SourceSpec, load_source

# Half hours and quarters of one, midnights that a zone has twice or leaves out, a day that it leaves out, a clock
# change of half an hour, summer in the south, a zone whose winter is the change.
ZONES = (
    "UTC", "America/New_York", "Europe/Berlin", "Europe/Dublin", "America/Havana", "America/Sao_Paulo", "Asia/Beirut",
    "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Pacific/Kiritimati",
    "Etc/GMT+12",
)  # fmt: skip
STARTS = ("00:00", "00:30", "01:00", "02:30", "04:00", "23:59")
TIMES = ("ordered_at", "received_at")
FIRST, LAST = datetime(2009, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)


INSTANTS = st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None), timezones=st.just(UTC))


def source(time_zone: str, day_starts: str) -> SourceSpec:
    return load_source("orders").model_copy(update={"time_zone": time_zone, "day_starts": day_starts})


def local_day(spec: SourceSpec, at: datetime) -> date:
    """Return the deliverer's day, by its clock on the wall."""
    return (at.astimezone(ZoneInfo(spec.time_zone)).replace(tzinfo=None) - spec.day_offset).date()


def in_sql(spec: SourceSpec, times: list[datetime], delivered_by: datetime | None) -> list[datetime]:
    con = connection()
    instant = pa.timestamp("us", "UTC")
    rows = {"_row": range(len(times)), "ordered_at": pa.array(times, instant), "received_at": pa.nulls(len(times))}
    con.register("typed", pa.table(rows).cast(pa.schema({"_row": pa.int64(), **dict.fromkeys(TIMES, instant)})))
    known = f"SELECT {known_at_sql(spec, delivered_by=delivered_by)} AS known_at FROM typed ORDER BY _row"
    return con.sql(known).to_arrow_table()["known_at"].cast(instant).to_pylist()


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """Give one for all tests: to open it takes longer than to ask it."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


@cache
def transitions(zone: str) -> list[datetime]:
    """Return quarters of an hour around each day on which a zone changes its offset."""
    clock, at, found = ZoneInfo(zone), FIRST, []
    while at < LAST:
        if (at + timedelta(days=1)).astimezone(clock).utcoffset() != at.astimezone(clock).utcoffset():
            found += [at + timedelta(minutes=15 * n) for n in range(-4, 29 * 4)]
        at += timedelta(days=1)
    return found


@pytest.mark.parametrize("day_starts", STARTS)
@pytest.mark.parametrize("zone", ZONES)
def test_around_every_clock_change_a_row_is_known_when_its_day_is_over(zone, day_starts):
    spec = source(zone, day_starts)
    times = transitions(zone)[-1500:] or [datetime(2026, 3, 8, hour, tzinfo=UTC) for hour in range(24)]
    assert in_sql(spec, times, None) == [spec.end_of_day(local_day(spec, at).isoformat()) for at in times]


@settings(max_examples=30)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(STARTS),
    st.lists(INSTANTS, min_size=1, max_size=40),
    st.dates(FIRST.date(), LAST.date()),
)
def test_a_row_is_known_when_its_own_day_and_that_of_its_delivery_are_over(zone, day_starts, times, night):
    spec = source(zone, day_starts)
    delivered_by = spec.end_of_day(night.isoformat())
    own = [spec.end_of_day(local_day(spec, at).isoformat()) for at in times]
    assert in_sql(spec, times, None) == own
    assert in_sql(spec, times, delivered_by) == [max(at, delivered_by) for at in own]
    assert all(at < known for at, known in zip(times, own, strict=True))


@settings(max_examples=30)
@given(st.sampled_from(ZONES), st.sampled_from(STARTS), st.dates(FIRST.date(), LAST.date()))
def test_days_follow_one_another_and_none_is_over_before_the_one_before_it(zone, day_starts, night):
    spec = source(zone, day_starts)
    ends = [spec.end_of_day((night + timedelta(days=n)).isoformat()) for n in range(3)]
    assert ends == sorted(ends)
    assert all(timedelta(0) <= later - end <= timedelta(hours=49) for end, later in pairwise(ends))
