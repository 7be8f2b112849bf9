"""Counting rows over the frozen bins of a reference.

What belongs here: which bin a value is in, counts of windows, and their sums. What does not: how bins are made
(``reference_profile``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from include.errors import UsageError
from include.monitoring.columns import Precision, category_counts, numeric_values, precision_of, rounded_to
from include.monitoring.crowding import count_cells
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.outside import hash_values

# Values that stay in a core's cache while every edge is compared with them; of fewer, each comparison is so short that
# threads wait for Python's lock.
_CHUNK = 262_144

_Edge: TypeAlias = tuple[np.ufunc, NDArray[np.float64]]


@dataclass(frozen=True)
class BinCounts:
    """A window counted over a feature's frozen bins.

    Attributes
    ----------
    bins : ndarray of shape (n_bins,), int64
        Rows per bin, aligned with `FeatureProfile.counts`.
    missing : int
        Rows without a value.
    outside : int
        Rows beyond the reference's range, or of an unseen category.
    told_apart : int
        Rows of which it is known whether they are outside: all with a value, but for a text column with so many values
        that the reference kept only some.
    precision : {"float32", "float64"}
        In which they were counted; of a window without values it says nothing.
    cells : ndarray of shape (1024,) or (0,), int64
        Rows by cell of their value's hash (``crowding``), of a text column with too many values for bins.
    """

    bins: NDArray[np.int64]
    missing: int
    outside: int
    told_apart: int
    precision: Precision = "float64"
    cells: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def rows(self) -> int:
        """Rows of the window."""
        return self.valued + self.missing

    @property
    def valued(self) -> int:
        """Rows with a value."""
        return int(self.bins.sum())

    @property
    def kept_in(self) -> Precision | None:
        """The precision, where there is a value to have one."""
        return self.precision if self.valued else None

    def __add__(self, other: BinCounts) -> BinCounts:
        """Return the counts of both windows together, as if their rows had been counted at once.

        Raises
        ------
        UsageError
            If they weren't counted over the same bins and in one precision.
        """
        is_alike = self.precision == other.precision or not (self.valued and other.valued)
        if self.bins.shape != other.bins.shape or not is_alike:
            raise UsageError(
                f"counts over {len(self.bins)} bins in {self.precision} and over {len(other.bins)} in "
                f"{other.precision} don't add up; count both over one profile"
            )
        return BinCounts(
            self.bins + other.bins,
            self.missing + other.missing,
            self.outside + other.outside,
            self.told_apart + other.told_apart,
            self.precision if self.valued else other.precision,
            self.cells + other.cells,
        )


def count_over(profile: FeatureProfile, values: NDArray[Any]) -> BinCounts:
    """Count a window over a feature's frozen bins.

    Parameters
    ----------
    profile : FeatureProfile
    values : ndarray of shape (n_rows,)
        May be empty.

    Raises
    ------
    UsageError
        If the window holds text where the reference holds numbers, or the reverse.
    """
    if profile.kind == "categorical":
        return _count_categories(profile, values)
    narrow = "float32" in (profile.precision, precision_of(values))
    precision: Precision = "float32" if narrow else "float64"
    return count_numbers(profile, numeric_values(profile.name, values), precision)


def _count_categories(profile: FeatureProfile, values: NDArray[Any]) -> BinCounts:
    seen, missing = category_counts(profile.name, values)
    if profile.known is not None:
        hashed = hash_values(seen)
        told_apart, unseen = profile.known.count_unseen(hashed)
        bins = np.array([sum(seen.values())], dtype=np.int64)
        return BinCounts(bins, missing, unseen, told_apart, cells=count_cells(hashed))
    rows = [seen.pop(category, 0) for category in profile.categories]
    unseen = sum(seen.values())
    return BinCounts(np.array([*rows, unseen], dtype=np.int64), missing, unseen, sum(rows) + unseen)


def count_numbers(profile: FeatureProfile, numbers: NDArray[np.float64], precision: Precision) -> BinCounts:
    """Count numbers in one precision, which is the reference's own or a narrower one."""

    def as_counted(values: NDArray[np.float64]) -> NDArray[np.float64]:
        # Of two precisions the narrower one: a value that is an edge, or an end of the range, stays one.
        return values if profile.precision == precision else rounded_to(precision, values)

    numbers = rounded_to(precision, numbers)
    edges = as_counted(np.array(profile.edges))
    first, last = -np.inf, np.inf
    if profile.minimum is not None and profile.maximum is not None:
        first, last = as_counted(np.array([profile.minimum, profile.maximum])).tolist()
    below, missing, outside = _count_each(numbers, _edge_tests(edges), first, last)
    reached = [0, *below, len(numbers) - missing]
    counts = np.array([upper - lower for lower, upper in pairwise(reached)], dtype=np.int64)
    return BinCounts(counts, missing, outside, len(numbers) - missing, precision)


def _count_each(
    numbers: NDArray[np.float64], edges: Sequence[_Edge], first: float, last: float
) -> tuple[list[int], int, int]:
    """Return the numbers below each edge, those that are none, and those before the first or after the last.

    From memory they are read once for all.
    """
    below, missing, outside = [0] * len(edges), 0, 0
    passed = np.empty(min(_CHUNK, len(numbers)), dtype=np.bool_)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        passing = passed[: len(chunk)]
        for index, (is_below, edge) in enumerate(edges):
            below[index] += int(np.count_nonzero(is_below(chunk, edge, passing)))
        lowest, highest = chunk.min(), chunk.max()
        if np.isnan(lowest):
            missing += int(np.count_nonzero(np.isnan(chunk, passing)))
        if not lowest >= first:
            outside += int(np.count_nonzero(np.less(chunk, first, passing)))
        if not highest <= last:
            outside += int(np.count_nonzero(np.greater(chunk, last, passing)))
    return below, missing, outside


def _edge_tests(edges: NDArray[np.float64]) -> list[_Edge]:
    """Return how to tell what is below each edge; the first of two that are equal opens the bin of that one value."""
    opens_own_bin = [*(edges[1:] == edges[:-1]), False][: len(edges)]
    return [
        (np.less if opens else np.less_equal, np.asarray(edge))
        for edge, opens in zip(edges, opens_own_bin, strict=True)
    ]


def bin_numbers(profile: FeatureProfile, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return each row's bin, from 0 on, the missing ones last."""
    if profile.kind == "categorical":
        places = {category: place for place, category in enumerate(profile.categories)}
        unseen, missing = len(places), len(places) + 1
        return np.array(
            [missing if value is None or value != value else places.get(value, unseen) for value in values.tolist()],
            dtype=np.int64,
        )
    numbers = numeric_values(profile.name, values)
    edges = _edge_tests(np.array(profile.edges))
    found = sum((~is_below(numbers, edge) for is_below, edge in edges), np.zeros(len(numbers), dtype=np.int64))
    return np.where(np.isnan(numbers), len(profile.edges) + 1, found)
