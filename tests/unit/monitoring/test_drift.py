from __future__ import annotations

import json

import numpy as np
import pytest

from include.monitoring.drift import measure_drift
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.profile_json import profile_from_json, profile_to_json
from include.monitoring.reference_profile import build_reference_profile


def drift_of(reference: dict[str, np.ndarray], window: dict[str, np.ndarray], min_rows: int = 200):
    judged = measure_drift(build_reference_profile(reference), window, min_rows=min_rows, moderate=0.1, significant=0.2)
    return {drift.feature: drift for drift in judged}


def normal(rows: int, *, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, rows)


def texts(stem: str, distinct: int, rows: int, *, seed: int = 0) -> np.ndarray:
    """Every one of so many values at least once, in any order."""
    numbers = np.append(np.arange(distinct), np.random.default_rng(seed).integers(0, distinct, rows - distinct))
    return np.array([f"{stem}{number}" for number in numbers], dtype=object)


def test_the_same_rows_are_stable_at_zero() -> None:
    values = normal(1_000)
    judged = drift_of({"x": values}, {"x": values})["x"]
    assert (judged.verdict, judged.psi, judged.psi_pvalue) == ("stable", 0.0, 1.0)
    assert (judged.outside_range, judged.missing_current, judged.reason) == (0.0, 0.0, None)


@pytest.mark.parametrize(
    ("shift", "verdict"), [(0.05, "stable"), (0.4, "moderate"), (1.0, "significant")], ids=["small", "middle", "large"]
)
def test_the_verdict_follows_the_size_of_the_shift(shift: float, verdict: str) -> None:
    # PSI of two unit normals d apart is d^2, of which ten bins keep all but a tenth or so.
    judged = drift_of({"x": normal(20_000)}, {"x": normal(20_000, shift=shift, seed=1)})["x"]
    assert 0.8 * shift**2 - 0.002 <= judged.psi <= shift**2 + 0.002
    assert judged.verdict == verdict


def test_a_high_psi_that_chance_explains_is_stable_and_says_so() -> None:
    draws = [drift_of({"x": normal(60, seed=n)}, {"x": normal(60, seed=n + 500)}, min_rows=50)["x"] for n in range(50)]
    lucky = [judged for judged in draws if judged.psi > 0.2]
    believed = [judged for judged in lucky if judged.verdict != "stable"]
    # Half an alarm is expected of 50 draws at 1 %; four or more has a probability of 2e-3.
    assert len(lucky) > 30
    assert len(believed) < 4
    assert all("within chance" in judged.reason for judged in lucky if judged not in believed)


def test_many_features_raise_no_more_false_alarms_than_one() -> None:
    rng, alarms, windows = np.random.default_rng(5), 0, 60
    for _ in range(windows):
        reference = {f"f{n}": rng.normal(size=400) for n in range(20)}
        window = {f"f{n}": rng.normal(size=60) for n in range(20)}
        judged = drift_of(reference, window, min_rows=50)
        alarms += any(drift.verdict in ("moderate", "significant") for drift in judged.values())
    # 1 % of 60 windows is 0.6; five or more has a probability of 4e-4.
    assert alarms < 5


@pytest.mark.parametrize(
    ("reference_rows", "window_rows"), [(1_000, 199), (199, 1_000), (1_000, 0)], ids=["window", "reference", "empty"]
)
def test_too_few_rows_give_no_verdict(reference_rows: int, window_rows: int) -> None:
    judged = drift_of({"x": normal(reference_rows)}, {"x": normal(window_rows, shift=9)})["x"]
    assert judged.verdict == "insufficient"
    assert (judged.psi, judged.psi_expected, judged.psi_pvalue) == (None, None, None)
    assert "below 200" in judged.reason


def test_an_empty_window_is_refused_even_without_a_minimum() -> None:
    judged = drift_of({"x": normal(100)}, {"x": np.array([])}, min_rows=0)["x"]
    assert (judged.verdict, judged.missing_current, judged.outside_range) == ("insufficient", None, None)


def test_values_that_went_missing_are_a_shift() -> None:
    window = normal(1_000, seed=1)
    window[:300] = np.nan
    judged = drift_of({"x": normal(1_000)}, {"x": window})["x"]
    assert (judged.verdict, judged.missing_reference, judged.missing_current) == ("significant", 0.0, 0.3)


def test_a_window_without_any_value_is_judged_by_its_missing_bin() -> None:
    judged = drift_of({"x": normal(1_000)}, {"x": np.full(500, np.nan)})["x"]
    assert (judged.verdict, judged.missing_current, judged.outside_range) == ("significant", 1.0, 0.0)


def test_a_new_category_is_a_shift_and_outside_the_reference() -> None:
    reference = np.array(["a", "b"] * 500, dtype=object)
    window = np.array(["a", "b", "a", "b", "new"] * 100, dtype=object)
    judged = drift_of({"c": reference}, {"c": window})["c"]
    assert (judged.verdict, judged.outside_range, judged.kind) == ("significant", 0.2, "categorical")


