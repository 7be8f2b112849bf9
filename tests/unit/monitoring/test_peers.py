"""Numbers of other libraries, over the bins that they used."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from include.monitoring.binning import count_over
from include.monitoring.drift import measure_drift
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.psi import psi_expected, psi_from_counts
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.two_sample import compare_categories, compare_numeric
from tests.real_data import real_data


def cases() -> dict[str, dict]:
    vectors = json.loads(real_data("vectors/peer_vectors_give.json").read_text())
    return {case["id"]: {**case, "arrays": vectors["arrays"]} for case in vectors["cases"]}


def psi_over(edges: list[float], reference: np.ndarray, current: np.ndarray) -> float:
    profile = FeatureProfile("x", "numeric", tuple(edges), (), (0,) * (len(edges) + 1), 0, None, None)
    return psi_from_counts(count_over(profile, reference).bins, count_over(profile, current).bins)


def own_psi(reference: np.ndarray, current: np.ndarray) -> float:
    (judged,) = measure_drift(
        build_reference_profile({"x": reference}), {"x": current}, min_rows=1, moderate=0.1, significant=0.2
    )
    assert judged.psi is not None
    return judged.psi


@pytest.mark.parametrize("case_id", ["toad_psi", "toad_psi_frame_B"])
def test_psi_equals_toad_over_its_edges(case_id: str) -> None:
    case = cases()[case_id]
    reference, current = (
        np.array(case["arrays"][case["inputs"][side].removeprefix("$")]) for side in ("reference", "current")
    )
    # toad's bins hold their lower edge, ours the upper one: mirrored, the two are the same.
    mirrored = [-edge for edge in reversed(case["inputs"]["bin_edges"])]
    psi = psi_over(mirrored, -reference, -current)
    assert psi == pytest.approx(case["expected"], abs=case["tolerance_abs"])


def test_psi_equals_feature_engine_on_every_column() -> None:
    case = cases()["fe_psi_equal_freq"]
    rows = pd.read_csv(real_data("vectors/feature_engine_input.csv"))
    psi = {name: own_psi(rows[name].to_numpy()[:500], rows[name].to_numpy()[500:]) for name in case["expected"]}
    assert psi == pytest.approx(case["actual_feature_engine_1.9.4"], abs=1e-9)


@pytest.mark.parametrize("case_id", ["fe_auto_threshold_10", "fe_auto_threshold_32", "fe_auto_threshold_42"])
def test_expected_psi_scales_as_feature_engines_chi_square_threshold(case_id: str) -> None:
    from scipy.stats import chi2

    case = cases()[case_id]
    bins, inputs = case["inputs"]["bins"], case["inputs"]
    # Counts of the right totals; how they spread over the bins is of no account.
    reference, current = ([1] * (bins - 1) + [total - bins + 1] for total in (inputs["N"], inputs["M"]))
    per_degree = psi_expected(reference, current) / (bins - 1)
    assert per_degree * chi2.ppf(1 - inputs["p_value"], bins - 1) == pytest.approx(case["expected"], rel=1e-12)


@pytest.mark.parametrize("case_id", ["ev_chi2_freq", "ev_chi2_freq_x2", "ev_chi2_same"])
def test_chi_square_tends_to_evidentlys_as_the_reference_grows(case_id: str) -> None:
    case = cases()[case_id]
    reference, current = (Counter(map(str, case["inputs"][side])) for side in ("reference", "current"))
    # evidently takes the reference's proportions for the truth, which an endless reference has.
    endless = {category: count * 10**7 for category, count in reference.items()}
    result = compare_categories(endless, current)
    assert result is not None
    assert result.pvalue == pytest.approx(case["expected"], abs=case["tolerance_abs"])


def monthly(peer: str) -> tuple[dict, pd.DataFrame]:
    run = json.loads(real_data(f"peer_runs/online_retail_drift_{peer}.json").read_text())
    features = pd.read_parquet(real_data("peer_runs/online_retail_features_monthly.parquet"))
    features["month"] = features["event_timestamp"].dt.strftime("%Y-%m-%d")
    return run, features


def samples(run: dict, features: pd.DataFrame, row: dict) -> tuple[np.ndarray, np.ndarray]:
    months = (run["reference_month"], row["month"])
    reference, current = (features.loc[features["month"] == month, row["feature"]].to_numpy(float) for month in months)
    return reference, current


def test_ks_and_wasserstein_equal_scipy_on_every_month() -> None:
    run, features = monthly("ev")
    assert len(run["rows"]) == 72
    for row in run["rows"]:
        reference, current = samples(run, features, row)
        result = compare_numeric(reference, current)
        assert result is not None
        assert result.ks.statistic == pytest.approx(row["scipy_ks_stat"], abs=1e-12)
        assert result.ks.pvalue == pytest.approx(row["scipy_ks_p_asymp"], rel=1e-9, abs=1e-300)
        assert result.wasserstein == pytest.approx(row["scipy_wasserstein"], rel=1e-9, abs=1e-9)
        assert result.wasserstein_normalised == pytest.approx(row["evidently_wasserstein_normed"], rel=1e-9, abs=1e-9)


def test_psi_equals_feature_engine_on_every_month_of_a_feature_without_ties() -> None:
    run, features = monthly("ev")
    rows = [row for row in run["rows"] if row["feature"] in ("avg_order_value", "days_since_last_order", "tenure_days")]
    assert len(rows) == 36
    for row in rows:
        assert own_psi(*samples(run, features, row)) == pytest.approx(
            row["feature_engine_psi_equal_frequency"], rel=1e-9, abs=1e-12
        )


def test_psi_equals_toad_on_every_month_over_its_edges() -> None:
    run, features = monthly("td")
    compared = 0
    for row in run["rows"]:
        reference, current = samples(run, features, row)
        mirrored = [-edge for edge in reversed(run["libs"]["bin_edges"][row["feature"]])]
        profile = FeatureProfile("x", "numeric", tuple(mirrored), (), (), 0, None, None)
        counts = [count_over(profile, -values).bins for values in (reference, current)]
        # toad leaves a bin out that is empty on one side, where we count 1e-4.
        if ((counts[0] == 0) != (counts[1] == 0)).any():
            continue
        compared += 1
        assert psi_from_counts(*counts) == pytest.approx(row["toad_psi_fixed_edges"], rel=1e-9, abs=1e-12)
    assert compared == 67


def test_a_zero_heavy_count_is_seen_to_empty_at_christmas() -> None:
    # Deciles without a bin for the zeros hide it: feature_engine has 0.183, toad and evidently 1.09 and 1.10.
    run, features = monthly("td")
    row = {"month": "2011-01-01", "feature": "total_orders_30d"}
    assert own_psi(*samples(run, features, row)) == pytest.approx(1.09, abs=0.02)


@pytest.fixture(scope="module")
def electricity() -> pd.DataFrame:
    return pd.read_parquet(real_data("elec2/elec2.parquet"))


LINKED_AT = 17_424  # before it, the three columns of the neighbouring market are constants
FOUR_WEEKS = 48 * 28


def verdicts(electricity: pd.DataFrame, column: str, starts: range) -> list[str]:
    values = electricity[column].to_numpy()
    profile = build_reference_profile({column: values[: 48 * 180]})
    return [
        drift.verdict
        for start in starts
        for drift in measure_drift(
            profile, {column: values[start : start + FOUR_WEEKS]}, min_rows=200, moderate=0.1, significant=0.2
        )
    ]


@pytest.mark.parametrize("column", ["vicprice", "vicdemand", "transfer"])
def test_a_constant_that_starts_to_move_fires_then_and_not_before(electricity: pd.DataFrame, column: str) -> None:
    before = range(48 * 180, LINKED_AT - FOUR_WEEKS + 1, 48)
    after = range(LINKED_AT, len(electricity) - FOUR_WEEKS + 1, 48 * 7)
    assert set(verdicts(electricity, column, before)) == {"stable"}
    assert set(verdicts(electricity, column, after)) == {"significant"}


def test_the_time_of_day_never_drifts(electricity: pd.DataFrame) -> None:
    # Any 28 days, from any half-hour on, hold the same half-hours.
    starts = range(0, len(electricity) - FOUR_WEEKS + 1, 48 * 7 + 5)
    assert set(verdicts(electricity, "period", starts)) == {"stable"}
