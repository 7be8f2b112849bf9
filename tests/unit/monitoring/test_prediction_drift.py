from __future__ import annotations

import json

import numpy as np
import pytest

from include.monitoring.check import Check
from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.prediction_drift import prediction_drift
from include.monitoring.profile_json import profile_from_json, profile_to_json
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.window_counts import WindowCounts

RNG = np.random.default_rng(0)
PROFILE = build_reference_profile({"score": RNG.beta(2, 5, 2_000).astype(np.float32)})


def checked(profile: ReferenceProfile, night: np.ndarray, *, min_rows: int) -> Check:
    window = WindowCounts(profile)
    window.add({"score": night})
    return prediction_drift(window.columns.get("score"), min_rows=min_rows)


def scores(rows: int, *, shift: float = 0.0, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).beta(2, 5, rows) + shift


def test_scores_of_the_same_population_are_fine() -> None:
    check = checked(PROFILE, scores(1_000), min_rows=200)
    assert (check.watch, check.name, check.verdict, check.threshold, check.reason) == (
        "prediction_drift", "ks_distance", "ok", 0.1, None,
    )  # fmt: skip
    assert (check.reference_rows, check.current_rows, check.low) == (2_000, 1_000, 0.0)


def test_scores_that_moved_are_a_breach_with_an_interval_around_the_true_distance() -> None:
    from scipy.stats import beta

    grid = np.linspace(0, 1, 2_001)
    truth = np.max(beta.cdf(grid, 2, 5) - beta.cdf(grid - 0.08, 2, 5))
    for seed in range(20):
        check = checked(PROFILE, scores(800, shift=0.08, seed=seed), min_rows=200)
        assert check.verdict == "breach"
        assert "distance" in str(check.reason)
        assert check.low is not None
        assert check.high is not None
        assert check.low <= truth <= check.high


@pytest.mark.parametrize(
    ("rows", "shift", "verdict"),
    [(200_000, 0.01, "ok"), (60, 0.03, "ok"), (60, 0.15, "breach")],
    ids=["sure but small", "large but by chance", "large and sure"],
)
def test_a_breach_is_both_large_and_beyond_chance(rows: int, shift: float, verdict: str) -> None:
    assert checked(PROFILE, scores(rows, shift=shift, seed=4), min_rows=50).verdict == verdict


def test_the_same_entities_several_times_make_the_test_less_sure() -> None:
    once = RNG.beta(2, 5, 100)
    every = build_reference_profile({"score": np.tile(once, 8)}, clusters=np.tile(np.arange(100), 8))
    independent = build_reference_profile({"score": np.tile(once, 8)})
    night = scores(120, shift=0.07)
    assert [checked(each, night, min_rows=50).verdict for each in (independent, every)] == ["breach", "ok"]


def test_what_cannot_be_compared_is_unknown_and_says_why() -> None:
    old = json.loads(profile_to_json(PROFILE))
    kept = ("name", "kind", "edges", "categories", "counts", "missing", "minimum", "maximum", "unjudged")
    old = {"format": 1, "features": [{key: feature[key] for key in kept} for feature in old["features"]]}
    cases = {
        "12 scores, below 200": (PROFILE, scores(12)),
        "0 scores, below 200": (PROFILE, np.full(500, np.nan)),
        "keeps no scores": (profile_from_json(json.dumps(old)), scores(500)),
        "has no score": (build_reference_profile({"x": scores(500)}), scores(500)),
    }
    for said, (profile, night) in cases.items():
        check = checked(profile, night, min_rows=200)
        assert (check.verdict, check.value, check.low) == ("unknown", None, None)
        assert said in str(check.reason)
