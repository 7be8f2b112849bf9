"""How a day's questions were answered online: latency, errors and throughput, judged.

What belongs here: windows of the service in, checks out. What does not: counting (``serving``), and adding windows up
(``serving_windows``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

from include.monitoring.check import Check
from include.monitoring.latency_histogram import quantile_us
from include.monitoring.serving_windows import ServingWindow, add_up
from include.specs.model_sections import MonitoringSpec

# Those of the caller's own making are no errors of the service.
_SERVER_ERROR = 500
# A shadow answers nobody.
_UNSEEN = "shadow"
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_Z, _TAIL = 1.959963984540054, 0.025  # of 95 %
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
        interval: one error of ten requests is none.

    Notes
    -----
    A quantile's interval is that of its rank, by the normal limit of the binomial (Conover 1999, Practical
    Nonparametric Statistics, 3.2); that of the share of errors is exact (Clopper & Pearson 1934, Biometrika 26).
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
        width = _Z * sqrt(share * (1 - share) / answered)
        low, value, high = (
            (quantile_us(latency, min(max(rank, 0.0), 1.0)) or 0) / 1000
            for rank in (share - width, share, share + width)
        )
        yield Check(
            "latency",
            f"{name}_ms",
            value,
            most,
            "breach" if low > most else "ok",
            low=low,
            high=high,
            current_rows=answered,
        )


def _errors(policy: MonitoringSpec, failed: int, requests: int) -> Check:
    from scipy.special import betaincinv  # not in the service's image

    low = float(betaincinv(failed, requests - failed + 1, _TAIL)) if failed else 0.0
    high = float(betaincinv(failed + 1, requests - failed, 1 - _TAIL)) if failed < requests else 1.0
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
