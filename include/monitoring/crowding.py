"""How many rows come together in one value, of a text column with too many values for bins.

What belongs here: rows by cells of hashes, and how likely by chance one cell holds so many. What does not: values that
the reference never had (``outside``), and verdicts (``drift``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from include.monitoring.outside import at_least

# A value shares its cell with a thousandth of the others, and as many counts are all that a window keeps.
CELLS = 1_024


def count_cells(hashed: Mapping[int, int]) -> NDArray[np.int64]:
    """Return the rows in each cell, given rows by hash of value.

    Examples
    --------
    >>> count_cells({1: 3, 1_025: 4})[:3].tolist()
    [0, 7, 0]
    """
    cells = np.zeros(CELLS, dtype=np.int64)
    for value, rows in hashed.items():
        cells[value % CELLS] += rows
    return cells


def crowding_pvalue(reference_rows: int, most: int, rows: int, found: int) -> float:
    """Return the probability of a cell with so many rows, if both samples are of one population.

    Parameters
    ----------
    reference_rows, most : int
        Of the reference: rows with a value, and those in its fullest cell.
    rows, found : int
        Of the window: the same.

    Notes
    -----
    Fisher's exact test of a cell that held `most` of the reference's rows, times the cells, of which any might have
    come to be the fullest: one that held fewer is the less likely to hold so many.

    Examples
    --------
    >>> crowding_pvalue(2_000, 20, 500, 500) < 1e-9
    True
    >>> crowding_pvalue(2_000, 20, 500, 8)
    1.0
    """
    return min(CELLS * at_least(found, rows, reference_rows, most + found), 1.0)
