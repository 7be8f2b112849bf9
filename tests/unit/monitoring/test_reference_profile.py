from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import UsageError
from include.monitoring.binning import count_over
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.profile_json import profile_from_json, profile_to_json
from include.monitoring.psi import psi_from_counts
from include.monitoring.reference_profile import MAX_CATEGORIES, build_reference_profile

_numbers = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.integers(0, 3).map(float), st.just(np.nan)), min_size=1, max_size=200
).map(np.array)


def profile_of(values: np.ndarray, bins: int = 10) -> FeatureProfile:
    return build_reference_profile({"x": values}, bins=bins).features[0]


def psi_between(reference: np.ndarray, current: np.ndarray) -> float:
    profile = profile_of(reference)
    counted = count_over(profile, current)
    return psi_from_counts([*profile.counts, profile.missing], [*counted.bins, counted.missing])


@given(_numbers)
def test_counting_the_reference_again_gives_the_frozen_counts(values: np.ndarray) -> None:
    profile = profile_of(values)
    again = count_over(profile, values)
    assert again.bins.tolist() == list(profile.counts)
    assert again.missing == profile.missing
    assert again.outside == 0


@given(_numbers, _numbers)
def test_every_row_is_in_one_bin(reference: np.ndarray, window: np.ndarray) -> None:
    counted = count_over(profile_of(reference), window)
    assert counted.rows == len(window)
    assert counted.missing == np.isnan(window).sum()


@given(_numbers)
def test_json_gives_back_the_same_profile(values: np.ndarray) -> None:
    profile = build_reference_profile({"x": values, "country": np.array(["FR", None, "DE"], dtype=object)})
    assert profile_from_json(profile_to_json(profile)) == profile


def test_bins_without_ties_are_the_deciles() -> None:
    values = np.random.default_rng(0).normal(size=1_000)
    profile = profile_of(values)
    assert profile.edges == tuple(np.quantile(values, np.arange(1, 10) / 10))
    assert profile.counts == (100,) * 10


def test_counts_equal_a_histogram_with_open_ends() -> None:
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=500), rng.normal(1, 3, size=300_000)
    profile = profile_of(reference)
    expected, _ = np.histogram(window, bins=[-np.inf, *profile.edges, np.inf])
    assert count_over(profile, window).bins.tolist() == expected.tolist()


def test_what_a_long_window_misses_or_has_outside_is_counted_wherever_it_stands() -> None:
    rng = np.random.default_rng(0)
    reference = rng.uniform(-1, 1, 500)
    window = rng.choice([-0.5, 0.5, 0.9, -3.0, 3.0, np.inf, -np.inf, np.nan], 700_000)
    window[300_000:400_000], window[500_000:600_000] = 0.5, np.nan

    counted = count_over(profile_of(reference), window)

    assert counted.missing == np.isnan(window).sum()
    assert counted.outside == (np.abs(window) > 1).sum()
    assert counted.told_apart == (~np.isnan(window)).sum()
    assert counted.bins.sum() == counted.told_apart


def test_an_upper_edge_belongs_to_the_bin_below_it() -> None:
    profile = FeatureProfile("x", "numeric", (1.0, 2.0), (), (1, 1, 1), 0, 0.0, 3.0)
    assert count_over(profile, np.array([1.0, 2.0, 2.5])).bins.tolist() == [1, 1, 1]


def test_zeros_of_a_count_have_a_bin_of_their_own() -> None:
    # 60 % zeros: six deciles fall on 0
    values = np.repeat([0.0, 1.0, 2.0, 3.0, 4.0], [60, 10, 10, 10, 10])
    profile = profile_of(values)
    assert profile.edges[:2] == (0.0, 0.0)
    assert profile.counts[:2] == (0, 60)


def test_falling_below_a_smallest_value_that_many_rows_have_is_seen() -> None:
    # 15 % at zero: one decile falls on it
    reference = np.concatenate([np.zeros(150), np.random.default_rng(0).uniform(1, 2, 850)])
    assert psi_between(reference, np.where(reference == 0, -1.0, reference)) > 1


