"""What the process has counted, in the text that Prometheus reads.

What belongs here: names and labels. What does not: counting: all of it is read from integers that are there anyway,
when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from include.monitoring.latency_histogram import BOUNDS_US
from include.serving.tally import SHADOW

if TYPE_CHECKING:
    from include.serving.prediction_service import PredictionService
    from include.serving.tally import Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_OF_VERSION = ["model", "version", "role"]
# Every fifth bound: four to a power of ten.
_STEP = 5


def render(service: PredictionService, in_flight: int) -> bytes:
    """Return the metrics of a service.

    Parameters
    ----------
    service : PredictionService
    in_flight : int
        Requests that are being answered.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ServiceCollector(service, in_flight))
    return generate_latest(registry)


class _ServiceCollector(Collector):
    def __init__(self, service: PredictionService, in_flight: int) -> None:
        self._service = service
        self._in_flight = in_flight

    def collect(self) -> Iterator[Metric]:
        tallies = self._service.record.recorder.tallies()
        yield from _counters(tallies)
        yield _latency(tallies)
        yield self._strays()
        yield from self._log()
        yield self._lineup()
        yield _event_ages(tallies)
        flying = GaugeMetricFamily("mlops_requests_in_flight", "Requests that are being answered.")
        flying.add_metric([], self._in_flight)
        yield flying

    def _strays(self) -> Metric:
        strays = CounterMetricFamily(
            "mlops_stray_requests", "Requests that were refused and name no model that is served.", labels=["status"]
        )
        for status, count in list(self._service.record.recorder.strays.items()):
            strays.add_metric([str(status)], count)
        return strays

    def _log(self) -> Iterator[Metric]:
        account = self._service.record.log.account()
        rows = CounterMetricFamily("mlops_log_rows", "Rows of the log, by what became of them.", labels=["end"])
        for end in ("committed", "left_out", "dropped", "lost"):
            rows.add_metric([end], getattr(account, end))
        yield rows
        waiting = GaugeMetricFamily("mlops_log_rows_waiting", "Rows on the way to the log.", labels=["where"])
        waiting.add_metric(["memory"], account.buffered)
        waiting.add_metric(["disk"], account.staged)
        yield waiting

    def _lineup(self) -> Metric:
        serving = GaugeMetricFamily("mlops_serving_version", "The version that answers.", labels=["model", "role"])
        for model_id, lineup in self._service.roster.lineups.items():
            for each in lineup.members:
                serving.add_metric([model_id, each.version.role], each.version.version)
        return serving


def _counters(tallies: list[Tally]) -> Iterator[Metric]:
    requests = CounterMetricFamily("mlops_requests", "Requests, by the version that answered.", labels=_OF_VERSION)
    rows = CounterMetricFamily("mlops_rows", "Rows that were answered.", labels=_OF_VERSION)
    errors = CounterMetricFamily("mlops_errors", "Requests that were not answered.", labels=[*_OF_VERSION, "status"])
    shed = CounterMetricFamily("mlops_shadow_rows_shed", "Rows that a shadow had no time for.", labels=_OF_VERSION)
    for tally in tallies:
        requests.add_metric(_labels(tally), tally.requests)
        rows.add_metric(_labels(tally), tally.rows)
        for status, count in list(tally.errors.items()):
            errors.add_metric([*_labels(tally), str(status)], count)
        if tally.role == SHADOW:
            shed.add_metric(_labels(tally), tally.shed)
    yield from (requests, rows, errors, shed)


def _latency(tallies: list[Tally]) -> Metric:
    latency = HistogramMetricFamily(
        "mlops_latency_seconds", "From a request's first byte to its answer's last.", labels=_OF_VERSION
    )
    for tally in tallies:
        until = list(accumulate(tally.latency))
        buckets = [(f"{bound / 1e6:g}", count) for bound, count in zip(BOUNDS_US[::_STEP], until[::_STEP], strict=True)]
        latency.add_metric(_labels(tally), [*buckets, ("+Inf", until[-1])], sum_value=tally.latency_us / 1e6)
    return latency


def _event_ages(tallies: list[Tally]) -> Metric:
    ages = GaugeMetricFamily(
        "mlops_feature_age_seconds",
        "Age of the newest features that were read.",
        labels=_OF_VERSION,
    )
    for tally in tallies:
        if tally.newest_event_us is not None:
            ages.add_metric(_labels(tally), time.time() - tally.newest_event_us / 1e6)
    return ages


def _labels(tally: Tally) -> list[str]:
    return [tally.model_id, str(tally.version), tally.role]
