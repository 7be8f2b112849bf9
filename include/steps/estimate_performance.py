"""Estimate what the scores of a file are worth, by another file whose labels are known.

What belongs here: reading both files once, and what of them is looked at. What does not: the estimate
(``monitoring.estimated_performance``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.adapters.files.tabular import local_file
from include.adapters.files.whole import read_rows
from include.column_types import is_number, is_text, value_type
from include.errors import UnreadableInputError, UsageError, nearest
from include.monitoring.estimated_performance import (
    CAVEAT,
    BackTest,
    EstimatedAuc,
    ScoredRows,
    back_test,
    estimate_auc,
    expected_auc,
)
from include.training.auc import check_scored
from include.training.clusters import number_entities

log = logging.getLogger(__name__)

_SAMPLES, _SEED = 200, 20
# Of the scores that lie beyond those whose labels are known, this share is another scale and no shift.
_BEYOND_MAX = 0.5


@dataclass(frozen=True)
class PerformanceReport:
    """What the scores of a file are worth.

    Attributes
    ----------
    reference_rows, current_rows : int
        Of the reference those whose label is known.
    features : tuple of str
        What the correction for covariate shift looked at.
    estimated : EstimatedAuc
    realised : float or None
        The AUC of the current rows whose label is known; None where none is, or all are the same.
    back_test : BackTest
        How such estimates held on windows of the reference.
    """

    reference_rows: int
    current_rows: int
    features: tuple[str, ...]
    estimated: EstimatedAuc
    realised: float | None
    back_test: BackTest

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``mlops performance estimate --json`` prints it."""
        estimated = self.estimated
        return {
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "estimated": {"auc": {"value": estimated.value, "low": estimated.low, "high": estimated.high}},
            "realised": None if self.realised is None else {"auc": self.realised},
            "uncorrected": {"auc": estimated.uncorrected},
            "corrected_by": list(self.features) if estimated.is_corrected else [],
            "back_test": {"windows": self.back_test.windows, "within": self.back_test.within},
            "caveat": CAVEAT,
        }


def estimate_performance(
    reference: Path,
    current: Path,
    *,
    score: str,
    label: str,
    features: Sequence[str] | None = None,
    entity: str | None = None,
) -> PerformanceReport:
    """Estimate the AUC of the scores of a file.

    Parameters
    ----------
    reference, current : Path
        Parquet or CSV, by extension; rows of the reference in the order of time.
    score, label : str
        Their columns. A label is 0 or 1; the current file need not have it.
    features : sequence of str, optional
        Columns of numbers that the correction for covariate shift looks at. Default: all that both files have.
    entity : str, optional
        The column that says whom a row is about: rows of one depend on one another. The current file need not have it;
        each of its rows is its own then.

    Raises
    ------
    UnreadableInputError
        If a file can't be taken as a whole, or lacks a column.
    UsageError
        If a score is no number, a label neither 0 nor 1, or a row about nobody; if a column is taken for two things, or
        most scores of the current file lie beyond those of the reference.
    RefusedError
        If there are too few rows to tell anything.
    """
    _require_roles(score, label, entity, features or ())
    before, after = read_rows(local_file(reference)), read_rows(local_file(current))
    for path, rows, wanted in ((reference, before, (score, label, entity)), (current, after, (score,))):
        _require(path, rows, [*(name for name in wanted if name is not None), *(features or ())])
    names = list(features) if features is not None else _common(before, after, {score, label, entity})
    known = before.filter(pc.is_valid(before[label]))
    past = ScoredRows(
        _scores(known, score, reference),
        _matrix(known, names, reference),
        _labels(known, label, reference),
        None if entity is None else _entities(known, entity, reference),
    )
    present = ScoredRows(
        _scores(after, score, current),
        _matrix(after, names, current),
        entities=_entities(after, entity, current) if entity is not None and entity in after.column_names else None,
    )
    _require_one_scale(past.scores, present.scores, reference, current)
    estimated = estimate_auc(past, present, samples=_SAMPLES, seed=_SEED)
    log.info("estimate reference_rows=%d current_rows=%d auc=%.4f", known.num_rows, after.num_rows, estimated.value)
    return PerformanceReport(
        known.num_rows,
        after.num_rows,
        tuple(names),
        estimated,
        _realised(after, score, label, current),
        back_test(past, seed=_SEED),
    )


