"""False alarms of whole years, and how soon a shift is found. ``make test-statistics`` plays all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from include.monitoring.anytime import lifelong_alarms
from include.monitoring.drift import measure_drift
from include.monitoring.feature_profile import ReferenceProfile
from tests.statistics.null_years import (
    IMPORTANCE,
    SNAPSHOTS,
    VERDICTS,
    WEEK,
    World,
    judge,
    profile_of,
    psi_of_nights,
    retrains,
)
from tests.unit.monitoring.nights import make_drift

FULL = os.environ.get("STATISTICS") == "full"
YEAR, HALF_A_YEAR, REFERENCE = 365, 180, SNAPSHOTS * WEEK
YEARS = {50: 1_600, 500: 400} if FULL else {50: 4, 500: 1}
BREACHES, WINDOWS, FALSE_ALARMS = 3, 5, 0.05

pytestmark = pytest.mark.timeout(7200)


@pytest.mark.parametrize("rows", [50, 500])
def test_many_nights_at_a_time_have_the_verdicts_of_each(rows: int) -> None:
    world = World(rows, features=6, alike=0.5)
    nights = world.nights(REFERENCE + 12, seed=1, shift=0.55)
    nights[-1, 1, : rows // 8] = 9.0
    profile = profile_of(nights, until=REFERENCE)
    at_once = judge(profile, nights[REFERENCE:])
    for place, night in enumerate(nights[REFERENCE:]):
        columns = {f"f{n}": values for n, values in enumerate(night)}
        judged = measure_drift(ReferenceProfile(profile), columns, min_rows=50, moderate=0.1, significant=0.2)
        assert [drift.verdict for drift in judged] == [VERDICTS[each] for each in at_once[place]]
    assert VERDICTS[at_once[-1, 1]] == "significant"


@pytest.mark.parametrize("rows", [50, 500])
def test_a_year_in_which_nothing_changes_asks_for_at_most_one_retrain(rows: int) -> None:
    found = [unchanged_year(rows, seed).retrains for seed in range(YEARS[rows])]
    # Anscombe's upper end of a Poisson mean, one-sided 99 %.
    upper = (np.sqrt(sum(found) + 3 / 8 + 1) + 2.33 / 2) ** 2 / len(found)
    print(f"{rows} rows: {sum(found)} retrains in {len(found)} years, mean at most {upper:.3f}")
    assert (upper if FULL else np.mean(found)) <= 1


def test_half_a_deviation_in_five_hundred_rows_is_decided_on_within_the_policys_nights() -> None:
    # And the test of a model's life, half a year old and of fifty features, finds it on the first night most often.
    runs, decided, found = 200 if FULL else 40, [], []
    for seed in range(runs):
        nights = World(500, features=5).nights(REFERENCE + 5, seed=seed, shift=0.5)
        decided.append(next((place + 1 - REFERENCE for place in retrains(nights)), 99))
        found.append(first_lifelong_alarm(nights))
    print(
        f"decided within 3, 5 nights: {share(decided, 3)}, {share(decided, 5)}; lifelong: {share(found, 1)} on the 1st"
    )
    assert share(decided, 5) >= 0.95
    assert np.median(found) <= np.median(decided)


@pytest.mark.thorough
def test_a_models_test_finds_half_a_deviation_before_psi_does_at_equal_false_alarms() -> None:
    # PSI three times in five nights, above what one year in twenty reaches of fifty features that don't change.
    years, runs = (200, 60) if FULL else (1, 6)
    limit = np.quantile([max(unchanged_year(500, seed).breached) for seed in range(years)], 1 - FALSE_ALARMS)
    found: dict[float, tuple[list[int], list[int]]] = {}
    for shift in (0.3, 0.4, 0.5, 0.7) if FULL else (0.5,):
        worlds = [World(500, features=5).nights(REFERENCE + 30, seed=1_000 + seed, shift=shift) for seed in range(runs)]
        counted = [psi_of_nights(profile_of(each, until=REFERENCE)[0], each[REFERENCE:, 0]) for each in worlds]
        found[shift] = (list(map(first_lifelong_alarm, worlds)), [first_above(each, limit) for each in counted])
        told = [f"{mean_delay(nights):.1f}" for nights in found[shift]]
        print(f"{shift} deviations, mean nights of at most 31: lifelong {told[0]}, PSI above {limit:.3f} {told[1]}")
    lifelong, psi = found[0.5]
    assert np.mean(lifelong) <= 1.3 * np.mean(psi)


@pytest.mark.thorough
def test_the_policy_decides_about_as_soon_as_psi_does_at_equal_false_alarms() -> None:
    # Watched by PSI are all features, as most teams do, or those alone that the model rests on, as the policy does. Its
    # limit is the one that is passed in as many of these years as the policy retrains in.
    seeds, runs = (200, 60) if FULL else (1, 3)
    years = [unchanged_year(500, seed) for seed in range(seeds)]
    alarms = sum(year.retrains > 0 for year in years)
    limits = [
        sorted(max(year.breached[:watched]) for year in years)[-1 - alarms] for watched in (None, len(IMPORTANCE))
    ]
    for shift in (0.25, 0.3, 0.35, 0.5, 1.0) if FULL else (0.5, 1.0):
        worlds = [World(500).nights(REFERENCE + 30, seed=1_000 + seed, shift=shift) for seed in range(runs)]
        counted = [psi_of_nights(profile_of(each, until=REFERENCE)[0], each[REFERENCE:, 0]) for each in worlds]
        policy = mean_delay([next(iter(retrains(each)), 99) + 1 - REFERENCE for each in worlds])
        psi = [mean_delay([first_above(each, limit) for each in counted]) for limit in limits]
        told = ", ".join(f"{each:.1f} above {limit:.3f}" for each, limit in zip(psi, limits, strict=True))
        print(f"{shift} deviations, mean nights of at most 31: policy {policy:.1f}, PSI of all and of important {told}")
        assert policy <= 1.3 * (min(psi) if shift >= 0.35 else psi[0])
    print(f"{alarms} of {seeds} unchanged years with an alarm")


def mean_delay(nights: list[int]) -> float:
    return float(np.mean(np.minimum(nights, 31)))


@dataclass(frozen=True)
class UnchangedYear:
    """How many retrains a year has in which nothing changes, and the limit that each feature's PSI passes at most."""

    retrains: int
    breached: tuple[float, ...]


