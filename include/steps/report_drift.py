"""Compare two files, column by column: what moved, by how much, and how sure that is.

What belongs here: one judged row per column. What does not: reading the files (``read_pair``), the
statistics (``include.monitoring``), and a model's own nights, which are counted over the bins that
travel with the model.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.adapters.files.tabular import local_file
from include.adapters.files.whole import read_names
from include.column_types import is_number, is_text, value_type
from include.errors import UsageError, nearest
from include.monitoring.columns import category_counts, numeric_values
from include.monitoring.drift import measure_drift
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.two_sample import NumericComparison, TestResult, compare_categories, compare_numeric
from include.steps.read_pair import read_pair

log = logging.getLogger(__name__)

PSI_MODERATE = 0.1  # Siddiqi (2006): below it stable
PSI_SIGNIFICANT = 0.2  # the requirements' level; Siddiqi (2006) has 0.25
MIN_ROWS = 50  # five rows a bin


@dataclass(frozen=True)
class ColumnReport:
    """One column, judged by PSI, with the two-sample tests beside it.

    Attributes
    ----------
    drift : FeatureDrift
    numeric : NumericComparison or None
        Of the whole samples; None for text, and without PSI.
    chi2 : TestResult or None
        None for numbers, and without PSI.
    """

    drift: FeatureDrift
    numeric: NumericComparison | None
    chi2: TestResult | None

    def to_json(self) -> dict[str, Any]:
        """Return the column's part of the report; `reason` only where there is one."""
        drift, numeric = self.drift, self.numeric
        reason = {} if drift.reason is None else {"reason": drift.reason}
        return {
            "psi": drift.psi,
            "psi_expected": drift.psi_expected,
            "psi_pvalue": drift.psi_pvalue,
            "ks": asdict(numeric.ks) if numeric else None,
            "wasserstein": numeric.wasserstein if numeric else None,
            "wasserstein_normalised": numeric.wasserstein_normalised if numeric else None,
            "missing_reference": drift.missing_reference,
            "missing_current": drift.missing_current,
            "outside_range": drift.outside_range,
            "kind": drift.kind,
            "chi2": asdict(self.chi2) if self.chi2 else None,
            "verdict": drift.verdict,
            **reason,
        }


