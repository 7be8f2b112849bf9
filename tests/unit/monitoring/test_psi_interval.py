from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from include.monitoring.binning import bin_numbers
from include.monitoring.design_effect import DesignEffect, estimate_design_effect
from include.monitoring.drift import measure_drift
from include.monitoring.psi import psi_from_counts
from include.monitoring.psi_interval import psi_interval
from include.monitoring.reference_profile import build_reference_profile

WORLDS = 1_000
DECILES = norm.ppf(np.arange(1, 10) / 10)
# What a rule of 95 % is held to; three deviations of a thousand worlds are 2.1 %.
HELD = (0.93, 0.97)


def true_psi(shift: float) -> float:
    """Return the PSI of two normal populations so many deviations apart, over the deciles of the first."""
    moved = np.diff([0, *norm.cdf(DECILES - shift), 1])
    return float(np.sum((moved - 0.1) * np.log(moved / 0.1)))


def counts_of(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def is_held(shift: float, interval: tuple[float, float]) -> bool:
    return interval[0] <= true_psi(shift) + 1e-12 and true_psi(shift) - 1e-12 <= interval[1]


@pytest.mark.parametrize("rows", [500, 5_000])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("reference_rows", [500, 5_000])
def test_the_interval_holds_the_populations_psi(reference_rows: int, rows: int, shift: float) -> None:
    rng, held = np.random.default_rng([reference_rows, rows, round(shift * 10)]), 0
    for _ in range(WORLDS):
        reference, window = rng.normal(size=reference_rows), rng.normal(shift, size=rows)
        edges = np.quantile(reference, np.arange(1, 10) / 10)
        held += is_held(shift, psi_interval(counts_of(reference, edges), counts_of(window, edges)))
    # Below no shift there is nothing, so that only the upper half of the error is left.
    assert HELD[0] <= held / WORLDS <= (1 if shift == 0 else HELD[1])
    assert shift or held / WORLDS >= 0.95


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_it_holds_where_entities_recur_in_the_reference(shift: float) -> None:
    rng, held, plain, worlds, entities, times = np.random.default_rng(5), 0, 0, 400, 250, 4
    for _ in range(worlds):
        owner = np.repeat(np.arange(entities), times)
        reference = np.sqrt(0.9) * rng.normal(size=entities)[owner] + np.sqrt(0.1) * rng.normal(size=len(owner))
        (feature,) = build_reference_profile({"x": reference}).features
        counts = [counts_of(values, feature.edges) for values in (reference, rng.normal(shift, size=1_000))]
        effect = estimate_design_effect(bin_numbers(feature, reference), owner)
        held += is_held(shift, psi_interval(*counts, effect=effect))
        plain += is_held(shift, psi_interval(*counts))
    assert held / worlds >= 0.93
    assert plain < held


@pytest.mark.parametrize("rows", [500, 5_000])
@pytest.mark.parametrize(
    "window", [(0.5, 0.3, 0.15, 0.03, 0.01, 0.005, 0.003, 0.002), (0.4, 0.35, 0.2, 0.03, 0.01, 0.005, 0.003, 0.002)]
)
def test_thin_bins_make_it_no_less_sure(rows: int, window: tuple[float, ...]) -> None:
    usual = (0.5, 0.3, 0.15, 0.03, 0.01, 0.005, 0.003, 0.002)
    rng, held, true = np.random.default_rng(rows), 0, psi_from_counts(np.array(usual) * 1e6, np.array(window) * 1e6)
    for _ in range(WORLDS):
        low, high = psi_interval(rng.multinomial(rows, usual), rng.multinomial(rows, window))
        held += low <= true + 1e-12 and true - 1e-12 <= high
    assert held / WORLDS >= HELD[0]


@given(
    st.integers(2, 12).flatmap(
        lambda bins: st.tuples(
            *(st.lists(st.integers(0, 10_000_000), min_size=bins, max_size=bins).filter(any) for _ in range(2))
        )
    )
)
def test_its_ends_are_numbers_in_order(counts: tuple[list[int], list[int]]) -> None:
    low, high = psi_interval(*counts)
    assert 0 <= low <= high < np.inf


def test_of_one_bin_nothing_can_differ() -> None:
    assert psi_interval([500, 0], [80, 0]) == (0.0, 0.0)


def test_more_rows_and_more_independent_ones_narrow_it() -> None:
    few, many = psi_interval([50, 50], [30, 70]), psi_interval([5_000, 5_000], [3_000, 7_000])
    dependent = psi_interval([5_000, 5_000], [3_000, 7_000], effect=DesignEffect(4.0, 0.0))
    assert few[0] < dependent[0] < many[0] < psi_from_counts([50, 50], [30, 70]) < many[1] < dependent[1] < few[1]


def test_a_judged_feature_has_it_where_it_has_psi() -> None:
    rng = np.random.default_rng(1)
    profile = build_reference_profile({"x": rng.normal(size=2_000)})
    for window, is_known in ((rng.normal(0.5, 1, 500), True), (rng.normal(size=20), False)):
        (drift,) = measure_drift(profile, {"x": window}, min_rows=50, moderate=0.1, significant=0.2)
        assert (drift.psi_low is not None) is (drift.psi_high is not None) is is_known
        assert not is_known or drift.psi_low < drift.psi < drift.psi_high
