"""What the shipped policy does over years in which nothing changes, and on the days after something has.

The world is a panel: the same entities every night, alike from day to day, and a reference of four weekly snapshots.
So rows depend on one another, within the reference and from night to night, as those of a shop's customers do.
STATISTICS=full (`make test-statistics`) plays twenty years of fifty features at both sizes, else a part of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2

from include import partitions
from include.monitoring.anytime import lifelong_alarms
from include.monitoring.backtest import Backtest, Costs, play_naive, play_policy
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.drift import measure_drift
from include.monitoring.reference_profile import build_reference_profile
from tests.unit.monitoring.nights import MONITORING, make_policy

FULL = os.environ.get("STATISTICS") == "full"
SEEDS, DAYS, FEATURES, RUNS = (20, 365, 50, 200) if FULL else (1, 120, 20, 20)
FIRST = "2026-01-01"
ALIKE = 0.9  # from week to week
GAP_DAYS = 60  # labels take a horizon: the reference is older than the first night
LIFELONG = 0.05
MIN_ROWS = MONITORING.model_copy(update={"min_rows": 50})
# Three features are what the model rests on, as is usual; each of them counts alone.
IMPORTANCE = {f"f{n}": 0.3 if n < 3 else 0.001 for n in range(50)}

pytestmark = pytest.mark.timeout(7200)


def panel(rng: np.random.Generator, rows: int, features: int) -> Iterator[NDArray[np.float32]]:
    """Yield the same entities day by day, an autoregression of standard normals."""
    daily = ALIKE ** (1 / 7)
    values = rng.standard_normal((rows, features))
    while True:
        yield values.astype(np.float32)
        values = daily * values + np.sqrt(1 - daily**2) * rng.standard_normal((rows, features))


def nights(seed: int, rows: int, days: int, features: int, *, shift: float = 0.0, on: int = 0) -> list[NightMetrics]:
    """Measure days of a panel against four weeks of it; from day `on` the first feature is shifted."""
    world = panel(np.random.default_rng(seed), rows, features)
    reference = [next(world) for _ in range(22)][::7]
    names = [f"f{n}" for n in range(features)]
    columns = dict(zip(names, np.concatenate(reference).T, strict=True))
    profile = build_reference_profile(columns, clusters=np.tile(np.arange(rows), len(reference)))
    for _ in range(GAP_DAYS):
        next(world)
    measured = []
    for day in range(days):
        today = next(world).T.copy()
        today[0] += shift * (day >= on)
        drift = measure_drift(profile, dict(zip(names, today, strict=True)), min_rows=50, moderate=0.1, significant=0.2)
        night = partitions.shift(FIRST, day)
        measured.append(NightMetrics(night, rows, DataQuality("ok"), drift, 1, (), IMPORTANCE))
    return measured


def played(measured: list[NightMetrics], *changes: str) -> Backtest:
    trained = partitions.shift(FIRST, -1)
    return play_policy(
        "shipped", measured, make_policy(), MIN_ROWS, trained=trained, changes=changes, costs=Costs(1, 1)
    )


@pytest.mark.parametrize("rows", [50, 500])
def test_a_year_without_a_change_has_less_than_one_retrain_by_drift_and_no_lifelong_alarm(rows: int) -> None:
    retrains, naive, lives = 0, 0, 0
    for seed in range(SEEDS):
        measured = nights(seed, rows, DAYS, FEATURES)
        retrains += len(played(measured).retrains)
        naive += len(play_naive(measured, make_policy(), MIN_ROWS, changes=(), costs=Costs(1, 1)).retrains)
        alarms = lifelong_alarms([night.drift for night in measured], false_alarms=LIFELONG)
        lives += any(alarms)
    years = SEEDS * DAYS / 365
    most = chi2.ppf(0.975, 2 * (retrains + 1)) / 2 / years
    print(
        f"{rows} rows, {years:.1f} years of {FEATURES} features: {retrains} retrains ({retrains / years:.2f} a year, "
        f"at most {most:.2f}), {naive} by PSI alone, {lives} of {SEEDS} lives with a lifelong alarm"
    )
    assert retrains == 0 or FULL
    assert most < 1.0 or not FULL
    assert lives <= LIFELONG * SEEDS


def test_half_a_deviation_of_one_feature_that_the_model_rests_on_is_decided_on_within_n_days() -> None:
    on = 6
    change = partitions.shift(FIRST, on)
    delays, peers = [], []
    for seed in range(RUNS):
        measured = nights(1000 + seed, 500, on + 14, 10, shift=0.5, on=on)
        delays.append(played(measured, change).days_to_detection[change])
        naive = play_naive(measured, make_policy(), MIN_ROWS, changes=[change], costs=Costs(1, 1))
        peers.append(naive.days_to_detection[change])
    within = np.mean([delay is not None and delay < make_policy().breaches for delay in delays])
    print(f"{RUNS} runs: {within:.1%} within {make_policy().breaches} days; PSI alone: {sum(p == 2 for p in peers)}")
    assert within >= 0.95
