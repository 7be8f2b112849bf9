"""Great Expectations finds of a group's rows what a plain loop finds."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from include.adapters.expectations import feature_expectations
from include.adapters.expectations.feature_expectations import BoundsTally, judge_profile
from include.features.bounds import out_of_bounds
from include.features.partition_report import count_nulls, profile_partitions
from include.partitions import shift
from include.specs.groups import VolumeSpec
from tests.unit.features.group_builder import group, rows_of

DAY = "2024-03-01"


def failures(rows: pa.Table) -> dict[str, int]:
    tally = BoundsTally(group())
    tally.add(rows)
    return {check.column: check.failures for check in tally.checks()}


def judged(rows: pa.Table, *days: str, spec=None, published=None, source=(DAY,)) -> dict[str, bool]:
    spec = spec or group()
    counted = count_nulls(rows, spec)
    profile = profile_partitions(
        counted, days or (DAY,), spec, published=published or {}, source_days={"raw/orders": source}
    )
    return {f"{check.check} {check.column.split(',')[0]}": check.passed for check in judge_profile(profile, spec)}


@pytest.mark.parametrize("seed", [1, 2])
def test_values_out_of_bounds_are_counted_as_by_a_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_expectations, "_PIECE", 64)
    rng = np.random.default_rng(seed)
    orders = [None if rng.random() < 0.1 else int(rng.integers(-3, 14)) for _ in range(300)]
    gaps = [[None, math.nan, math.inf, -1.0, 0.0, 5.0][rng.integers(6)] for _ in range(300)]

    found = failures(rows_of(DAY, 300, orders=orders, gap=gaps))

    assert found["orders"] == sum(value is not None and not 0 <= value <= 10 for value in orders)
    assert found["gap"] == sum(value is not None and not 0 <= value < math.inf for value in gaps)
    assert found["orders"] > 0 < found["gap"]


@pytest.mark.parametrize("seed", [3, 4])
def test_the_rows_that_are_named_are_those_that_great_expectations_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = [None, math.nan, math.inf, -math.inf, -0.0, 0.0, -1e-45, 3.4e38, 10.0]
    orders = [[None, -1, 0, 10, 11, 2**62, -(2**62)][rng.integers(7)] for _ in range(300)]
    gaps = [edges[rng.integers(len(edges))] for _ in range(300)]
    rows = rows_of(DAY, 300, orders=orders, gap=gaps)
    tally = BoundsTally(group())
    tally.add(rows)

    by_column = {check.column: check for check in tally.checks()}

    for column in group().columns:
        named = rows.filter(out_of_bounds(rows[column.name], column))
        assert by_column[column.name].failures == named.num_rows > 0
        assert by_column[column.name].partitions == (DAY,)
        customers = [offender.entity["customer_id"] for offender in tally.offenders[column.name]]
        assert customers == named["customer_id"].to_pylist()[:3]


def test_whose_rows_are_named_are_those_of_the_first_days_however_the_days_come() -> None:
    days = [rows_of(shift(DAY, n), 5, orders=[1, 1, 99, 1, 99 if n else 1]) for n in range(4)]
    tally = BoundsTally(group())
    for rows in reversed(days):
        tally.add(rows)

    named = [(offender.entity["customer_id"], offender.partition) for offender in tally.offenders["orders"]]

    assert named == [("c0002", DAY), ("c0004", shift(DAY, 1))]
    assert [check.partitions for check in tally.checks()] == [tuple(shift(DAY, n) for n in range(4)), ()]


@pytest.mark.parametrize("cuts", [(), (1,), (100, 100, 299)], ids=["one", "two", "four, one empty"])
def test_bounds_of_rows_that_come_in_parts_are_those_of_all_together(cuts: tuple[int, ...]) -> None:
    rows = rows_of(DAY, 300, orders=[n % 14 for n in range(300)], gap=[-1.0 if n % 7 == 0 else 1.0 for n in range(300)])
    whole, parts = BoundsTally(group()), BoundsTally(group())

    whole.add(rows)
    for start, end in pairwise((0, *cuts, 300)):
        parts.add(rows.slice(start, end - start))

    assert [check.failures for check in parts.checks()] == [check.failures for check in whole.checks()] == [63, 43]


def test_bounds_are_inclusive_and_no_rows_break_none() -> None:
    assert failures(rows_of(DAY, 2, orders=[0, 10], gap=[0.0, None])) == {"orders": 0, "gap": 0}
    assert failures(rows_of(DAY, 0)) == {"orders": 0, "gap": 0}


def test_nulls_are_judged_by_partition_not_over_the_range() -> None:
    bad = rows_of(DAY, 10, gap=[None] * 6 + [1.0] * 4)
    good = pa.concat_tables([rows_of(shift(DAY, n), 10) for n in range(1, 5)])
    days = [shift(DAY, n) for n in range(5)]
    assert judged(pa.concat_tables([bad, good]), *days)["nulls gap"] is False
    assert judged(rows_of(DAY, 10, gap=[None] * 5 + [1.0] * 5))["nulls gap"] is True
    assert judged(rows_of(DAY, 10, orders=[None] + [1] * 9))["nulls orders"] is False


@pytest.mark.parametrize(("rows", "passed"), [(10, True), (9, False), (40, True), (41, False)])
def test_volume_against_the_same_weekday_is_within_its_ratios(rows: int, passed: bool) -> None:
    published = {shift(DAY, -7): 20, shift(DAY, -28): 20}
    assert judged(rows_of(DAY, rows), published=published)["volume rows"] is passed


def test_a_ratio_that_is_null_has_no_bound() -> None:
    published = {shift(DAY, -7): 20, shift(DAY, -28): 20}
    open_below = group(volume=VolumeSpec(rows_min=10, ratio_min=None, ratio_max=2.0))
    assert judged(rows_of(DAY, 0), spec=open_below, published=published)["volume rows"] is True
    unbounded = group(volume=VolumeSpec(rows_min=10, ratio_min=None, ratio_max=None))
    assert "volume rows" not in judged(rows_of(DAY, 0), spec=unbounded, published=published)


@pytest.mark.parametrize(("age", "passed"), [(3, True), (4, False)])
def test_a_source_that_has_been_silent_too_long_is_not_fresh(age: int, passed: bool) -> None:
    found = judged(rows_of(DAY, 5), source=(shift(DAY, -age),))
    assert found["freshness the newest day of raw/orders"] is passed


def test_a_failure_names_the_partition_and_its_value() -> None:
    counted = count_nulls(rows_of(DAY, 5), group())
    profile = profile_partitions(counted, (DAY,), group(), published={}, source_days={"raw/orders": (shift(DAY, -9),)})
    (broken,) = [check for check in judge_profile(profile, group()) if not check.passed]
    assert str(broken) == "freshness of the newest day of raw/orders: 2024-03-01 9, allowed: [0, 3]"
