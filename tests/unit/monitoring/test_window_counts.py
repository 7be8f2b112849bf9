"""A window that comes in batches is judged as the whole is, however it is cut and in whatever order it comes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.errors import UsageError
from include.monitoring import streamed_comparison
from include.monitoring.drift import judge_drift, measure_drift
from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.quantile_sketch import sketch
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.side_by_side import side_by_side
from include.monitoring.streamed_comparison import StreamedComparison
from include.monitoring.two_sample import compare_with_sketch
from include.monitoring.window_counts import WindowCounts

LIMITS = {"min_rows": 50, "moderate": 0.1, "significant": 0.2}
RNG = np.random.default_rng(18)


def drawn(kind: str, rows: int) -> np.ndarray:
    values = {
        "normal": lambda: RNG.normal(size=rows),
        "moved": lambda: RNG.normal(0.3, 2.0, rows),
        "counts": lambda: RNG.poisson(3, rows).astype(np.float64),
        "heavy": lambda: RNG.pareto(1.2, rows),
        "far off": lambda: RNG.normal(1e9, 1.0, rows),
        "one value": lambda: np.full(rows, 2.0),
        "missing ones": lambda: np.where(RNG.random(rows) < 0.2, np.nan, RNG.normal(size=rows)),
        "an absurd one": lambda: np.append(RNG.normal(size=rows - 1), 1e300),
        "infinities": lambda: np.append(RNG.normal(size=rows - 2), [np.inf, -np.inf]),
    }
    return values[kind]()


KINDS = ["normal", "moved", "counts", "heavy", "far off", "one value", "missing ones", "an absurd one", "infinities"]


@pytest.mark.parametrize("window", KINDS)
@pytest.mark.parametrize("reference", KINDS)
def test_counted_rows_say_what_the_rows_themselves_say(reference, window, monkeypatch):
    monkeypatch.setattr(streamed_comparison, "WHOLE_ROWS", 0)
    frozen, rows = sketch(drawn(reference, 3_000)), drawn(window, 20_000)
    streamed = StreamedComparison(frozen)
    for batch in np.array_split(rows, 7):
        streamed.add(batch)

    found, whole = streamed.result(design_effect=3.0), compare_with_sketch(frozen, rows, design_effect=3.0)

    assert found is not None
    assert whole is not None
    assert found.ks.statistic == pytest.approx(whole.ks.statistic, abs=1e-12)
    assert found.ks.pvalue == pytest.approx(whole.ks.pvalue, rel=1e-6, abs=1e-12)
    assert (found.wasserstein is None) == (whole.wasserstein is None)
    if whole.wasserstein is not None:
        assert found.wasserstein == pytest.approx(whole.wasserstein, rel=0.01, abs=1e-9)


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 600), max_size=6),
    order=st.randoms(use_true_random=False),
    whole=st.sampled_from([0, 200, 100_000]),
)
def test_neither_cuts_nor_order_change_what_is_said(cuts, order, whole):
    columns = {
        "amount": np.where(RNG.random(600) < 0.1, np.nan, RNG.lognormal(size=600)),
        "orders": RNG.poisson(2, 600).astype(np.float64),
        "country": RNG.choice(np.array(["DE", "FR", "GB", None], dtype=object), 600),
    }
    profile = build_reference_profile({name: values[:300] for name, values in columns.items()})
    shuffled = list(range(600))
    order.shuffle(shuffled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamed_comparison, "WHOLE_ROWS", whole)
        window = WindowCounts(profile)
        for places in np.split(np.array(shuffled), sorted(cuts)):
            window.add({name: values[places] for name, values in columns.items()})
        at_once = measure_drift(profile, columns, **LIMITS)
        in_batches = judge_drift(window, **LIMITS)

    for one, other in zip(at_once, in_batches, strict=True):
        assert (one.counts, one.verdict, one.psi, one.ks, one.ks_pvalue, one.reason) == (
            other.counts, other.verdict, other.psi, other.ks, other.ks_pvalue, other.reason,
        )  # fmt: skip
        assert other.wasserstein == (one.wasserstein and pytest.approx(one.wasserstein, rel=1e-9))


@pytest.mark.parametrize("nothing", [np.array([]), np.full(3, np.nan), np.full(3, None, dtype=object)])
@pytest.mark.parametrize("place", [0, 1])
def test_a_batch_without_a_value_is_of_no_precision(nothing, place):
    wide = 2.0**24 + RNG.integers(0, 60, 2_000)
    profile = build_reference_profile({"x": wide})
    batches = [*np.array_split(wide.astype(np.float32), 2)]
    batches.insert(place, nothing)
    window = WindowCounts(profile)
    for batch in batches:
        window.add({"x": batch})
    whole = np.append(wide, np.full(len(nothing), np.nan)).astype(np.float32)
    assert judge_drift(window, **LIMITS) == measure_drift(profile, {"x": whole}, **LIMITS)


def test_many_columns_at_once_say_what_each_says_by_itself():
    rng = np.random.default_rng(3)
    moved = {f"x{n}": rng.normal(0.01 * n, 1.0, 120_000) for n in range(10)}
    moved["country"] = rng.choice(np.array(["DE", "FR", None], dtype=object), 120_000)
    profile = build_reference_profile({name: values[:20_000] for name, values in moved.items()})

    at_once = measure_drift(profile, moved, **LIMITS)

    assert [each.feature for each in at_once] == list(moved)
    for frozen, found in zip(profile.features, at_once, strict=True):
        alone = WindowCounts(ReferenceProfile((frozen,)))
        alone.add({frozen.name: moved[frozen.name]})
        counted = alone.columns[frozen.name]
        assert counted.counted is not None
        assert found.counts == (*counted.counted.bins.tolist(), counted.counted.missing)
        compared = counted.compare()
        assert found.wasserstein == (compared and compared.wasserstein)


def test_what_a_thread_raises_is_raised():
    def fail(column):
        raise UsageError(f"column {column} is broken")

    with pytest.raises(UsageError, match="column x is broken"):
        side_by_side(fail, ["x", "y"], values=10_000_000)


def test_a_column_that_is_another_in_one_batch_is_a_change_of_the_window():
    profile = build_reference_profile({"x": np.arange(100.0)})
    window = WindowCounts(profile)
    window.add({"x": np.arange(60.0)})
    window.add({"x": np.array(["a", "b"], dtype=object)})
    window.add({"x": np.arange(60.0)})

    (judged,) = judge_drift(window, **LIMITS)

    assert (judged.verdict, judged.current_rows) == ("schema", 122)
    assert judged.reason == "the column holds text where the reference holds numbers"
