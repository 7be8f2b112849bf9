from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.monitoring.quantile_sketch import SKETCH_SIZE, sketch
from include.monitoring.two_sample import compare_numeric, compare_with_sketch

_samples = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def draw(rng: np.random.Generator) -> np.ndarray:
    """A sample of any size and shape: ties, infinities, missing rows."""
    rows = int(rng.integers(1, 4_000))
    values = rng.choice([rng.normal(size=rows), np.floor(rng.exponential(2, rows)), rng.pareto(1, rows)])
    for value in (np.inf, -np.inf, np.nan):
        values[rng.random(rows) < rng.choice([0.0, 0.1])] = value
    return values


@given(_samples)
@settings(max_examples=60)
def test_the_distance_from_a_sketch_is_that_from_the_sample_within_its_error(rng: np.random.Generator) -> None:
    reference, current = draw(rng), draw(rng)
    frozen = sketch(reference)
    found, exact = compare_with_sketch(frozen, current), compare_numeric(reference, current)
    assert (found is None) == (exact is None)
    if found is not None and exact is not None:
        assert found.ks.statistic == pytest.approx(exact.ks.statistic, abs=frozen.error + 1e-12)
        assert found.ks.pvalue >= exact.ks.pvalue * (1 - 1e-9)


@given(_samples)
@settings(max_examples=30)
def test_a_small_sample_is_kept_whole(rng: np.random.Generator) -> None:
    reference, current = rng.normal(size=int(rng.integers(1, SKETCH_SIZE + 1))), rng.normal(size=300)
    found, exact = compare_with_sketch(sketch(reference), current), compare_numeric(reference, current)
    assert found is not None
    assert exact is not None
    assert found.ks == exact.ks
    assert found.wasserstein == pytest.approx(exact.wasserstein, rel=1e-9)
    # A reference of one value has no deviation to measure by.
    own = exact.wasserstein_normalised
    assert found.wasserstein_normalised == (own and pytest.approx(own, rel=1e-9))


def test_the_sketch_of_a_million_values_tells_wasserstein_within_a_thousandth_of_a_deviation() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=1_000_000), rng.normal(0.3, 1.2, 20_000)
    frozen = sketch(reference)
    assert (len(frozen.values), frozen.error) == (SKETCH_SIZE, pytest.approx(1 / 1_024, rel=1e-3))
    found, exact = compare_with_sketch(frozen, current), compare_numeric(reference, current)
    assert found.wasserstein == pytest.approx(exact.wasserstein, abs=2e-3)
