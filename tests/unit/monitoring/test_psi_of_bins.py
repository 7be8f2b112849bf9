"""Which bin a shift is mostly of, in words that are true of its rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.monitoring.drift import measure_drift
from include.monitoring.feature_drift import tell_drift
from include.monitoring.psi import psi_from_counts
from include.monitoring.psi_of_bins import shares_of_bins
from include.monitoring.reference_profile import build_reference_profile

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=12).filter(
    lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True))
)


@given(COUNTS)
def test_shares_add_up_to_all_of_psi_and_none_is_negative(pairs: list[tuple[int, int]]) -> None:
    reference, current = (np.array(side) for side in zip(*pairs, strict=True))
    shares = shares_of_bins(reference, current)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1.0 if psi_from_counts(reference, current) > 0 else 0.0)


TEN = np.arange(1_000.0) % 100
ZEROS = np.where(np.arange(1_000) % 10 < 6, 0.0, 1 + np.arange(1_000) % 7)
EVERY = np.arange(1_000)
FEWER = np.where((ZEROS == 0) & (EVERY % 2 == 0), 1 + EVERY // 2 % 7, ZEROS)
TEXTS = np.array(["FR", "DE", "UK", "FR"] * 250, dtype=object)
ABROAD = np.where((TEXTS == "FR") & (EVERY % 4 > 0), "ES", TEXTS)


@pytest.mark.parametrize(
    ("reference", "window", "mostly"),
    [
        (TEN, np.where(TEN < 60, 95.0, TEN), "values above 89.1"),
        (TEN, np.where(TEN < 60, 3.0, TEN), "values up to 9.9"),
        (TEN, np.where(TEN < 60, 45.0, TEN), "values above 39.6 up to 49.5"),
        (TEN, np.where(TEN < 60, np.nan, TEN), "rows without a value"),
        (ZEROS, np.where((ZEROS == 0) & (EVERY % 2 > 0), 7.0, ZEROS), "values above 6"),
        (ZEROS, np.where(ZEROS == 0, -1.0, ZEROS), "values below 0"),
        (ZEROS, FEWER, "values of 0"),
        (TEXTS, np.where(TEXTS == "FR", "DE", TEXTS), "FR"),
        (TEXTS, ABROAD, "values that the reference never had"),
    ],
    ids=["high", "low", "middle", "missing", "more than nothing", "negative", "zeros", "category", "unseen"],
)
def test_the_bin_that_most_of_a_shift_is_of_is_told_by_what_it_holds(
    reference: np.ndarray, window: np.ndarray, mostly: str
) -> None:
    (judged,) = measure_drift(
        build_reference_profile({"x": reference}), {"x": window}, min_rows=50, moderate=0.1, significant=0.2
    )
    assert judged.verdict == "significant"
    assert judged.mostly is not None
    assert judged.mostly.partition(" of it by ")[2] == mostly
    assert judged.reason is not None or tell_drift(judged).endswith(f"expected by chance), {judged.mostly}")


def test_of_what_has_not_shifted_no_bin_is_told() -> None:
    window = np.random.default_rng(0).permutation(TEN)[:300]
    (judged,) = measure_drift(
        build_reference_profile({"x": TEN}), {"x": window}, min_rows=50, moderate=0.1, significant=0.2
    )
    assert (judged.verdict, judged.mostly) == ("stable", None)