def _require(path: Path, rows: pa.Table, wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in rows.column_names:
            raise UnreadableInputError(
                f"{path.name} has no column {name!r}; it has {', '.join(rows.column_names)}"
                f"{nearest(name, rows.column_names)}"
            )


def _require_roles(score: str, label: str, entity: str | None, features: Sequence[str]) -> None:
    if score == label:
        raise UsageError(f"--score and --label are both {score!r}; name a column for each")
    for name, role in ((label, "label"), (entity, "entity")):
        if name in features:
            raise UsageError(f"{name!r} is the {role}, and no feature; leave it out of --features")


def _require_one_scale(past: NDArray[np.float64], present: NDArray[np.float64], reference: Path, current: Path) -> None:
    if not len(past) or not len(present):
        return
    low, high = past.min(), past.max()
    beyond = float(((present < low) | (present > high)).mean())
    if beyond > _BEYOND_MAX:
        raise UsageError(
            f"{beyond:.0%} of the scores of {current.name} lie beyond those of {reference.name}, {low:g} to {high:g}, "
            "where nothing is known of what they are worth; give both files the scores of one model, on one scale"
        )


def _common(before: pa.Table, after: pa.Table, others: set[str | None]) -> list[str]:
    return [
        name
        for name in before.column_names
        if name in after.column_names
        and name not in others
        and _is_numeric(before[name].type)
        and _is_numeric(after[name].type)
    ]


def _is_numeric(found: pa.DataType) -> bool:
    return is_number(value_type(found)) or pa.types.is_boolean(value_type(found))


def _numbers(rows: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    column = rows[name]
    if not _is_numeric(column.type) and column.null_count < rows.num_rows:
        raise UsageError(f"{path.name}: column {name!r} is {column.type}; it should hold numbers")
    if pa.types.is_dictionary(column.type):
        column = column.cast(value_type(column.type))
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy())


def _scores(rows: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    found = _numbers(rows, name, path)
    try:
        check_scored(np.zeros(len(found), np.int8), found.astype(np.float32))
    except UsageError as err:
        raise UsageError(f"{path.name}: {err}") from err
    return found


def _matrix(rows: pa.Table, names: Sequence[str], path: Path) -> NDArray[np.float64]:
    columns = [_numbers(rows, name, path) for name in names]
    return np.column_stack(columns) if columns else np.empty((rows.num_rows, 0))


def _labels(rows: pa.Table, name: str, path: Path) -> NDArray[np.float64]:
    column = rows[name]
    if not _is_numeric(column.type) and column.null_count < rows.num_rows:
        raise UsageError(f"{path.name}: column {name!r} is {column.type}; a label is 0 or 1, or false or true")
    found = _numbers(rows, name, path)
    if len(strange := np.setdiff1d(found, [0.0, 1.0])):
        raise UsageError(f"{path.name}: column {name!r} has the label {strange[0]:g}; allowed are 0 and 1")
    return found


def _entities(rows: pa.Table, name: str, path: Path) -> NDArray[np.int64]:
    found, column = value_type(rows[name].type), rows[name]
    if column.null_count:
        raise UsageError(f"{column.null_count} rows of {path.name} have no {name!r}; say whom each is about")
    if not is_text(found) and not is_number(found):
        raise UsageError(f"{path.name}: column {name!r} is {found}; an entity is a text or a number")
    return number_entities(column.cast(pa.string()).to_pylist())


def _realised(rows: pa.Table, score: str, label: str, path: Path) -> float | None:
    if label not in rows.column_names:
        return None
    known = rows.filter(pc.is_valid(rows[label]))
    if known.num_rows == 0:
        return None
    value = expected_auc(_scores(known, score, path), _labels(known, label, path))
    return value if np.isfinite(value) else None
