"""A bounded sketch of a frozen sample, so that later windows can be compared with more than its bins.

What belongs here: which values stand for the sample, and what a window's distance from them is. What does not: tests
of two samples that are both at hand (``two_sample``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from include.monitoring.columns import Precision, rounded_to

# The rank of a value is off by about half a step of 1/512 of the sample.
SKETCH_SIZE = 512


@dataclass(frozen=True)
class QuantileSketch:
    """A sample, or 512 values that stand for it.

    Attributes
    ----------
    values : tuple of float
        Ascending and finite. Of n values up to 512 all; of more, the ranks are cut into 512 runs, from i n // 512 to
        (i + 1) n // 512, and the value in the middle of each stands for it.
    rows : int
        Finite values of the sample.
    infinite_below, infinite_above : int
        Its infinities.
    deviation : float
        Its standard deviation over the finite values, divisor n.
    """

    values: tuple[float, ...] = ()
    rows: int = 0
    infinite_below: int = 0
    infinite_above: int = 0
    deviation: float = 0.0

    @property
    def error(self) -> float:
        """By how much the distribution function can be off, at most: 0 where all values are kept."""
        valued = self.rows + self.infinite
        return int(self._runs().max()) // 2 / valued if self.rows > SKETCH_SIZE else 0.0

    @property
    def infinite(self) -> int:
        """Infinities of the sample."""
        return self.infinite_below + self.infinite_above

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the values, infinities among them, and how many of the sample's each stands for."""
        outer = [(-np.inf, self.infinite_below)] if self.infinite_below else []
        upper = [(np.inf, self.infinite_above)] if self.infinite_above else []
        values = [*(value for value, _ in outer), *self.values, *(value for value, _ in upper)]
        weights = [*(count for _, count in outer), *self._runs().tolist(), *(count for _, count in upper)]
        return np.array(values, dtype=np.float64), np.array(weights, dtype=np.int64)

    def rounded(self, precision: Precision) -> QuantileSketch:
        """Return the sketch of the same sample, had it been kept in another precision."""
        return replace(self, values=tuple(rounded_to(precision, np.array(self.values)).tolist()))

    def _runs(self) -> NDArray[np.int64]:
        return np.diff(_cuts(self.rows)) if self.rows > SKETCH_SIZE else np.ones(self.rows, dtype=np.int64)


def sketch(numbers: NDArray[np.float64]) -> QuantileSketch:
    """Sketch a sample; NaN is left out.

    Examples
    --------
    >>> sketch(np.arange(4.0)).values, len(sketch(np.arange(10_000.0)).values)
    ((0.0, 1.0, 2.0, 3.0), 512)
    """
    finite = np.sort(numbers[np.isfinite(numbers)])
    below, above = (int(np.count_nonzero(numbers == end)) for end in (-np.inf, np.inf))
    if len(finite) > SKETCH_SIZE:
        cuts = _cuts(len(finite))
        kept = finite[(cuts[:-1] + cuts[1:]) // 2]
    else:
        kept = finite
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = float(finite.std()) if len(finite) else 0.0
    spread = deviation if math.isfinite(deviation) else 0.0
    return QuantileSketch(tuple(kept.tolist()), len(finite), below, above, spread)


def _cuts(rows: int) -> NDArray[np.int64]:
    return np.arange(SKETCH_SIZE + 1, dtype=np.int64) * rows // SKETCH_SIZE
