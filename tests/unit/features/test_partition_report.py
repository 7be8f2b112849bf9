"""What is measured of a partition, counted by hand."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest

from include.features.partition_report import PartitionCheck, PartitionReport, count_nulls, profile_partitions
from include.partitions import shift
from tests.unit.features.group_builder import group, rows_of

DAY = "2024-03-01"


def profile(rows: pa.Table, *days: str, published: dict[str, int] | None = None, source: tuple[str, ...] = ()) -> list:
    found = profile_partitions(
        count_nulls(rows, group()),
        days or (DAY,),
        group(),
        published=published or {},
        source_days={"raw/orders": source},
    )
    return found.to_pylist()


def test_rows_and_nulls_are_counted_by_partition() -> None:
    rows = pa.concat_tables([rows_of(DAY, 4, gap=[None, 1.0, 1.0, 1.0]), rows_of("2024-03-02", 1)])

    first, second, empty = profile(rows, DAY, "2024-03-02", "2024-03-03")

    assert (first["rows"], first["null_fraction.gap"], first["null_fraction.orders"]) == (4, 0.25, 0.0)
    assert (second["rows"], second["null_fraction.gap"]) == (1, 0.0)
    assert (empty["rows"], empty["null_fraction.gap"]) == (0, None)


def test_rows_are_compared_with_the_same_weekday_of_a_settled_group() -> None:
    published = {shift(DAY, -7): 20, shift(DAY, -28): 10}
    assert profile(rows_of(DAY, 5), published=published)[0]["rows_to_same_weekday"] == 0.25


@pytest.mark.parametrize(
    "published",
    [{}, {shift(DAY, -7): 20}, {shift(DAY, -7): 9, shift(DAY, -28): 10}, {shift(DAY, -7): 20, shift(DAY, -28): 9}],
    ids=["nothing", "young", "small a week before", "small four weeks before"],
)
def test_a_group_that_is_still_filling_up_is_not_compared(published: dict[str, int]) -> None:
    assert profile(rows_of(DAY, 5), published=published)[0]["rows_to_same_weekday"] is None


def test_a_range_is_compared_with_its_own_days() -> None:
    days = [shift(DAY, n) for n in range(29)]
    rows = pa.concat_tables([rows_of(day, 10 if n < 28 else 30) for n, day in enumerate(days)])

    found = profile(rows, *days, published={days[21]: 999})

    assert [row["rows_to_same_weekday"] for row in found] == [None] * 28 + [3.0]


def test_the_source_is_as_old_as_its_newest_day_with_rows() -> None:
    assert profile(rows_of(DAY, 1), source=(shift(DAY, -2), shift(DAY, 1)))[0]["source_age_days.raw/orders"] == 2.0
    assert profile(rows_of(DAY, 1), source=(DAY,))[0]["source_age_days.raw/orders"] == 0.0
    assert profile(rows_of(DAY, 1), source=(shift(DAY, 1),))[0]["source_age_days.raw/orders"] is None


def test_a_report_comes_back_from_its_json() -> None:
    checks = (PartitionCheck("bounds", "gap", False, 3, "values like 1 … 2", "[0, 1]", (DAY,)),)
    report = PartitionReport("g", DAY, DAY, 5, checks)
    assert PartitionReport.from_json(report.to_json()) == report
    assert (report.passed, report.failed, report.broken_partitions) == (False, checks, (DAY,))


def test_a_late_row_counts_in_its_partition() -> None:
    assert profile(rows_of(DAY, 2, late=timedelta(days=3)))[0]["rows"] == 2