def test_other_features_do_not_change_a_features_numbers() -> None:
    alone = drift_of({"x": normal(500)}, {"x": normal(500, shift=0.5, seed=1)})["x"]
    among = drift_of(
        {"x": normal(500), "y": normal(500, seed=2)}, {"x": normal(500, shift=0.5, seed=1), "y": normal(500, seed=3)}
    )["x"]
    assert (alone.psi, alone.psi_pvalue) == (among.psi, among.psi_pvalue)


def test_columns_that_the_profile_does_not_know_are_left_alone() -> None:
    assert list(drift_of({"x": normal(300)}, {"new": np.array([]), "x": normal(300)})) == ["x"]


@pytest.mark.parametrize(
    ("reference", "window", "said"),
    [
        (normal(300), {"y": normal(300)}, "no column 'x'; it has y"),
        (normal(300), {}, "no column 'x'; it has none"),
        (normal(300), {"x": np.array(["a"] * 300, dtype=object)}, "holds text where the reference holds numbers"),
        (np.array(["a"] * 300, dtype=object), {"x": normal(300)}, "holds numbers where the reference holds text"),
        (normal(300), {"x": np.full(300, "2011-01-01", dtype="datetime64[D]")}, "datetime64"),
        (normal(300), {"x": np.array(["a", 1.0] * 150, dtype=object)}, "mixes float, str"),
        (texts("a", 20, 300), {"x": texts("b", 20, 300)}, "300 of 300 values are none that the reference has"),
        (texts("a", 150, 1_500), {"x": texts("b", 150, 1_500)}, "1500 of 1500 values are none"),
        (texts("a", 5_000, 50_000), {"x": texts("b", 5_000, 50_000)}, "values are none that the reference has"),
    ],
    ids=["gone", "nothing", "text", "numbers", "times", "mixed", "20_others", "150_others", "5000_others"],
)
def test_a_column_that_is_another_is_schema_drift(reference: np.ndarray, window: dict, said: str) -> None:
    judged = drift_of({"x": reference}, window)["x"]
    assert judged.verdict == "schema"
    assert said in judged.reason


def test_a_column_that_is_another_is_found_in_a_window_of_few_rows_too() -> None:
    judged = drift_of({"x": normal(300), "y": normal(300)}, {"y": normal(3)})
    assert [judged[name].verdict for name in "xy"] == ["schema", "insufficient"]


@pytest.mark.parametrize("distinct", [20, 150, 5_000])
def test_values_that_never_recur_are_no_schema(distinct: int) -> None:
    # Every value once: what follows has others, and an identifier is nothing else.
    judged = drift_of({"x": texts("a", distinct, distinct)}, {"x": texts("b", distinct, distinct)}, min_rows=10)["x"]
    assert (judged.verdict, judged.outside_range is not None) == ("insufficient", True)


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "insufficient"), (0.05, "significant"), (0.4, "significant")])
def test_unseen_values_are_judged_where_there_are_too_many_for_bins(share: float, verdict: str) -> None:
    window = texts("a", 150, 2_000, seed=1)
    window[: int(share * len(window))] = "new"
    assert drift_of({"x": texts("a", 150, 2_000)}, {"x": window})["x"].verdict == verdict


@pytest.mark.parametrize("distinct", [150, 5_000])
@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [(0.0, 1.0, "significant"), (0.0, 0.3, "significant"), (0.3, 0.3, "insufficient"), (0.6, 0.0, "significant")],
)
def test_values_that_are_missing_are_judged_where_there_are_too_many_for_bins(
    distinct: int, before: float, now: float, verdict: str
) -> None:
    reference, window = texts("a", distinct, 6_000), texts("a", distinct, 6_000, seed=1)
    for rows, share in ((reference, before), (window, now)):
        rows[np.random.default_rng(2).permutation(6_000)[: int(share * 6_000)]] = None
    judged = drift_of({"x": reference}, {"x": window})["x"]
    assert judged.verdict == verdict
    if verdict == "significant":
        assert judged.reason == f"{now:.1%} of 6000 rows have no value, as had {before:.1%} of the reference's 6000"


@pytest.mark.parametrize("distinct", [150, 5_000])
@pytest.mark.parametrize(("share", "verdict"), [(1.0, "significant"), (0.3, "significant"), (0.01, "insufficient")])
@pytest.mark.parametrize("seed", range(3))
def test_values_that_become_one_are_judged_where_there_are_too_many_for_bins(
    distinct: int, share: float, verdict: str, seed: int
) -> None:
    window = texts("a", distinct, 6_000, seed=1)
    window[: int(share * len(window))] = f"a{seed}"
    judged = drift_of({"x": texts("a", distinct, 6_000)}, {"x": window})["x"]
    assert judged.verdict == verdict
    if share == 1:
        assert judged.reason.startswith(
            "100.0% of 6000 rows with a value have one value, or few, where none was in more"
        )


