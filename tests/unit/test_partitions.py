from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import partitions
from include.errors import UsageError

DAYS = st.dates().map(partitions.key_of)
DAY = "2026-01-01"


@given(DAYS)
def test_a_partition_ends_where_the_next_one_starts(key):
    if key < "9999-12-31":
        assert partitions.end_of(key) == partitions.start_of(partitions.shift(key, 1))


def test_the_feature_row_of_a_day_stands_at_midnight_utc_of_the_next():
    assert partitions.end_of("2026-02-28") == datetime(2026, 3, 1, tzinfo=UTC)


def test_the_last_day_of_the_calendar_is_refused_in_words():
    with pytest.raises(UsageError, match="is no day of the calendar"):
        partitions.end_of("9999-12-31")


@given(DAYS, st.integers(0, 400))
def test_a_span_holds_every_day_once_in_order(start, length):
    if start < "9990-01-01":
        keys = partitions.span(start, partitions.shift(start, length))
        assert len(set(keys)) == length + 1
        assert keys == sorted(keys)


def test_a_span_that_ends_before_it_starts_is_refused():
    with pytest.raises(UsageError, match=r"ends .2026-01-01. before it starts"):
        partitions.span("2026-01-02", "2026-01-01")


@pytest.mark.parametrize("wrong", ["2026-2-3", "20260203", "2026-02-30", "yesterday", ""])
def test_what_is_not_a_day_is_refused_with_its_value(wrong):
    with pytest.raises(UsageError, match="is not a day"):
        partitions.parse(wrong)


def event(partition):
    return SimpleNamespace(extra={"partition": partition})


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"dag_run": SimpleNamespace(partition_key=DAY)}, id="the partition key"),
        pytest.param({"triggering_asset_events": {"a": [event(None), event(DAY)]}}, id="the event"),
        pytest.param({"params": {"partition": DAY}}, id="the param"),
        pytest.param(
            {
                "dag_run": SimpleNamespace(partition_key=DAY),
                "triggering_asset_events": {"a": [event(DAY)]},
                "params": {"partition": DAY},
            },
            id="all three",
        ),
    ],
)
def test_a_task_finds_its_day(context):
    assert partitions.resolve(context) == DAY


@pytest.mark.parametrize(
    "context",
    [
        {"dag_run": SimpleNamespace(partition_key=DAY), "params": {"partition": "2026-01-02"}},
        {"dag_run": SimpleNamespace(partition_key=DAY), "triggering_asset_events": {"a": [event("2026-01-02")]}},
        {"triggering_asset_events": {"a": [event("2026-01-02"), event(DAY)]}},
    ],
    ids=["key and param", "key and event", "two events"],
)
def test_a_task_that_is_given_two_days_takes_neither(context):
    with pytest.raises(UsageError, match=r"several days \(2026-01-01, 2026-01-02\)"):
        partitions.resolve(context)


def test_a_task_without_a_day_says_what_to_pass():
    with pytest.raises(
        UsageError, match=r"trigger it with a partition key \(YYYY-MM-DD\), or set the Param 'partition'"
    ):
        partitions.resolve({"params": {"partition": None}})
