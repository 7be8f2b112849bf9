"""Rows in the order of some columns.

What belongs here: putting them so, and finding out that they are. What does not: which order is meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def is_ordered(rows: pa.Table, names: Sequence[str]) -> bool:
    """Say whether rows ascend by columns, the first of which decides first.

    Parameters
    ----------
    rows : pyarrow.Table
        `names` without nulls; rows that have one are in no order.
    names : sequence of str
        Columns of it.

    Examples
    --------
    >>> rows = pa.table({"a": ["x", "x", "y"], "b": [1, 2, 0]})
    >>> is_ordered(rows, ["a", "b"]), is_ordered(rows, ["b"])
    (True, False)
    """
    if any(rows[name].null_count for name in names):
        return False
    is_tied = np.ones(max(0, rows.num_rows - 1), dtype=bool)
    for name in names:
        if not is_tied.any():
            break
        column = rows[name].combine_chunks()
        before, after = column[:-1], column[1:]
        if (is_tied & _holds(pc.greater(before, after))).any():
            return False
        is_tied &= _holds(pc.equal(before, after))
    return True


def ordered(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return rows, each column in one piece, in ascending order of some; equal rows stay in theirs.

    What is in order already, as nearly all that is read is, is looked at once in place of being sorted.
    """
    if is_ordered(rows, names):
        return rows.combine_chunks()
    return rows.sort_by([(name, "ascending") for name in names]).combine_chunks()


def _holds(condition: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(condition.to_numpy(zero_copy_only=False), dtype=bool)
