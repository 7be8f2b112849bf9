"""A window that comes in batches, compared with a frozen sample of which a sketch is left.

What belongs here: what is kept of a window so that its memory is bounded, and the two statistics of that. What does
not: samples that are both at hand (``two_sample``), and bins (``binning``).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from include.monitoring.quantile_sketch import QuantileSketch
from include.monitoring.two_sample import NumericComparison, compare_with_sketch, judge_with_sketch

# A window up to here is compared value by value: 1 MB a feature.
WHOLE_ROWS = 131_072
# So many cells lie between two neighbours of the sketch.
_CELLS = 8


class StreamedComparison:
    """Kolmogorov and Smirnov's distance, and the area between the distribution functions, of batches and a sketch.

    Parameters
    ----------
    reference : QuantileSketch
        Rounded as the batches are.

    Notes
    -----
    What it says depends on the rows and not on how they are cut or ordered. Up to 131,072 values are kept and compared
    as `compare_with_sketch` does. Of more, rows and sums are counted in cells: the sketch's values, and eighths of what
    lies between two neighbours. The distance is the same to the last digit, for the sketch's function steps at its
    values alone. The area is exact in every cell but those where the two functions cross, one at most between two
    neighbours, where the rows are taken to lie evenly: it is off by less than the widths of those cells times the share
    of rows in each.
    """

    def __init__(self, reference: QuantileSketch) -> None:
        self._reference = reference
        self._has_values = len(reference.points()[0]) > 0
        self._kept: list[NDArray[np.float64]] = []
        self._cells: _Cells | None = None
        self.rows = 0

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Take a batch in; NaN is left out. There is nothing to keep where the sketch has no values."""
        if not self._has_values:
            return
        ordered = np.sort(numbers)
        ordered = ordered[: np.searchsorted(ordered, np.nan)]
        self.rows += len(ordered)
        if self._cells is not None:
            self._cells.add(ordered)
            return
        self._kept.append(ordered)
        if self.rows > WHOLE_ROWS:
            self._cells = _Cells(self._reference)
            for each in self._kept:
                self._cells.add(each)
            self._kept = []

    def result(self, *, design_effect: float) -> NumericComparison | None:
        """Return what was found, as `compare_with_sketch` does.

        Parameters
        ----------
        design_effect : float
            So many rows of the reference count for one.
        """
        if self._cells is None:
            kept = np.concatenate(self._kept) if self._kept else np.empty(0)
            return compare_with_sketch(self._reference, kept, design_effect=design_effect)
        gap, area = self._cells.largest_gap(), self._cells.area()
        return judge_with_sketch(self._reference, gap, area, rows=self.rows, design_effect=design_effect)


class _Cells:
    """Rows at, below and between edges: the sketch's values, and the ends of cells between them."""

    def __init__(self, reference: QuantileSketch) -> None:
        values, weights = reference.points()
        values, places = np.unique(values, return_inverse=True)
        reached = np.append(0.0, np.cumsum(np.bincount(places, weights)) / weights.sum())
        self._edges = _refined(values)
        # The sketch's function before each edge, and from it on.
        self._before = reached[np.searchsorted(values, self._edges, "left")]
        self._level = reached[np.searchsorted(values, self._edges, "right")]
        self._below, self._up_to = np.zeros((2, len(self._edges)), dtype=np.int64)
        self._sums = np.zeros(len(self._edges) + 1)
        self._rows = 0

    def add(self, ordered: NDArray[np.float64]) -> None:
        below = np.searchsorted(ordered, self._edges, "left")
        up_to = np.searchsorted(ordered, self._edges, "right")
        self._below += below
        self._up_to += up_to
        self._rows += len(ordered)
        ends = np.stack([np.append(0, up_to), np.append(below, len(ordered))], axis=1)
        # Each cell's rows by themselves: a value that is far out takes no digit of another cell's.
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.add.reduceat(np.append(ordered, 0.0), ends.ravel())[::2]
            self._sums += np.where(ends[:, 0] < ends[:, 1], sums, 0.0)

    def largest_gap(self) -> float:
        gaps = self._level - self._up_to / self._rows, self._before - self._below / self._rows
        return float(np.abs(gaps).max())

    def area(self) -> float:
        """Return the area between the functions; not finite where the window or the sketch is not."""
        edges = self._edges
        if not np.isfinite(edges).all():
            return math.inf
        with np.errstate(invalid="ignore", over="ignore"):
            # The sketch's function is 0 before its first value and 1 after the last.
            outer = edges[0] * self._below[0] - self._sums[0] + self._sums[-1]
            outer -= edges[-1] * (self._rows - self._up_to[-1])
            return float(outer / self._rows + self._between().sum())

    def _between(self) -> NDArray[np.float64]:
        low, high, level = self._edges[:-1], self._edges[1:], self._level[:-1]
        first, last = self._up_to[:-1] / self._rows, self._below[1:] / self._rows
        # Under the window's function: what was reached before the cell, and each row of it from its value on.
        under = first * (high - low) + (last - first) * high - self._sums[1:-1] / self._rows
        with np.errstate(divide="ignore"):
            crossing = (high - low) * ((level - first) ** 2 + (last - level) ** 2) / (2 * (last - first))
        beside = np.abs(level * (high - low) - under)
        area: NDArray[np.float64] = np.where((first < level) & (level < last), crossing, beside)
        return area


def _refined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ascending values, and between each two that are finite the ends of equal cells."""
    finite, shares = values[np.isfinite(values)], np.arange(_CELLS) / _CELLS
    within = finite[:-1, None] * (1 - shares) + finite[1:, None] * shares
    return np.unique(np.append(within.ravel(), values))