def test_a_profile_that_was_frozen_without_its_fullest_cell_says_nothing_of_values_that_become_one() -> None:
    kept = json.loads(profile_to_json(build_reference_profile({"x": texts("a", 150, 1_500)})))
    del kept["features"][0]["known"]["most"]
    older = profile_from_json(json.dumps(kept))
    (judged,) = measure_drift(
        older, {"x": np.full(300, "a1", dtype=object)}, min_rows=200, moderate=0.1, significant=0.2
    )
    assert (judged.verdict, judged.crowding_pvalue) == ("insufficient", None)


def test_values_that_become_one_by_chance_are_no_shift() -> None:
    rng, alarms, worlds = np.random.default_rng(0), 0, 200
    shares = 1 / np.arange(1, 400) ** 1.1
    names = np.array([f"v{number}" for number in range(len(shares))], dtype=object)
    for _ in range(worlds):
        reference, window = (rng.choice(names, rows, p=shares / shares.sum()) for rows in (1_500, 300))
        alarms += drift_of({"x": reference}, {"x": window})["x"].verdict in ("moderate", "significant")
    assert alarms <= 0.01 * worlds


def test_identifiers_of_which_none_recurs_are_judged_by_those_that_are_missing() -> None:
    window = texts("b", 3_000, 3_000)
    window[:1_500] = None
    judged = drift_of({"x": texts("a", 3_000, 3_000)}, {"x": window})["x"]
    assert (judged.verdict, judged.missing_current) == ("significant", 0.5)


OUTSIDE = [0.12 * 1e6, np.inf, -np.inf, 50.0, -50.0]


@pytest.mark.parametrize("value", OUTSIDE)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_rows_beyond_the_references_range_are_a_shift_however_few_bins_they_fill(value: float, kind: type) -> None:
    window = np.clip(normal(1_000, seed=1), -3, 3)
    window[:90] = value
    judged = drift_of({"x": normal(2_000).astype(kind)}, {"x": window.astype(kind)})["x"]
    assert (judged.verdict, judged.outside_range) == ("significant", 0.09)
    assert "9.0% of 1000 rows lie beyond the reference's range" in judged.reason


@pytest.mark.parametrize(("rows", "verdict"), [(1, "stable"), (10, "stable"), (25, "moderate"), (40, "significant")])
def test_the_share_outside_is_judged_by_its_size_on_psis_scale(rows: int, verdict: str) -> None:
    window = normal(1_000, seed=1)
    window[:rows] = 99
    assert drift_of({"x": normal(2_000)}, {"x": window})["x"].verdict == verdict


def test_what_lies_outside_by_chance_is_no_shift() -> None:
    # Fifty values leave the next fifty a range of which 4 % fall out on average, the effect of a significant shift.
    draws = [drift_of({"x": normal(50, seed=n)}, {"x": normal(50, seed=n + 900)}, min_rows=50)["x"] for n in range(200)]
    assert np.mean([judged.outside_range for judged in draws]) == pytest.approx(2 / 51, abs=0.008)
    # 1 % of 200 windows is 2; nine or more has a probability of 2e-4.
    assert sum(judged.verdict != "stable" for judged in draws) < 9


def test_infinities_that_the_reference_has_too_are_no_shift() -> None:
    reference, window = normal(2_000), normal(1_000, seed=1)
    reference[:200], window[:100] = np.inf, np.inf
    assert drift_of({"x": reference}, {"x": window})["x"].verdict == "stable"


WIDE = np.random.default_rng(3)
ROWS = {
    "counts_beyond_2^24": 2.0**24 + WIDE.integers(0, 60, 2_000),
    "instants": 1.7e9 + WIDE.uniform(0, 3_600, 2_000),
    "prices": np.round(WIDE.uniform(0, 9, 2_000), 1),
    "shares": WIDE.uniform(0, 1, 2_000),
    "zeros": np.where(WIDE.random(2_000) < 0.6, 0.0, WIDE.exponential(3, 2_000)),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_the_same_rows_with_fewer_bits_are_the_same(rows: np.ndarray) -> None:
    narrow = rows.astype(np.float32)
    for reference, window in ((rows, narrow), (narrow, rows), (narrow, narrow.astype(np.float64)), (narrow, narrow)):
        judged = drift_of({"x": reference}, {"x": window})["x"]
        assert (judged.psi, judged.verdict, judged.outside_range) == (0.0, "stable", 0.0)
        assert judged.ks < 1 / 500


def test_a_judged_feature_is_plain_values_that_a_database_can_keep() -> None:
    judged = drift_of({"x": normal(300)}, {"x": normal(300).astype(np.float32)})["x"]
    assert {type(value) for value in vars(judged).values()} <= {str, int, float, tuple, type(None)}
    assert {type(count) for count in judged.counts} == {int}
    assert FeatureDrift(**vars(judged)) == judged
