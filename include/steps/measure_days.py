"""Measure each day of a file against another one, as a model's nights are: a history that a policy can be played on.

What belongs here: which rows are of which day, and judging them one day after another. What does not: the judgement
(``include.monitoring``), and playing a policy (``backtest_policy``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include import partitions
from include.adapters.files.tabular import local_file
from include.column_types import is_text, value_type
from include.errors import UnreadableInputError, UsageError, nearest
from include.monitoring.data_quality import judge_data_quality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.drift import measure_drift
from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.reference_profile import build_reference_profile
from include.specs.model_sections import MonitoringSpec
from include.steps.read_pair import read_pair
from include.steps.report_drift import is_judgeable, values_of

log = logging.getLogger(__name__)

# No version was measured against: the reference is a file.
_VERSION = 0


@dataclass(frozen=True)
class DataSet:
    """Two files of rows.

    Attributes
    ----------
    reference, current : Path
        Parquet or CSV, by extension.
    day : str
        Column of the current file that says of which day a row is: days, times, or text such as 2026-03-01.
    columns : tuple of str or None
        What is measured. None: all numbers and text that both files have, but for the day.
    """

    reference: Path
    current: Path
    day: str
    columns: tuple[str, ...] | None = None


def measure_days(rows: DataSet, monitoring: MonitoringSpec) -> list[NightMetrics]:
    """Return what monitoring would have measured on each day: volume, missing values, drift; no labels are read.

    Raises
    ------
    UnreadableInputError
        If a file can't be taken as a whole, or lacks a column.
    UsageError
        If there is nothing that drift is measured on, a row is of no day, or no day tells anything.
    """
    before, after = read_pair([local_file(rows.reference), local_file(rows.current)], None)
    names, days = _names(rows, before, after), _days_of(rows, after)
    expected, actual = values_of(before, after, names)
    profile, order = build_reference_profile(expected), np.argsort(days, kind="stable")
    keys, starts = np.unique(days[order], return_index=True)
    parts = dict(zip(map(str, keys), np.split(order, starts[1:]), strict=True))
    counts = {key: len(part) for key, part in parts.items()}
    nights = [
        _measure(key, {name: values[part] for name, values in actual.items()}, profile, counts, monitoring)
        for key, part in parts.items()
    ]
    judged = [drift for night in nights for drift in night.drift]
    if all(drift.verdict == "insufficient" for drift in judged):
        raise UsageError(f"no day of {rows.current.name} can be judged: {judged[0].feature}: {judged[0].reason}")
    log.info("days measured file=%s reference=%s days=%d", rows.current.name, rows.reference.name, len(nights))
    return nights


def _measure(
    key: str,
    window: Mapping[str, NDArray[Any]],
    profile: ReferenceProfile,
    counts: Mapping[str, int],
    monitoring: MonitoringSpec,
) -> NightMetrics:
    drift = measure_drift(
        profile,
        window,
        min_rows=monitoring.min_rows,
        moderate=monitoring.psi_moderate,
        significant=monitoring.psi_significant,
    )
    quality, checks = judge_data_quality(monitoring, night=key, rows_scored=counts, drift=drift)
    age = partitions.days_between(min(counts), key) + 1
    return NightMetrics(key, counts[key], quality, drift, model_version=_VERSION, checks=checks, age=age)


def _names(rows: DataSet, before: pa.Table, after: pa.Table) -> list[str]:
    asked = rows.columns or ()
    _require(rows.reference, before, asked)
    _require(rows.current, after, (rows.day, *asked))
    measured = [name for name in before.column_names if name != rows.day and _is_measured(name, before, after)]
    if not measured or not set(asked) <= set(measured):
        raise UsageError(
            "days are measured on numbers and text that both files have in the same way, and not on the day; "
            f"those are: {', '.join(measured) or 'none'}"
        )
    return list(asked) or measured


def _require(path: Path, table: pa.Table, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in table.column_names:
            known = table.column_names
            raise UnreadableInputError(
                f"{path.name} has no column {name!r}; it has {', '.join(known)}{nearest(name, known)}"
            )


def _is_measured(name: str, before: pa.Table, after: pa.Table) -> bool:
    if name not in after.column_names:
        return False
    types = [value_type(table[name].type) for table in (before, after)]
    return all(map(is_judgeable, types)) and is_text(types[0]) == is_text(types[1])


def _days_of(rows: DataSet, table: pa.Table) -> NDArray[np.str_]:
    column = table[rows.day]
    if pa.types.is_dictionary(column.type):
        column = column.cast(value_type(column.type))
    if column.null_count or not len(column):
        raise UsageError(f"{column.null_count} of {len(column)} rows of {rows.current.name} have no {rows.day!r}")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.date32(), safe=False)
    if not pa.types.is_date(column.type) and not is_text(column.type):
        raise UsageError(
            f"{rows.current.name}: column {rows.day!r} is {column.type}; a day is written as 2026-03-01, or is a time"
        )
    written = column if is_text(column.type) else column.cast(pa.date32()).cast(pa.string())
    days = np.asarray(written.to_pylist())
    for key in np.unique(days):
        try:
            partitions.parse(str(key))
        except UsageError as err:
            raise UsageError(f"{rows.current.name}: column {rows.day!r}: {err}") from err
    return days