@pytest.mark.parametrize("moved_to", [4.0, 5.0 - 1e-9, 5.0 + 1e-9, np.inf, -np.inf, np.nan])
def test_leaving_a_constant_is_seen_on_both_sides(moved_to: float) -> None:
    assert psi_between(np.full(500, 5.0), np.full(500, moved_to)) > 1
    assert psi_between(np.full(500, 5.0), np.full(500, 5.0)) == 0


@pytest.mark.parametrize("share", [0.02, 0.05, 0.5, 0.95, 0.98])
def test_a_flag_that_changes_its_share_is_seen(share: float) -> None:
    ones = int(1_000 * share)
    reference = np.repeat([0.0, 1.0], [1_000 - ones, ones])
    assert psi_between(reference, 1 - reference) == pytest.approx(0 if share == 0.5 else psi_of_flag(share), rel=1e-9)


def psi_of_flag(share: float) -> float:
    return 2 * (1 - 2 * share) * np.log((1 - share) / share)


def test_values_beyond_the_reference_are_counted_and_told() -> None:
    profile = profile_of(np.linspace(0, 1, 101))
    counted = count_over(profile, np.array([-5.0, 0.0, 0.5, 1.0, 7.0, np.inf, -np.inf, np.nan]))
    assert counted.outside == 4
    assert counted.rows == 8


def test_infinities_of_the_reference_leave_the_edges_finite() -> None:
    profile = profile_of(np.array([-np.inf, *np.arange(100.0), np.inf, np.inf]))
    assert np.isfinite(profile.edges).all()
    assert (profile.minimum, profile.maximum) == (0.0, 99.0)
    assert sum(profile.counts) == 103


@given(st.lists(st.floats(0.01, 100), min_size=20, max_size=100), st.lists(st.floats(0.01, 100), max_size=50))
def test_counts_survive_a_monotone_transform_of_data_and_edges(reference: list[float], window: list[float]) -> None:
    profile = profile_of(np.array(reference))
    # A power of two is exact in floating point, so that no edge moves across a value.
    stretched = FeatureProfile(
        "x", "numeric", tuple(8 * edge for edge in profile.edges), (), profile.counts, 0, None, None
    )
    expected = count_over(profile, np.array(window)).bins.tolist()
    assert count_over(stretched, 8 * np.array(window)).bins.tolist() == expected


def test_unseen_categories_have_their_own_bin() -> None:
    profile = profile_of(np.array(["FR"] * 3 + ["DE"] + [None], dtype=object))
    assert (profile.categories, profile.counts, profile.missing) == (("DE", "FR"), (1, 3, 0), 1)
    counted = count_over(profile, np.array(["FR", "XX", "YY", np.nan, None], dtype=object))
    assert counted.bins.tolist() == [0, 1, 2]
    assert (counted.missing, counted.outside) == (2, 2)


def test_fixed_width_text_and_objects_are_the_same_categories() -> None:
    assert profile_of(np.array(["a", "b", "a"])) == profile_of(np.array(["a", "b", "a"], dtype=object))


def test_numbers_in_an_object_array_are_numbers() -> None:
    profile = profile_of(np.array([1, None, 2.5, True], dtype=object))
    assert (profile.kind, profile.missing, profile.maximum) == ("numeric", 1, 2.5)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([]), "no rows"),
        (np.array([np.nan, np.inf]), "no finite values"),
        (np.array([None, None], dtype=object), "no finite values"),
        (np.array([f"id{n}" for n in range(MAX_CATEGORIES + 1)], dtype=object), "101 distinct values"),
    ],
    ids=["empty", "nan_and_inf", "all_none", "identifier"],
)
def test_a_column_without_bins_says_why(values: np.ndarray, reason: str) -> None:
    profile = profile_of(values)
    assert profile.unjudged is not None
    assert reason in profile.unjudged
    assert profile.rows == len(values)


