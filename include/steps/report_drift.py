"""Compare two files, column by column: what moved, by how much, and how sure that is.

What belongs here: reading both files once, and one judged row per column. What does not: the
statistics (``include.monitoring``), and a model's own nights, which are counted over the bins that
travel with the model.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.adapters.files.inference import with_types
from include.adapters.files.tabular import TableFile, local_file
from include.adapters.files.whole import read_rows, read_texts
from include.column_types import is_number, is_text, value_type
from include.errors import UsageError
from include.monitoring.columns import category_counts, numeric_values
from include.monitoring.drift import FeatureDrift, measure_drift
from include.monitoring.reference_profile import build_reference_profile
from include.monitoring.two_sample import NumericComparison, TestResult, compare_categories, compare_numeric

log = logging.getLogger(__name__)

PSI_MODERATE = 0.1  # Siddiqi (2006): below it stable
PSI_SIGNIFICANT = 0.2  # the requirements' level; Siddiqi (2006) has 0.25
MIN_ROWS = 50  # five rows a bin

# A number with zeros before it is a code, such as of a post office or a shop.
_PADDED = r"^\s*[-+]?0[0-9]"


@dataclass(frozen=True)
class ColumnReport:
    """One column, judged by PSI, with the two-sample tests beside it.

    Attributes
    ----------
    drift : FeatureDrift
    numeric : NumericComparison or None
        None for text, and without a verdict.
    chi2 : TestResult or None
        None for numbers, and without a verdict.
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
        Columns that one file lacks, or that hold times or the like.
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


@dataclass(frozen=True)
class _Side:
    """A file's rows, and of a text file what they are read from."""

    rows: pa.Table
    texts: pa.Table | None

    @property
    def written(self) -> pa.Table:
        """What stands in a text file's columns that were taken for numbers."""
        if self.texts is None:
            return pa.table({})
        return self.texts.select([field.name for field in self.rows.schema if is_number(field.type)])


def report_drift(
    reference: Path, current: Path, *, columns: Sequence[str] | None = None, min_rows: int = MIN_ROWS
) -> DriftReport:
    """Compare two files of rows.

    Parameters
    ----------
    reference, current : Path
        Parquet or CSV, by extension.
    columns : sequence of str, optional
        Default: every column of numbers, booleans or text that both files have.
    min_rows : int
        With fewer rows on either side there is no verdict.

    Returns
    -------
    DriftReport

    Raises
    ------
    UnreadableInputError
        If a file can't be taken as a whole, or lacks a column.
    UsageError
        If a column holds text in one file and numbers in the other.
    """
    asked = list(dict.fromkeys(columns)) if columns is not None else None
    before, after = _read_both([local_file(reference), local_file(current)], asked)
    names = _chosen(before, after, asked)
    expected = {name: _values(before[name]) for name in names}
    actual = {name: _values(after[name]) for name in names}
    drifts = measure_drift(
        build_reference_profile(expected),
        actual,
        min_rows=min_rows,
        moderate=PSI_MODERATE,
        significant=PSI_SIGNIFICANT,
    )
    judged = tuple(_compared(drift, expected[drift.feature], actual[drift.feature]) for drift in drifts)
    left_out = () if columns else tuple(sorted({*before.column_names, *after.column_names} - {*names}))
    log.info(
        "drift of %s against %s: %s columns, %s significant, %s rows against %s",
        current.name,
        reference.name,
        len(judged),
        sum(drift.verdict == "significant" for drift in drifts),
        after.num_rows,
        before.num_rows,
    )
    return DriftReport(before.num_rows, after.num_rows, judged, left_out)


def _compared(drift: FeatureDrift, reference: NDArray[Any], current: NDArray[Any]) -> ColumnReport:
    if drift.verdict == "insufficient":
        return ColumnReport(drift, None, None)
    name = drift.feature
    if drift.kind == "categorical":
        counts: list[Mapping[str, int]] = [category_counts(name, values)[0] for values in (reference, current)]
        return ColumnReport(drift, None, compare_categories(*counts))
    return ColumnReport(drift, compare_numeric(numeric_values(name, reference), numeric_values(name, current)), None)


def _read_both(files: Sequence[TableFile], columns: Sequence[str] | None) -> list[pa.Table]:
    """Return the rows of both files, with codes such as 007 as the text that they are.

    A parquet file says whether a column holds text or numbers, and of a CSV's only the leading zeros do.
    """
    sides = [_read_side(file, columns) for file in files]
    codes = _find_codes(sides)
    return [_with_texts(side, codes) for side in sides]


def _read_side(file: TableFile, columns: Sequence[str] | None) -> _Side:
    if not file.is_text:
        return _Side(read_rows(file, columns=columns), None)
    texts = read_texts(file, columns=columns)
    return _Side(with_types(texts), texts)


def _with_texts(side: _Side, names: Collection[str]) -> pa.Table:
    rows, written = side.rows, side.written
    for name in written.column_names:
        if name in names:
            rows = rows.set_column(rows.column_names.index(name), name, written[name])
    return rows


def _find_codes(sides: Sequence[_Side]) -> set[str]:
    """Return the columns that a typed file has as text, or else a CSV with leading zeros."""
    typed = [field for side in sides if side.texts is None for field in side.rows.schema]
    padded = {name for side in sides for name in side.written.column_names if _is_padded(side.written[name])}
    return (_names_of(typed, is_text) | padded) - _names_of(typed, is_number)


def _is_padded(written: pa.ChunkedArray) -> bool:
    return pc.any(pc.match_substring_regex(written, _PADDED)).as_py() is True


def _names_of(fields: Sequence[pa.Field], is_kind: Callable[[pa.DataType], bool]) -> set[str]:
    return {field.name for field in fields if is_kind(value_type(field.type))}


def _chosen(before: pa.Table, after: pa.Table, columns: list[str] | None) -> list[str]:
    if columns is None:
        return _judgeable_in_both(before, after)
    for name in columns:
        for side, table in (("reference", before), ("current", after)):
            if not _is_judgeable(table[name].type):
                raise UsageError(
                    f"column {name!r} of the {side} file is {table[name].type}; drift is measured on numbers and text"
                )
    return columns


def _judgeable_in_both(before: pa.Table, after: pa.Table) -> list[str]:
    common = [name for name in before.column_names if name in after.column_names]
    judgeable = [name for name in common if _is_judgeable(before[name].type) and _is_judgeable(after[name].type)]
    if not judgeable:
        raise UsageError(
            "the files have no column of numbers or text in common; "
            f"the reference has {', '.join(before.column_names)}; the other has {', '.join(after.column_names)}"
        )
    return judgeable


def _is_judgeable(type_: pa.DataType) -> bool:
    type_ = value_type(type_)
    return bool(pa.types.is_null(type_) or pa.types.is_boolean(type_) or is_number(type_) or is_text(type_))


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.cast(value_type(column.type))
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if is_number(column.type):
        # Whole numbers above 2^53 lose their last digits, which no bin can tell.
        numbers: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
        return numbers
    texts: NDArray[np.object_] = column.to_numpy().astype(object)
    texts[texts == ""] = None  # a CSV writes a missing text as nothing
    return texts