@cache
def unchanged_year(rows: int, seed: int) -> UnchangedYear:
    nights = World(rows).nights(REFERENCE + YEAR, seed=seed)
    profile = profile_of(nights, until=REFERENCE)
    highest = (breached(psi_of_nights(each, nights[REFERENCE:, n])).max() for n, each in enumerate(profile))
    return UnchangedYear(len(retrains(nights)), tuple(highest))


def first_above(psi: np.ndarray, limit: float) -> int:
    return next((place + 1 for place, each in enumerate(breached(psi)) if each > limit), 99)


def breached(psi: np.ndarray) -> np.ndarray:
    """Return the limit that each night's last five nights pass three times."""
    none = np.full(WINDOWS - 1, -np.inf)
    return np.sort(np.lib.stride_tricks.sliding_window_view([*none, *psi], WINDOWS))[:, -BREACHES]


def share(nights: list[int], within: int) -> float:
    return float(np.mean(np.array(nights) <= within))


def first_lifelong_alarm(nights: np.ndarray) -> int:
    quiet = replace(make_drift("quiet"), ks=0.0, ks_error=0.0, independent_rows=1_000.0)
    profile = profile_of(nights, until=REFERENCE)
    for place, night in enumerate(nights[REFERENCE:], start=1):
        columns = {f"f{n}": values for n, values in enumerate(night)}
        judged = measure_drift(ReferenceProfile(profile), columns, min_rows=50, moderate=0.1, significant=0.2)
        if lifelong_alarms([judged[0], *[quiet] * 49], night=HALF_A_YEAR + place, false_alarms=0.05):
            return place
    return 99
