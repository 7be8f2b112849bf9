"""What a column holds: numbers or text, and which of its rows have no value.

What belongs here: telling the two apart, and refusing what is neither. What does not: bins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from include.errors import UsageError

Kind = Literal["numeric", "categorical"]
Precision = Literal["float32", "float64"]


def kind_of(name: str, values: NDArray[Any]) -> Kind | None:
    """Return what a column holds, or None when it holds no values to tell by.

    Raises
    ------
    UsageError
        If it is neither numbers nor text, or a mixture.
    """
    if values.dtype.kind in "biuf":
        return "numeric"
    if values.dtype.kind == "U":
        return "categorical"
    if values.dtype.kind != "O":
        raise UsageError(f"column {name!r} is {values.dtype}; drift is measured on numbers and on text")
    seen, _ = _distinct(name, values)
    if not seen:
        return None
    if all(isinstance(value, str) for value in seen):
        return "categorical"
    if all(isinstance(value, int | float | Decimal | np.number | np.bool_) for value in seen):
        return "numeric"
    kinds = sorted({type(value).__name__ for value in seen})
    raise UsageError(f"column {name!r} mixes {', '.join(kinds)}; drift is measured on numbers or on text")


def find_change(name: str, kind: Kind | None, columns: Mapping[str, NDArray[Any]]) -> str | None:
    """Say why a column isn't the one that was known; None where it is, or holds no values to tell by.

    Parameters
    ----------
    name : str
    kind : {"numeric", "categorical"} or None
        What it held; None when there was no value to tell by.
    columns : mapping of str to ndarray of shape (n_rows,)
        What there is now.
    """
    if name not in columns:
        return f"the window has no column {name!r}; it has {', '.join(columns) or 'none'}"
    try:
        found = kind_of(name, columns[name])
    except UsageError as err:
        return str(err)
    if found is None or kind is None or found == kind:
        return None
    held: Mapping[Kind, str] = {"numeric": "numbers", "categorical": "text"}
    return f"the column holds {held[found]} where the reference holds {held[kind]}"


def numeric_values(name: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column as float64 with NaN for what is missing.

    Raises
    ------
    UsageError
        If it isn't numeric.
    """
    if kind_of(name, values) == "categorical":
        raise UsageError(
            f"column {name!r} holds text where the reference holds numbers; mend the column or leave it out"
        )
    return np.asarray(values, dtype=np.float64)


def precision_of(values: NDArray[Any]) -> Precision:
    """Return in which precision a column's numbers were kept; whole numbers are kept to their last digit."""
    return (
        "float32" if values.dtype.kind == "f" and values.dtype.itemsize <= np.dtype(np.float32).itemsize else "float64"
    )


def rounded_to(precision: Precision, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers as they are once kept in a precision; what is too large for it is infinite.

    Examples
    --------
    >>> rounded_to("float32", np.array([16_777_217.0])).tolist()
    [16777216.0]
    """
    if precision == "float64":
        return numbers
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32).astype(np.float64)


def category_counts(name: str, values: NDArray[Any]) -> tuple[dict[str, int], int]:
    """Return rows per category, and rows without one.

    Raises
    ------
    UsageError
        If it isn't text.
    """
    if kind_of(name, values) == "numeric":
        raise UsageError(
            f"column {name!r} holds numbers where the reference holds text; mend the column or leave it out"
        )
    return _distinct(name, values)


def _distinct(name: str, values: NDArray[Any]) -> tuple[dict[Any, int], int]:
    try:
        seen = Counter(values.tolist())
    except TypeError as err:
        raise UsageError(f"column {name!r} holds lists or the like; drift is measured on numbers and on text") from err
    # NaN is the one value that differs from itself.
    missing = [value for value in seen if value is None or value != value]
    return seen, sum(seen.pop(value) for value in missing)