@dataclass(frozen=True)
class DriftReport:
    """Two files compared.

    Attributes
    ----------
    reference_rows, current_rows : int
    columns : tuple of ColumnReport
        In the reference file's order, or that in which they were asked for.
    left_out : tuple of str
        Columns that the reference lacks, or that hold times or the like in both files.
    """

    reference_rows: int
    current_rows: int
    columns: tuple[ColumnReport, ...]
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``mlops drift report --json`` prints it."""
        return {
            "reference_rows": self.reference_rows,
            "current_rows": self.current_rows,
            "features": {column.drift.feature: column.to_json() for column in self.columns},
        }


def report_drift(
    reference: Path, current: Path, *, columns: Sequence[str] | None = None, min_rows: int = MIN_ROWS
) -> DriftReport:
    """Compare two files of rows.

    Parameters
    ----------
    reference, current : Path
        Parquet or CSV, by extension.
    columns : sequence of str, optional
        Default: every column of numbers, booleans or text that the reference has, and those that only the other file
        has as such.
    min_rows : int
        With fewer rows on either side there is no verdict.

    Returns
    -------
    DriftReport

    Raises
    ------
    UnreadableInputError
        If a file can't be taken as a whole, or the reference lacks a column that is asked for.
    UsageError
        If the files have no column in common, or the reference holds neither numbers nor text in one that is asked for.
    """
    asked = list(dict.fromkeys(columns)) if columns is not None else None
    before, after = read_pair([local_file(reference), local_file(current)], asked)
    names = _chosen(before, after, asked)
    expected, actual = values_of(before, after, [name for name in names if not _is_changed(name, before, after)])
    measured = measure_drift(
        build_reference_profile(expected),
        actual,
        min_rows=min_rows,
        moderate=PSI_MODERATE,
        significant=PSI_SIGNIFICANT,
    )
    found = _tell_gone({drift.feature: drift for drift in measured}, after, current)
    drifts = [found.get(name) or _changed(name, before, after) for name in names]
    judged = tuple(_compared(drift, expected.get(drift.feature), actual.get(drift.feature)) for drift in drifts)
    left_out = () if columns else tuple(sorted({*before.column_names, *after.column_names} - {*names}))
    log.info(
        "drift of %s against %s: %s columns, verdicts %s, %s rows against %s",
        current.name,
        reference.name,
        len(judged),
        dict(Counter(drift.verdict for drift in drifts)),
        after.num_rows,
        before.num_rows,
    )
    return DriftReport(before.num_rows, after.num_rows, judged, left_out)


def _compared(drift: FeatureDrift, reference: NDArray[Any] | None, current: NDArray[Any] | None) -> ColumnReport:
    if drift.psi is None or reference is None or current is None:
        return ColumnReport(drift, None, None)
    name = drift.feature
    if drift.kind == "categorical":
        counts: list[Mapping[str, int]] = [category_counts(name, values)[0] for values in (reference, current)]
        return ColumnReport(drift, None, compare_categories(*counts))
    return ColumnReport(drift, compare_numeric(numeric_values(name, reference), numeric_values(name, current)), None)


def _chosen(before: pa.Table, after: pa.Table, columns: list[str] | None) -> list[str]:
    if columns is None:
        return _judgeable(before, after)
    for name in columns:
        if not is_judgeable(before[name].type):
            raise UsageError(
                f"column {name!r} of the reference file is {before[name].type}; drift is measured on numbers and text"
            )
    return columns


def _judgeable(before: pa.Table, after: pa.Table) -> list[str]:
    """Return the columns that drift can be measured on in the reference, or that it can be in the other file alone."""
    if not any(is_judgeable(before[name].type) and name in after.column_names for name in before.column_names):
        raise UsageError(
            "the files have no column of numbers or text in common; "
            f"the reference has {', '.join(before.column_names)}; the other has {', '.join(after.column_names)}"
        )
    return [name for name in before.column_names if is_judgeable(before[name].type) or _is_changed(name, before, after)]


def _is_changed(name: str, before: pa.Table, after: pa.Table) -> bool:
    """Say whether a column is another one, though drift can be measured on it in one of the files at most.

    Without values it may be of any type. Times are no days, but where all of them are midnight.
    """
    if name not in after.column_names:
        return not is_judgeable(before[name].type)
    sides = [table[name] for table in (before, after)]
    if any(pa.types.is_null(side.type) for side in sides):
        return False
    judgeable = [is_judgeable(side.type) for side in sides]
    return judgeable[0] != judgeable[1] or (not any(judgeable) and not _are_alike(*sides))


def _are_alike(before: pa.ChunkedArray, after: pa.ChunkedArray) -> bool:
    kinds = {_kind_of_times(value_type(side.type)) for side in (before, after)}
    return len(kinds) == 1 or (kinds == {"days", "times"} and not any(map(_has_times, (before, after))))


def _kind_of_times(type_: pa.DataType) -> str:
    if pa.types.is_date(type_):
        return "days"
    if pa.types.is_timestamp(type_):
        return "times"
    return "times of day" if pa.types.is_time(type_) else "neither"


def _has_times(column: pa.ChunkedArray) -> bool:
    type_ = value_type(column.type)
    if not pa.types.is_timestamp(type_):
        return False
    times = column.cast(type_)
    return bool(pc.any(pc.not_equal(times, pc.floor_temporal(times, unit="day"))).as_py())


def _changed(name: str, before: pa.Table, after: pa.Table) -> FeatureDrift:
    is_gone = name not in after.column_names
    types = [table[name].type for table in (before, after) if name in table.column_names]
    kind = next((type_ for type_ in types if is_judgeable(type_)), types[0])
    return FeatureDrift(
        feature=name,
        kind="categorical" if is_text(value_type(kind)) else "numeric",
        reference_rows=before.num_rows,
        current_rows=after.num_rows,
        verdict="schema",
        psi=None,
        psi_expected=None,
        psi_pvalue=None,
        missing_reference=before[name].null_count / before.num_rows if before.num_rows else None,
        missing_current=after[name].null_count / after.num_rows if after.num_rows and not is_gone else None,
        outside_range=None,
        reason=f"the window has no column {name!r}, of {types[0]} in the reference"
        if is_gone
        else f"the column is {types[1]} where the reference has {types[0]}",
    )


def _tell_gone(found: Mapping[str, FeatureDrift], after: pa.Table, current: Path) -> dict[str, FeatureDrift]:
    """Return the verdicts, of a column that is gone with all that the file has, also what is not compared."""
    gone = [name for name in found if name not in after.column_names]
    there = read_names(local_file(current)) if gone else ()
    told = f"it has {', '.join(there)}"
    return {
        **found,
        **{
            name: replace(found[name], reason=f"the window has no column {name!r}; {told}{nearest(name, there)}")
            for name in gone
        },
    }


def is_judgeable(type_: pa.DataType) -> bool:
    """Say whether drift can be measured on a column: it holds numbers, booleans, text, or nothing."""
    type_ = value_type(type_)
    return bool(pa.types.is_null(type_) or pa.types.is_boolean(type_) or is_number(type_) or is_text(type_))


def values_of(
    before: pa.Table, after: pa.Table, names: Sequence[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the columns of both files, numbers in the narrower of their precisions.

    A file of 32-bit numbers and one of the same numbers with 64 bits are the same rows: no bin may tell them apart.
    """
    expected, actual = {}, {}
    for name in names:
        expected[name] = _values(before[name])
        if name in after.column_names:
            actual[name] = _values(after[name])
            narrowest = min(
                (_precision(table[name].type) for table in (before, after)), key=lambda type_: type_.itemsize
            )
            expected[name], actual[name] = _in_precision(narrowest, expected[name], actual[name])
    return expected, actual


def _precision(type_: pa.DataType) -> np.dtype[Any]:
    type_ = value_type(type_)
    return np.dtype(type_.to_pandas_dtype() if pa.types.is_floating(type_) else np.float64)


def _in_precision(precision: np.dtype[Any], *columns: NDArray[Any]) -> list[NDArray[Any]]:
    with np.errstate(over="ignore"):
        return [values.astype(precision) if values.dtype.kind == "f" else values for values in columns]


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(value_type(column.type))
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if is_number(column.type):
        # By its digits a decimal is the nearest double, as in a CSV: Arrow's own cast is off in the last place, and a
        # value that is an edge falls beside it.
        exact = column.cast(pa.string()) if pa.types.is_decimal(column.type) else column
        # Whole numbers above 2^53 lose their last digits, which no bin can tell.
        numbers: NDArray[np.float64] = exact.cast(pa.float64(), safe=False).to_numpy()
        return numbers
    texts: NDArray[np.object_] = column.to_numpy().astype(object)
    texts[texts == ""] = None  # a CSV writes a missing text as nothing
    return texts
