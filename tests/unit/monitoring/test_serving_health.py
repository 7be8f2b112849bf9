from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from include.monitoring.check import Check
from include.monitoring.latency_histogram import BOUNDS_US, find_bound
from include.monitoring.serving_health import judge_serving
from include.monitoring.serving_windows import ServingWindow
from tests.unit.monitoring.nights import MONITORING

AT = datetime(2026, 3, 1, tzinfo=UTC)


def window(*latencies_ms: float, errors: dict[int, int] | None = None, role: str = "champion") -> ServingWindow:
    latency: dict[int, int] = {}
    for each in latencies_ms:
        bound = BOUNDS_US[find_bound(round(each * 1000))]
        latency[bound] = latency.get(bound, 0) + 1
    requests = len(latencies_ms) + sum((errors or {}).values())
    return ServingWindow("a", "churn", 1, role, AT, AT, requests, requests, errors or {}, latency)


def judged(*windows: ServingWindow) -> dict[str, Check]:
    return {check.name: check for check in judge_serving(MONITORING, windows)}


def test_a_day_without_questions_is_not_judged() -> None:
    assert judge_serving(MONITORING, []) == ()
    assert judge_serving(MONITORING, [window(500.0, role="shadow")]) == ()


@pytest.mark.parametrize(
    ("slow", "breaches"),
    [(0, []), (15, []), (40, ["p99_ms"]), (80, ["p99_ms", "p95_ms"]), (700, ["p99_ms", "p95_ms", "p50_ms"])],
)
def test_a_quantile_beyond_a_hundred_milliseconds_is_a_breach_where_it_is_so_for_certain(
    slow: int, breaches: list[str]
) -> None:
    found = judged(window(*[5.0] * (1000 - slow)), window(*[250.0] * slow))
    assert {name for name, check in found.items() if check.verdict == "breach"} == set(breaches)
    assert all(found[name].current_rows == 1000 for name in ("p50_ms", "p95_ms", "p99_ms"))


@pytest.mark.parametrize(
    ("failed", "answered", "verdict"),
    [(1, 9, "ok"), (0, 1000, "ok"), (10, 990, "ok"), (30, 970, "breach"), (5, 0, "breach"), (200, 19_800, "ok")],
)
def test_errors_are_a_breach_beyond_chance(failed: int, answered: int, verdict: str) -> None:
    found = judged(window(*[5.0] * answered, errors={503: failed} if failed else {}))["error_share"]
    assert found.verdict == verdict
    assert found.value == failed / (failed + answered)


def test_what_the_caller_does_wrong_is_no_error_of_the_service() -> None:
    assert judged(window(*[5.0] * 50, errors={422: 40, 401: 5, 429: 5}))["error_share"].value == 0


def test_questions_that_no_version_answered_count() -> None:
    found = judged(window(5.0), window(errors={503: 99}, role="none"))["error_share"]
    assert (found.value, found.verdict) == (0.99, "breach")


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_the_interval_of_the_share_is_scipys(counts: tuple[int, int]) -> None:
    requests, failed = counts
    found = judged(window(*[5.0] * (requests - failed), errors={500: failed} if failed else {}))["error_share"]
    exact = binomtest(failed, requests).proportion_ci(method="exact")
    assert (found.low, found.high) == (pytest.approx(exact.low, abs=1e-9), pytest.approx(exact.high, abs=1e-9))


@given(st.lists(st.floats(0.05, 5000), min_size=1, max_size=300))
def test_a_quantile_is_never_told_too_low_and_lies_within_its_interval(latencies: list[float]) -> None:
    found = judged(window(*latencies))
    for name, share in {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}.items():
        true = np.quantile(np.round(np.array(latencies) * 1000) / 1000, share, method="inverted_cdf")
        assert true <= found[name].value + 1e-9 <= true * 1.13 + 0.011
        low, high = found[name].low, found[name].high
        assert low <= found[name].value <= (np.inf if high is None else high)


@pytest.mark.parametrize(
    ("slow", "fast", "breaches"),
    [(1, 9, []), (1, 0, ["p99_ms"]), (5, 0, ["p95_ms", "p99_ms"]), (6, 0, ["p50_ms", "p95_ms", "p99_ms"])],
)
def test_a_few_slow_answers_say_no_more_than_they_can(slow: int, fast: int, breaches: list[str]) -> None:
    found = judged(window(*[250.0] * slow, *[5.0] * fast))
    assert [name for name, check in found.items() if check.verdict == "breach"] == breaches
    assert found["p99_ms"].high is None


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("answered", [1, 3, 10, 100, 500])
def test_a_service_that_keeps_its_limit_just_so_breaks_it_in_one_day_of_forty_at_most(
    answered: int, share: float
) -> None:
    name = f"p{share * 100:.0f}_ms"
    breaches = [
        slow
        for slow in range(1, answered + 1)
        if judged(window(*[250.0] * slow), window(*[5.0] * (answered - slow)))[name].verdict == "breach"
    ]
    assert binom.pmf(breaches, answered, 1 - share).sum() <= 0.025
    assert answered < 100 or breaches
