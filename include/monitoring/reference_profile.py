"""The reference profile: bins frozen at training, so that later windows are counted over the same ones.

What belongs here: how bins are made, kept as JSON and counted over. What does not: what a
difference between two counts means (``psi``, ``drift``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import UsageError
from include.monitoring.columns import Kind, category_counts, kind_of, numeric_values

# Beyond this a text column is an identifier, whose values don't recur.
MAX_CATEGORIES = 100

_FORMAT = 1
_CHUNK = 65_536  # values that stay in the cache while every edge is compared with them


@dataclass(frozen=True)
class FeatureProfile:
    """One feature's bins, and how the reference fills them.

    Attributes
    ----------
    name : str
    kind : {"numeric", "categorical"}
    edges : tuple of float
        Inner edges, ascending; the outer bins are open to infinity. Bin i holds the values above
        edge i - 1, up to and including edge i. An edge that stands twice encloses the bin of that
        one value.
    categories : tuple of str
        Sorted; one bin each, followed by the bin of unseen categories.
    counts : tuple of int
        Reference rows per bin: ``len(edges) + 1`` or ``len(categories) + 1`` of them.
    missing : int
        Reference rows without a value.
    minimum, maximum : float or None
        Finite range of the reference; None without finite values.
    unjudged : str or None
        Why no bins could be made.
    """

    name: str
    kind: Kind
    edges: tuple[float, ...]
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    missing: int
    minimum: float | None
    maximum: float | None
    unjudged: str | None = None

    @property
    def rows(self) -> int:
        """Reference rows, with and without a value."""
        return sum(self.counts) + self.missing


@dataclass(frozen=True)
class ReferenceProfile:
    """The bins of every feature of a model, in order; it travels with the model."""

    features: tuple[FeatureProfile, ...]

    def to_json(self) -> str:
        """Return the profile as JSON; floats keep every bit."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ReferenceProfile:
        """Read a profile that `to_json` wrote.

        Raises
        ------
        UsageError
            If `text` is something else, or of another format.
        """
        try:
            value = json.loads(text)
            if value["format"] != _FORMAT:
                raise UsageError(f"reference profile of format {value['format']!r}; this code reads {_FORMAT}")
            return cls(tuple(_feature_from(feature) for feature in value["features"]))
        except (ValueError, KeyError, TypeError) as err:
            raise UsageError(f"this is not a reference profile ({err!r}); train the model again") from err


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
    """

    bins: NDArray[np.int64]
    missing: int
    outside: int

    @property
    def rows(self) -> int:
        """Rows of the window."""
        return int(self.bins.sum()) + self.missing


def build_reference_profile(columns: Mapping[str, NDArray[Any]], *, bins: int = 10) -> ReferenceProfile:
    """Freeze the bins of every column.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_rows,)
        Numbers or booleans are numeric; NaN and None are missing, infinities belong to the outer
        bins. Text (str or object) is categorical.
    bins : int
        Quantile bins of a numeric feature, at least 2.

    Returns
    -------
    ReferenceProfile
        A column without values, or with more than 100 categories, is in it and says that it can't
        be judged.

    Raises
    ------
    UsageError
        If `bins` is below 2, or a column is neither numbers nor text, or both.

    Notes
    -----
    Edges are the inner quantiles of the finite values. A value that several quantiles fall on (the
    zeros of a count) gets a bin of its own, and so does the smallest value when a quantile falls on it:
    merging such edges and no more would put everything below a constant, or the zeros of a rare
    flag, into the same bin as the value itself, and the shift would be invisible.

    Examples
    --------
    >>> profile = build_reference_profile({"orders": np.array([0.0] * 6 + [1.0, 2.0, 3.0, 4.0])}, bins=5)
    >>> profile.features[0].edges[:2], profile.features[0].counts[:2]
    ((0.0, 0.0), (0, 6))
    """
    if bins < 2:
        raise UsageError(f"bins={bins} is below 2; the usual number is 10")
    return ReferenceProfile(tuple(_profile(name, values, bins) for name, values in columns.items()))


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
        seen, missing = category_counts(profile.name, values)
        bins = [seen.pop(category, 0) for category in profile.categories]
        unseen = sum(seen.values())
        return BinCounts(np.array([*bins, unseen], dtype=np.int64), missing, unseen)
    numbers = numeric_values(profile.name, values)
    missing = int(np.count_nonzero(np.isnan(numbers)))
    below = _rows_below(numbers, profile.edges)
    reached = [0, *below, len(numbers) - missing]
    counts = np.array([upper - lower for lower, upper in pairwise(reached)], dtype=np.int64)
    outside = 0
    if profile.minimum is not None and profile.maximum is not None:
        outside = int(np.count_nonzero((numbers < profile.minimum) | (numbers > profile.maximum)))
    return BinCounts(counts, missing, outside)


def _profile(name: str, values: NDArray[Any], bins: int) -> FeatureProfile:
    if kind_of(name, values) == "categorical":
        return _categorical_profile(name, values)
    numbers = numeric_values(name, values)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        missing = int(np.count_nonzero(np.isnan(numbers)))
        reason = "the reference has no rows" if not len(numbers) else "the reference has no finite values"
        return FeatureProfile(name, "numeric", (), (), (len(numbers) - missing,), missing, None, None, reason)
    minimum, maximum = float(finite.min()), float(finite.max())
    frame = FeatureProfile(name, "numeric", _edges(finite, bins, minimum), (), (), 0, minimum, maximum)
    counted = count_over(frame, numbers)
    return FeatureProfile(
        name, "numeric", frame.edges, (), tuple(counted.bins.tolist()), counted.missing, minimum, maximum
    )


def _edges(finite: NDArray[np.float64], bins: int, minimum: float) -> tuple[float, ...]:
    values, times = np.unique(np.quantile(finite, np.arange(1, bins) / bins), return_counts=True)
    own_bin = (times > 1) | (values == minimum)
    return tuple(np.repeat(values, np.where(own_bin, 2, 1)).tolist())


def _categorical_profile(name: str, values: NDArray[Any]) -> FeatureProfile:
    seen, missing = category_counts(name, values)
    if len(seen) > MAX_CATEGORIES:
        reason = f"the reference has {len(seen)} distinct values; at most {MAX_CATEGORIES} are judged as categories"
        return FeatureProfile(name, "categorical", (), (), (sum(seen.values()),), missing, None, None, reason)
    categories = tuple(sorted(seen))
    counts = (*(seen[category] for category in categories), 0)
    return FeatureProfile(name, "categorical", (), categories, counts, missing, None, None)


def _rows_below(numbers: NDArray[np.float64], edges: tuple[float, ...]) -> list[int]:
    rows = [0] * len(edges)
    opens_own_bin = [index + 1 < len(edges) and edges[index + 1] == edge for index, edge in enumerate(edges)]
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        for index, edge in enumerate(edges):
            below = chunk < edge if opens_own_bin[index] else chunk <= edge
            rows[index] += int(np.count_nonzero(below))
    return rows


def _feature_from(value: dict[str, Any]) -> FeatureProfile:
    lists = {key: tuple(value[key]) for key in ("edges", "categories", "counts")}
    return FeatureProfile(**{**value, **lists})
