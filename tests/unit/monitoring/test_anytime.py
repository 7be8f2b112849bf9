from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from include.monitoring.anytime import LifelongAlarm, lifelong_alarms
from include.monitoring.drift import measure_drift
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.reference_profile import build_reference_profile
from tests.unit.monitoring.nights import make_drift

ALLOWED = 0.05


def distance(reference: np.ndarray, night: np.ndarray) -> float:
    """The largest distance of both distribution functions; both samples sorted."""
    grid = np.concatenate([reference, night])
    sides = [np.searchsorted(sample, grid, side="right") / len(sample) for sample in (reference, night)]
    return float(np.abs(sides[0] - sides[1]).max())


def looked_at(reference: np.ndarray, night: np.ndarray, *, name: str = "x", rows: float | None = None) -> FeatureDrift:
    """A night as it is measured; `rows` is how many of the reference's are independent."""
    return replace(
        make_drift(name),
        current_rows=len(night),
        ks=distance(np.sort(reference), np.sort(night)),
        ks_error=0.0,
        independent_rows=float(rows or len(reference)),
    )


def alarms_of(life: list[list[FeatureDrift]]) -> list[tuple[LifelongAlarm, ...]]:
    return [lifelong_alarms(drifts, night=night, false_alarms=ALLOWED) for night, drifts in enumerate(life, start=1)]


def lives_with_alarms(lives: list[list[list[FeatureDrift]]]) -> int:
    return sum(any(alarms_of(life)) for life in lives)


def panel(rng: np.random.Generator, rows: int, nights: int, *, alike: float) -> list[np.ndarray]:
    values = [rng.normal(size=rows)]
    for _ in range(nights - 1):
        values.append(alike * values[-1] + np.sqrt(1 - alike**2) * rng.normal(size=rows))
    return values


@pytest.mark.parametrize(
    ("rows", "alike"),
    [(50, 0.0), (50, 0.97), pytest.param(300, 0.97, marks=pytest.mark.thorough)],
    ids=["new", "alike", "many_alike"],
)
def test_a_year_of_nights_in_which_nothing_changes_raises_no_more_alarms_than_allowed(rows: int, alike: float) -> None:
    # The reference is the first night of the same customers.
    lives = []
    for seed in range(20):
        features = [panel(np.random.default_rng([seed, n]), rows, 366, alike=alike) for n in range(3)]
        nights = zip(*(feature[1:] for feature in features), strict=True)
        lives.append(
            [[looked_at(feature[0], night) for feature, night in zip(features, at, strict=True)] for at in nights]
        )
    # 5 % of 20 lives is 1; five or more has a probability of 3e-3.
    assert lives_with_alarms(lives) < 5
    # A test of each night at 1 % that nobody corrects alarms in most of them.
    naive = [any(d.ks > 1.63 * np.sqrt(2 / rows) for night in life for d in night) for life in lives]
    assert sum(naive) > 8


def test_the_error_of_a_small_reference_is_no_drift_however_many_rows_a_night_has() -> None:
    rng, lives = np.random.default_rng(3), []
    for _ in range(200):
        reference = rng.normal(size=40)
        lives.append([[looked_at(reference, rng.normal(size=20_000))]])
    assert lives_with_alarms(lives) <= 200 * ALLOWED + 4 * np.sqrt(200 * ALLOWED)


def test_the_bound_is_used_and_not_only_kept() -> None:
    # Distances of endless nights are the reference's own error: half of the allowed chance is spent on it.
    rng, alarms, lives = np.random.default_rng(4), 0, 3_000
    for _ in range(lives):
        places = np.sort(rng.random(30))
        ranks = np.arange(31) / 30
        error = max(np.abs(ranks[1:] - places).max(), np.abs(ranks[:-1] - places).max())
        night = replace(make_drift("x"), current_rows=10**9, ks=float(error), ks_error=0.0, independent_rows=30.0)
        alarms += bool(alarms_of([[night]])[0])
    assert ALLOWED / 8 < alarms / lives <= ALLOWED / 2 + 4 * np.sqrt(ALLOWED / 2 / lives)


@pytest.mark.parametrize("since", [0, 100, 1_000])
def test_half_a_deviation_in_five_hundred_rows_is_found_within_three_nights(since: int) -> None:
    quiet = [replace(make_drift(f"f{n}"), ks=0.01, ks_error=0.0, independent_rows=2_000.0) for n in range(10)]
    found, runs = 0, 60
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        reference = rng.normal(size=2_000)
        moved = [[looked_at(reference, rng.normal(0.5, 1, 500), name="f0"), *quiet[1:]] for _ in range(3)]
        alarms = alarms_of([quiet] * since + moved)
        assert not any(alarms[:since])
        found += any(alarm.feature == "f0" for night in alarms[since:] for alarm in night)
    assert found >= 0.95 * runs


def test_a_measured_night_says_all_that_the_test_needs() -> None:
    rng = np.random.default_rng(0)
    reference, night = np.tile(rng.normal(size=500), 4), np.append(rng.normal(1, 1, 400), np.full(100, np.nan))
    profile = build_reference_profile({"x": reference}, clusters=np.tile(np.arange(500), 4))
    (judged,) = measure_drift(profile, {"x": night}, min_rows=50, moderate=0.1, significant=0.2)
    assert judged.independent_rows == pytest.approx(500, rel=0.02)
    (alarm,) = alarms_of([[judged]])[0]
    # log(2 / 0.025) / 2 of 500 and of 400 rows, the latter of half the chance.
    expected = np.sqrt(np.log(80) / 2 / judged.independent_rows) + np.sqrt(np.log(160) / 800) + judged.ks_error
    assert (alarm.feature, alarm.by_chance) == ("x", pytest.approx(expected, rel=1e-6))


def test_what_was_stored_before_and_what_has_no_numbers_never_alarms() -> None:
    assert alarms_of([[make_drift("x"), make_drift("y", psi=None)], []]) == [(), ()]
