from __future__ import annotations

import numpy as np
import pytest

from include.monitoring.design_effect import INDEPENDENT, estimate_design_effect
from include.monitoring.drift import measure_drift
from include.monitoring.profile_json import profile_from_json, profile_to_json
from include.monitoring.reference_profile import build_reference_profile

SNAPSHOTS = 4


def panel(entities: int, snapshots: int, *, alike: float, features: int = 1, seed: int = 0) -> np.ndarray:
    """Snapshots by entities by features of an autoregression in which nothing ever changes."""
    rng, values = np.random.default_rng(seed), []
    now = rng.normal(size=(entities, features))
    for _ in range(snapshots):
        values.append(now)
        now = alike * now + np.sqrt(1 - alike**2) * rng.normal(size=(entities, features))
    return np.array(values)


@pytest.mark.parametrize(("times", "bins"), [(2, 2), (4, 10)])
def test_an_entity_that_never_changes_counts_once(times: int, bins: int) -> None:
    entities = np.repeat(np.arange(5_000), times)
    effect = estimate_design_effect(entities % bins, entities)
    assert effect.mean == pytest.approx(times, rel=1e-3)
    assert effect.spread == pytest.approx(0, abs=1e-3)


def test_rows_of_entities_that_do_not_recur_or_are_not_alike_are_independent() -> None:
    bins = np.random.default_rng(0).integers(0, 10, 4_000)
    assert estimate_design_effect(bins, np.arange(4_000)) == INDEPENDENT
    assert estimate_design_effect(bins, np.arange(4_000) % 1_000).mean == pytest.approx(1, abs=0.05)


def test_one_entity_tells_as_much_as_one_row() -> None:
    assert estimate_design_effect(np.arange(40) % 10, np.zeros(40, dtype=np.int64)).mean == 40


def test_the_effect_is_how_much_more_bin_shares_vary_between_worlds() -> None:
    shares, effects = [], []
    clusters = np.tile(np.arange(300), SNAPSHOTS)
    for seed in range(400):
        bins = np.digitize(panel(300, SNAPSHOTS, alike=0.9, seed=seed).ravel(), [-1, 0, 1])
        shares.append(np.bincount(bins, minlength=4) / len(bins))
        effects.append(estimate_design_effect(bins, clusters).mean)
    truth = np.mean(shares, axis=0)
    varies = np.sum(np.var(shares, axis=0) / truth) / 3 * len(clusters)
    assert np.mean(effects) == pytest.approx(varies, rel=0.15)


def test_where_nothing_changes_a_window_raises_a_false_alarm_once_in_a_hundred() -> None:
    # Each world has its own reference, eight weeks of the same hundred customers, and one night two years later.
    alarms, worlds, features, weeks = np.zeros(2), 80, 8, 8
    clusters = np.tile(np.arange(100), weeks)
    for seed in range(worlds):
        values = panel(100, weeks + 104, alike=0.98, features=features, seed=seed)
        columns = {f"f{n}": values[:weeks, :, n].ravel() for n in range(features)}
        window = {f"f{n}": values[-1, :, n] for n in range(features)}
        for place, given in enumerate((None, clusters)):
            profile = build_reference_profile(columns, clusters=given)
            judged = measure_drift(profile, window, min_rows=30, moderate=0.1, significant=0.2)
            alarms[place] += any(drift.verdict in ("moderate", "significant") for drift in judged)
    # 1 % of 80 windows is 0.8; five or more has a probability of 1e-3.
    assert alarms[1] < 5
    assert alarms[0] >= 8


def test_the_effect_travels_with_the_profile() -> None:
    values = panel(100, SNAPSHOTS, alike=0.99)[:, :, 0]
    profile = build_reference_profile({"x": values.ravel()}, clusters=np.tile(np.arange(100), SNAPSHOTS))
    assert profile.features[0].effect.mean > 2
    assert profile_from_json(profile_to_json(profile)) == profile
