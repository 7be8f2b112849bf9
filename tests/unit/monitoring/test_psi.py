from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from include.errors import UsageError
from include.monitoring.psi import adjust_for_multiplicity, psi_expected, psi_from_counts, psi_pvalue
from tests.everyday import examples

# Far above the floor of 1e-4, so that every property of the divergence itself holds.
_full_bins = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(*(st.lists(st.integers(5, 5_000), min_size=bins, max_size=bins) for _ in range(2)))
)
_any_bins = st.integers(2, 12).flatmap(
    lambda bins: st.tuples(
        *(st.lists(st.integers(0, 5_000), min_size=bins, max_size=bins).filter(any) for _ in range(2))
    )
)


def test_psi_equals_the_hand_computed_value() -> None:
    # (0.25 - 0.5) ln(0.25 / 0.5) + (0.75 - 0.5) ln(0.75 / 0.5) = 0.25 ln 2 + 0.25 ln 1.5 = 0.25 ln 3
    assert psi_from_counts([50, 50], [25, 75]) == pytest.approx(0.25 * math.log(3), rel=1e-12)


def test_an_empty_bin_counts_as_one_row_in_ten_thousand() -> None:
    by_hand = (0.0001 - 0.5) * math.log(0.0001 / 0.5) + 0.5 * math.log(2)
    assert psi_from_counts([50, 50], [0, 100]) == pytest.approx(by_hand, rel=1e-12)


def test_an_empty_bin_weighs_as_much_as_a_bin_with_one_row_of_a_million() -> None:
    assert psi_from_counts([500_000, 500_000], [0, 1_000_000]) == pytest.approx(
        psi_from_counts([500_000, 500_000], [1, 999_999]), rel=1e-4
    )


@given(_any_bins)
def test_psi_is_never_negative_and_symmetric(counts: tuple[list[int], list[int]]) -> None:
    forth, back = psi_from_counts(*counts), psi_from_counts(counts[1], counts[0])
    assert forth >= 0
    assert forth == pytest.approx(back, rel=1e-9, abs=1e-12)


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=12).filter(any), st.integers(1, 9))
def test_psi_is_zero_for_equal_proportions(counts: list[int], times: int) -> None:
    assert psi_from_counts(counts, [times * count for count in counts]) == pytest.approx(0, abs=1e-12)
    assert psi_pvalue(counts, [times * count for count in counts]) == pytest.approx(1, abs=1e-9)


@given(_full_bins, st.data())
def test_merging_two_bins_never_increases_psi(counts: tuple[list[int], list[int]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(counts[0]) - 2))
    merged = [[*side[:index], side[index] + side[index + 1], *side[index + 2 :]] for side in counts]
    assert psi_from_counts(*merged) <= psi_from_counts(*counts) + 1e-12


@given(_any_bins)
def test_the_order_of_bins_is_of_no_account(counts: tuple[list[int], list[int]]) -> None:
    backwards = [side[::-1] for side in counts]
    assert psi_from_counts(*backwards) == pytest.approx(psi_from_counts(*counts), rel=1e-9, abs=1e-12)
    assert psi_pvalue(*backwards) == pytest.approx(psi_pvalue(*counts), rel=1e-6, abs=1e-12)


@given(_any_bins)
def test_a_bin_that_is_empty_on_both_sides_changes_nothing(counts: tuple[list[int], list[int]]) -> None:
    wider = [[*side, 0] for side in counts]
    assert psi_from_counts(*wider) == pytest.approx(psi_from_counts(*counts), rel=1e-12)
    assert psi_expected(*wider) == psi_expected(*counts)
    assert psi_pvalue(*wider) == psi_pvalue(*counts)


@given(_any_bins)
@settings(max_examples=examples(200))
def test_pvalue_is_a_probability(counts: tuple[list[int], list[int]]) -> None:
    assert 0 <= psi_pvalue(*counts) <= 1


def test_pvalue_equals_scipys_homogeneity_test_when_no_bin_is_thin() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        table = rng.integers(50, 500, size=(2, 10))
        assert psi_pvalue(*table) == pytest.approx(chi2_contingency(table, correction=False).pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("reference_rows", "current_rows", "shares"),
    [
        pytest.param(50, 50, [0.1] * 10, id="five_rows_a_bin"),
        pytest.param(1_000, 200, [0.1] * 10 + [0.01] * 3, id="three_thin_bins"),
        pytest.param(10_000, 200, [0.5, 0.2, 0.1] + [0.02] * 5 + [0.01] * 10, id="ten_thin_bins"),
        pytest.param(10_000, 200, [0.999, 0.001], id="rare_flag"),
    ],
)
def test_false_alarms_of_bins_from_elsewhere_stay_at_their_nominal_rate(
    reference_rows: int, current_rows: int, shares: list[float]
) -> None:
    rng, draws = np.random.default_rng(7), 4_000
    shares = (np.array(shares) / np.sum(shares)).tolist()
    references = rng.multinomial(reference_rows, shares, draws)
    currents = rng.multinomial(current_rows, shares, draws)
    alarms = sum(psi_pvalue(*pair) < 0.01 for pair in zip(references, currents, strict=True))
    # 0.01 plus four standard errors of a rate of 0.01 in 4,000 draws.
    assert alarms / draws <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / draws)


@pytest.mark.parametrize(("reference_rows", "current_rows"), [(500, 500), (5_000, 1_000)])
def test_expected_psi_is_the_mean_over_samples_of_one_population(reference_rows: int, current_rows: int) -> None:
    rng = np.random.default_rng(3)
    pairs = zip(
        rng.multinomial(reference_rows, [0.1] * 10, 2_000),
        rng.multinomial(current_rows, [0.1] * 10, 2_000),
        strict=True,
    )
    measured = [(psi_from_counts(*pair), psi_expected(*pair)) for pair in pairs]
    mean, expected = np.mean(measured, axis=0)
    assert mean == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("reference", "current", "message"),
    [
        ([1, 2], [0, 0], "the current window is empty"),
        ([0, 0], [1, 2], "the reference window is empty"),
        ([], [], "the reference window is empty"),
        ([1, 2], [1, 2, 3], "not over the same bins"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(reference: list[int], current: list[int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        psi_from_counts(reference, current)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_pvalue_and_keeps_their_order(pvalues: list[float]) -> None:
    adjusted = adjust_for_multiplicity(pvalues)
    assert all(after >= before for after, before in zip(adjusted, pvalues, strict=True))
    order = np.argsort(pvalues, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_holm_equals_the_hand_computed_values() -> None:
    # 4 * 0.005, then max(0.02, 3 * 0.01) = 0.03, max(0.03, 2 * 0.03) = 0.06, max(0.06, 0.04) = 0.06
    assert adjust_for_multiplicity([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(("reference_rows", "current_rows"), [(200, 50), (50, 50), (1_000, 50), (800, 200)], ids=str)
def test_false_alarms_of_quantile_bins_stay_at_their_nominal_rate(reference_rows: int, current_rows: int) -> None:
    rng, draws = np.random.default_rng(7), 4_000
    # The share between two quantiles is drawn, the reference's counts between them are not.
    shares = rng.dirichlet([reference_rows / 10] * 10, draws)
    currents = rng.multinomial(current_rows, shares)
    alarms = sum(psi_pvalue([reference_rows // 10] * 10, each, is_quantile=True) < 0.01 for each in currents)
    assert alarms / draws <= 0.01 + 4 * math.sqrt(0.01 * 0.99 / draws)