@pytest.mark.parametrize(
    "values",
    [
        np.array(["a", 1.0], dtype=object),
        np.array(["2011-01-01"], dtype="datetime64[D]"),
        np.array([[1, 2], [3]], dtype=object),
        np.array([1 + 2j]),
    ],
    ids=["mixed", "times", "lists", "complex"],
)
def test_what_is_neither_numbers_nor_text_is_refused_by_name(values: np.ndarray) -> None:
    with pytest.raises(UsageError, match="column 'spend'"):
        build_reference_profile({"spend": values})


def test_text_in_a_numeric_column_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="column 'x' holds text"):
        count_over(profile_of(np.array([1.0, 2.0])), np.array(["1", "two"], dtype=object))


def test_numbers_in_a_text_column_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="column 'x' holds numbers"):
        count_over(profile_of(np.array(["a"])), np.array([1.0]))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 3, "features": []}', '{"format": 1, "features": [{}]}'])
def test_json_that_is_no_profile_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="reference profile"):
        profile_from_json(text)


def test_a_profile_of_fifty_features_is_small() -> None:
    rng = np.random.default_rng(0)
    profile = build_reference_profile({f"f{n}": rng.normal(size=10_000) for n in range(50)})
    # Bins, and 512 numbers of 20 digits each.
    assert len(profile_to_json(profile)) < 600_000
    assert json.loads(profile_to_json(profile))["format"] == 2


@given(st.integers(0, 2**32 - 1).map(np.random.default_rng))
@settings(max_examples=50)
def test_counts_of_days_add_up_to_those_of_the_week(rng: np.random.Generator) -> None:
    def draw(rows: int) -> dict[str, np.ndarray]:
        numbers = rng.choice([rng.normal(size=rows), np.floor(rng.exponential(1, rows))])
        numbers[rng.random(rows) < 0.1] = rng.choice([np.nan, np.inf, 1e9])
        few, many = (np.array([f"v{n}" for n in rng.integers(0, limit, rows)], dtype=object) for limit in (5, 3_000))
        return {"numbers": numbers, "single": numbers.astype(np.float32), "few": few, "many": many}

    days = [draw(int(rng.integers(0, 60))) for _ in range(7)]
    for feature in build_reference_profile(draw(2_000)).features:
        week = np.concatenate([day[feature.name] for day in days])
        counted, *others = (count_over(feature, day[feature.name]) for day in days)
        for other in others:
            counted = counted + other
        at_once = count_over(feature, week)
        assert counted.bins.tolist() == at_once.bins.tolist()
        assert (counted.missing, counted.outside, counted.told_apart, counted.precision) == (
            at_once.missing, at_once.outside, at_once.told_apart, at_once.precision,
        )  # fmt: skip


def test_counts_over_other_bins_or_in_another_precision_do_not_add_up() -> None:
    values = np.random.default_rng(0).normal(size=300)
    ten, five = profile_of(values), profile_of(values, bins=5)
    for other in (count_over(five, values), count_over(ten, values.astype(np.float32))):
        with pytest.raises(UsageError, match="don't add up"):
            count_over(ten, values) + other


def test_a_profile_of_the_format_before_is_read_as_the_32_bits_that_models_have() -> None:
    values = (2.0**24 + np.random.default_rng(0).integers(0, 90, 2_000)).astype(np.float32)
    now = profile_of(values)
    kept = ("name", "kind", "edges", "categories", "counts", "missing", "minimum", "maximum", "unjudged")
    text = json.dumps({"format": 1, "features": [{key: getattr(now, key) for key in kept}]})
    (before,) = profile_from_json(text).features
    assert count_over(before, values.astype(np.float64)).bins.tolist() == list(before.counts)
    assert (before.precision, before.numbers.rows, before.effect.mean) == ("float32", 0, 1.0)


def test_one_bin_is_refused() -> None:
    with pytest.raises(UsageError, match="bins=1"):
        build_reference_profile({}, bins=1)
