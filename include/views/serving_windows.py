"""What a model's versions answered on a day, by the minute, and how much of it is in the log: as plain values.

What belongs here: reading and adding up. What does not: how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include import partitions
from include.monitoring.latency_histogram import quantile_us
from include.monitoring.serving_windows import ServingWindow, add_up
from include.specs.models import load_model
from include.tables import online_vectors_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


@dataclass(frozen=True)
class ServedLine:
    """What one version in one role answered in a time.

    Attributes
    ----------
    started_at : datetime
        A minute, or the day.
    model_version, role : int, str
        See `ServingWindow`.
    processes, requests, rows, dropped : int
    errors : dict of str to int
        By status.
    p50_ms, p95_ms, p99_ms : float or None
        Upper bounds of where these quantiles of the latency lie; None where nothing was answered.
    """

    started_at: datetime
    model_version: int
    role: str
    processes: int
    requests: int
    rows: int
    errors: dict[str, int]
    dropped: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class ServedDay:
    """What a model answered on a day.

    Attributes
    ----------
    model_id, partition : str
    day : list of ServedLine
        The day as a whole, by version and role.
    minutes : list of ServedLine
    logged : int
        Rows of the day that are in the log by now.
    log_share : float
        Of entities, whose rows are kept there, as the spec says now.
    """

    model_id: str
    partition: str
    day: list[ServedLine]
    minutes: list[ServedLine]
    logged: int
    log_share: float


def read_served_day(deployment: Deployment, model_id: str, partition: str) -> ServedDay:
    """Return what a model answered on a UTC day, of all processes together.

    Raises
    ------
    UsageError
        If there is no such model, or the day is none.
    """
    spec = load_model(model_id)
    start, end = partitions.start_of(partition), partitions.end_of(partition)
    windows = deployment.state.serving_windows(model_id, start, end)
    return ServedDay(
        model_id,
        partition,
        day=_lines(windows, lambda _: start),
        minutes=_lines(windows, lambda window: window.started_at.replace(second=0, microsecond=0)),
        logged=_logged(deployment, model_id, partition),
        log_share=spec.serving.log_share,
    )


def _lines(windows: Iterable[ServingWindow], begin: Callable[[ServingWindow], datetime]) -> list[ServedLine]:
    parts: dict[tuple[datetime, int, str], list[ServingWindow]] = {}
    for window in windows:
        parts.setdefault((begin(window), window.model_version, window.role), []).append(window)
    return [_line(*key, parts[key]) for key in sorted(parts)]


def _line(started_at: datetime, version: int, role: str, windows: Sequence[ServingWindow]) -> ServedLine:
    sum_ = add_up(windows)
    marks = [quantile_us(sum_.latency, share) for share in (0.5, 0.95, 0.99)]
    p50, p95, p99 = (None if mark is None else mark / 1000 for mark in marks)
    return ServedLine(
        started_at=started_at,
        model_version=version,
        role=role,
        processes=sum_.processes,
        requests=sum_.requests,
        rows=sum_.rows,
        errors={str(status): count for status, count in sum_.errors.items()},
        dropped=sum_.dropped,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
    )


def _logged(deployment: Deployment, model_id: str, partition: str) -> int:
    table = online_vectors_name(model_id)
    if partition not in deployment.lake.partitions(table):
        return 0
    rows = deployment.lake.read(table, start=partition, end=partition, columns=["service_process"])
    # Rows without a process are the nights' own sample.
    return int(pc.count(rows["service_process"]).as_py())
