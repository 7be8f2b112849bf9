"""How a day's questions were answered online: latency, errors and throughput, judged.

What belongs here: windows of the service in, checks out. What does not: counting (``serving``), and adding windows up
(``serving_windows``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from include.monitoring.check import Check
from include.monitoring.latency_histogram import quantile_us
from include.monitoring.serving_windows import ServingWindow, add_up
from include.monitoring.shares import share_interval
from include.specs.model_sections import MonitoringSpec

# Those of the caller's own making are no errors of the service.
_SERVER_ERROR = 500
# A shadow answers nobody.
_UNSEEN = "shadow"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_TAIL = 0.025  # of 95 %
_DAY_S = 86_400


def judge_serving(policy: MonitoringSpec, windows: Sequence[ServingWindow]) -> tuple[Check, ...]:
    """Judge how a model's questions of one day were answered; nothing is said of a day without any.

    Parameters
    ----------
    policy : MonitoringSpec
        ``latency_ms_max`` of each of p50, p95 and p99; ``errors_max`` of the share of answers with a status from 500
        on, the declared 503 of a full service or of a store that is down among them.
    windows : sequence of ServingWindow
        Of the model, any role and process, that started on that day.

    Returns
    -------
    tuple of Check
        ``latency``: p50, p95 and p99 in milliseconds, of what was answered. ``traffic``: the share of errors, and
        requests a second, which is told and not judged. A breach lies beyond its limit with the whole of its 95 %
        interval: one error of ten requests is none, nor is one slow answer of ten.

    Notes
    -----
    Both intervals are exact: a quantile's is that of its rank (Conover 1999, Practical Nonparametric Statistics, 3.2),
    that of the share of errors is Clopper and Pearson's (1934, Biometrika 26). Of few answers a quantile has no end on
    a side: then ``low`` is 0, and ``high`` None.
    """
    whole = add_up(window for window in windows if window.role != _UNSEEN)
    if not whole.requests:
        return ()
    failed = sum(count for status, count in whole.errors.items() if status >= _SERVER_ERROR)
    return (*_latencies(policy, whole.latency), _errors(policy, failed, whole.requests), _throughput(whole.requests))


def _latencies(policy: MonitoringSpec, latency: Mapping[int, int]) -> Iterator[Check]:
    answered, most = sum(latency.values()), policy.latency_ms_max
    if not answered:
        return
    for name, share in _QUANTILES.items():
        low, high = _ends(latency, share)
        yield Check(
            "latency",
            f"{name}_ms",
            (quantile_us(latency, share) or 0) / 1000,
            most,
            "breach" if low > most else "ok",
            low=low,
            high=high,
            current_rows=answered,
        )


def _ends(latency: Mapping[int, int], share: float) -> tuple[float, float | None]:
    """Return the ends in milliseconds of what a quantile may be: two of the answers, or no end where there are few."""
    from scipy.stats import binom  # not in the service's image

    bounds, counts = zip(*sorted(latency.items()), strict=True)
    reached = [*accumulate(counts)]
    first, last = (int(binom.ppf(tail, reached[-1], share)) for tail in (_TAIL, 1 - _TAIL))
    low = bounds[bisect_left(reached, first)] / 1000 if first else 0.0
    return low, bounds[bisect_left(reached, last + 1)] / 1000 if last < reached[-1] else None


def _errors(policy: MonitoringSpec, failed: int, requests: int) -> Check:
    low, high = share_interval(failed, requests)
    return Check(
        "traffic",
        "error_share",
        failed / requests,
        policy.errors_max,
        "breach" if low > policy.errors_max else "ok",
        low=low,
        high=high,
        current_rows=requests,
    )


def _throughput(requests: int) -> Check:
    return Check("traffic", "requests_per_second", requests / _DAY_S, None, "ok", current_rows=requests)
