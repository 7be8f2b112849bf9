from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from include.monitoring.two_sample import compare_categories, compare_numeric

_samples = st.lists(st.one_of(st.floats(-1e3, 1e3), st.integers(0, 3).map(float)), min_size=2, max_size=80).map(
    np.array
)


@given(_samples, _samples)
def test_ks_and_wasserstein_equal_scipy(reference: np.ndarray, current: np.ndarray) -> None:
    ours, scipys = compare_numeric(reference, current), ks_2samp(reference, current, method="asymp")
    assert ours is not None
    assert ours.ks.statistic == pytest.approx(scipys.statistic, abs=1e-12)
    assert ours.ks.pvalue == pytest.approx(scipys.pvalue, rel=1e-6, abs=1e-12)
    assert ours.wasserstein == pytest.approx(wasserstein_distance(reference, current), rel=1e-9, abs=1e-9)


def test_one_value_against_itself_is_certainly_no_shift() -> None:
    result = compare_numeric(np.array([1.0]), np.array([1.0]))
    assert result is not None
    assert (result.ks.statistic, result.ks.pvalue) == (0.0, 1.0)


def test_missing_values_are_left_out() -> None:
    reference, current = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    padded = np.array([np.nan, *current, np.nan])
    assert compare_numeric(reference, padded) == compare_numeric(reference, current)


def test_a_shift_by_two_deviations_is_two_normalised() -> None:
    reference = np.random.default_rng(0).normal(10, 3, 500)
    result = compare_numeric(reference, reference + 2 * reference.std())
    assert result is not None
    assert result.wasserstein_normalised == pytest.approx(2, rel=1e-9)


def test_a_constant_reference_has_no_normalised_distance() -> None:
    result = compare_numeric(np.full(10, 5.0), np.full(10, 7.0))
    assert result is not None
    assert (result.wasserstein, result.wasserstein_normalised, result.ks.statistic) == (2.0, None, 1.0)


def test_infinities_keep_ks_and_lose_wasserstein() -> None:
    result = compare_numeric(np.array([0.0, 1.0, np.inf]), np.array([-np.inf, 0.0, 1.0]))
    assert result is not None
    assert result.ks.statistic == pytest.approx(1 / 3)
    assert (result.wasserstein, result.wasserstein_normalised) == (None, None)


@pytest.mark.parametrize("empty", [np.array([]), np.array([np.nan])], ids=["no_rows", "only_missing"])
def test_a_side_without_values_has_no_result(empty: np.ndarray) -> None:
    assert compare_numeric(empty, np.array([1.0])) is None
    assert compare_numeric(np.array([1.0]), empty) is None


def test_chi_square_equals_scipy() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        table = rng.integers(1, 60, size=(2, 6))
        sides = [{f"c{n}": int(count) for n, count in enumerate(side)} for side in table]
        ours, scipys = compare_categories(*sides), chi2_contingency(table, correction=False)
        assert ours is not None
        assert (ours.statistic, ours.pvalue) == pytest.approx((scipys.statistic, scipys.pvalue), rel=1e-9)


def test_a_category_of_one_side_only_is_counted() -> None:
    ours = compare_categories({"a": 30, "b": 30}, {"a": 30, "c": 30})
    scipys = chi2_contingency([[30, 30, 0], [30, 0, 30]], correction=False)
    assert ours is not None
    assert ours.statistic == pytest.approx(scipys.statistic)


def test_one_category_on_both_sides_is_no_shift() -> None:
    result = compare_categories({"a": 3}, {"a": 9})
    assert result is not None
    assert (result.statistic, result.pvalue) == (0.0, 1.0)


def test_categories_of_no_rows_have_no_result() -> None:
    assert compare_categories({}, {"a": 1}) is None
    assert compare_categories({}, {}) is None


@pytest.mark.parametrize(("n", "m"), [(3_000, 3_000), (3_000, 701), (400, 5_000)])
@pytest.mark.parametrize("shape", ["normal", "counts", "constant", "same", "apart", "heavy", "mixed"])
def test_samples_that_are_looked_at_in_part_have_the_distances_of_all_their_values(n: int, m: int, shape: str) -> None:
    rng = np.random.default_rng([n, m])
    draws = {
        "normal": lambda rows, moved: rng.normal(0.02 * moved, 1, rows),
        "counts": lambda rows, moved: rng.poisson(2 + 0.1 * moved, rows).astype(float),
        "constant": lambda rows, moved: np.full(rows, 3.0 + moved),
        "same": lambda rows, _: np.resize(np.arange(101.0), rows),
        "apart": lambda rows, moved: rng.normal(100 * moved, 1, rows),
        "heavy": lambda rows, _: rng.pareto(0.7, rows),
        "mixed": lambda rows, moved: np.where(rng.random(rows) < 0.4 + 0.1 * moved, 0.0, rng.exponential(5, rows)),
    }
    reference, current = draws[shape](n, 0), draws[shape](m, 1)
    ours, scipys = compare_numeric(reference, current), ks_2samp(reference, current, method="asymp")
    assert ours is not None
    assert ours.ks.statistic == pytest.approx(scipys.statistic, abs=1e-12)
    assert ours.wasserstein == pytest.approx(wasserstein_distance(reference, current), rel=1e-9, abs=1e-12)


def test_the_pvalue_of_very_many_rows_is_within_a_hundredth_of_the_exact_one() -> None:
    from scipy.stats import kstwo

    rng = np.random.default_rng(0)
    for shift in (0.0, 0.01, 0.03, 0.07):
        result = compare_numeric(rng.normal(size=24_000), rng.normal(shift, 1, 24_000))
        assert result is not None
        assert result.ks.pvalue == pytest.approx(kstwo.sf(result.ks.statistic, 12_000), rel=0.01)
