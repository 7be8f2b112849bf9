from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from include.monitoring.shares import growth_interval, share_interval


@pytest.mark.parametrize(("found", "rows"), [(0, 20), (1, 20), (20, 20), (7, 1_000), (500, 1_000)])
def test_the_interval_of_a_share_is_scipys_exact_one(found: int, rows: int) -> None:
    exact = binomtest(found, rows).proportion_ci(method="exact")
    assert share_interval(found, rows) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_rows_that_count_for_less_than_one_widen_the_interval() -> None:
    alone, together = share_interval(50, 500), share_interval(50 / 4, 500 / 4)
    assert together[0] < alone[0] < 0.1 < alone[1] < together[1]


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.0), (0.02, 0.02), (0.02, 0.07), (0.5, 0.54)])
@pytest.mark.parametrize("rows", [200, 2_000])
def test_the_interval_of_a_growth_holds_the_true_one_95_times_in_100(before: float, after: float, rows: int) -> None:
    rng, hits, worlds = np.random.default_rng(rows), 0, 400
    for _ in range(worlds):
        low, high = growth_interval((rng.binomial(2_000, before), 2_000), (rng.binomial(rows, after), rows))
        hits += low <= after - before <= high
    # Exact limits are held 95 % and more; three deviations of 400 worlds at 95 % are 3.3 %.
    assert hits / worlds >= 0.95 - 0.033


def test_a_growth_stays_between_what_shares_can_grow_by() -> None:
    assert growth_interval((0, 10), (10, 10))[1] == pytest.approx(1.0)
    assert growth_interval((10, 10), (0, 10))[0] == pytest.approx(-1.0)
