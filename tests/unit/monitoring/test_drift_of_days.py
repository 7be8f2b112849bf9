from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import UsageError
from include.monitoring.drift import measure_drift
from include.monitoring.drift_of_days import psi_of_days
from include.monitoring.reference_profile import build_reference_profile
from tests.unit.monitoring.nights import make_drift


def measured(profile, window):
    return measure_drift(profile, {"x": window}, min_rows=1, moderate=0.1, significant=0.2)[0]


@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.sampled_from(["numbers", "texts"]))
@settings(max_examples=40)
def test_seven_stored_days_have_the_psi_of_their_week(rng: np.random.Generator, kind: str) -> None:
    def draw(rows: int, moved: float) -> np.ndarray:
        if kind == "texts":
            return rng.choice(np.array(["a", "b", None, "new"], dtype=object), rows, p=[0.5, 0.4 - moved, 0.1, moved])
        values = np.floor(rng.exponential(1 + moved, rows))
        values[rng.random(rows) < 0.1] = rng.choice([np.nan, np.inf, 1e9])
        return values

    profile = build_reference_profile({"x": draw(900, 0.0)})
    days = [draw(int(rng.integers(0, 80)), 0.3) for _ in range(7)]
    week = measured(profile, np.concatenate(days))
    together = psi_of_days(profile.features[0], [measured(profile, day) for day in days])
    assert together == (None if week.psi is None else pytest.approx(week.psi, rel=1e-12))


def test_days_of_fewer_bits_than_the_reference_have_the_psi_of_their_week() -> None:
    wide = 2.0**24 + np.random.default_rng(0).integers(0, 60, 2_000)
    profile = build_reference_profile({"x": wide})
    days = [measured(profile, day) for day in np.array_split(wide.astype(np.float32), 7)]
    assert psi_of_days(profile.features[0], days) == measured(profile, wide.astype(np.float32)).psi == 0.0


def test_days_of_different_bits_are_refused_and_those_without_a_value_have_none() -> None:
    wide = 2.0**24 + np.random.default_rng(0).integers(0, 60, 2_000)
    profile = build_reference_profile({"x": wide})
    narrow, whole = measured(profile, wide.astype(np.float32)), measured(profile, wide)
    with pytest.raises(UsageError, match="float32 and float64"):
        psi_of_days(profile.features[0], [narrow, whole])
    nothing = measured(profile, np.full(40, np.nan))
    together = measured(profile, np.append(wide, np.full(40, np.nan)).astype(np.float32))
    assert psi_of_days(profile.features[0], [nothing, narrow]) == pytest.approx(together.psi, rel=1e-12)


def test_days_without_counts_add_nothing_and_days_of_other_bins_are_refused() -> None:
    values = np.random.default_rng(0).normal(size=500)
    ten, five = (build_reference_profile({"x": values}, bins=bins) for bins in (10, 5))
    assert psi_of_days(ten.features[0], [make_drift("x")]) is None
    assert psi_of_days(ten.features[0], [measured(ten, values), make_drift("x")]) == 0.0
    with pytest.raises(UsageError, match="days of one version"):
        psi_of_days(ten.features[0], [measured(five, values)])
