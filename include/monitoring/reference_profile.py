"""The reference profile: bins frozen at training, so that later windows are counted over the same ones.

What belongs here: how they are made. What does not: what is frozen (``feature_profile``), counting over it
(``binning``), keeping it (``profile_json``), and what a difference between two counts means (``psi``, ``drift``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.errors import UsageError
from include.monitoring.binning import bin_numbers, count_numbers
from include.monitoring.columns import category_counts, kind_of, numeric_values, precision_of
from include.monitoring.crowding import count_cells
from include.monitoring.design_effect import estimate_design_effect
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.outside import hash_values, keep_known
from include.monitoring.quantile_sketch import sketch

# Beyond this a text column is an identifier, whose values don't recur.
MAX_CATEGORIES = 100


def build_reference_profile(
    columns: Mapping[str, NDArray[Any]], *, bins: int = 10, clusters: NDArray[np.int64] | None = None
) -> ReferenceProfile:
    """Freeze the bins of every column.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_rows,)
        Numbers or booleans are numeric; NaN and None are missing, infinities belong to the outer
        bins. Text (str or object) is categorical. Numbers of at most 32 bits stay what they are, edges included.
    bins : int
        Quantile bins of a numeric feature, at least 2.
    clusters : ndarray of shape (n_rows,), int64, optional
        Each row's entity, counted from 0, as the rows of one depend on one another. Default: rows are independent.

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
    profiles = [_profile(name, values, bins) for name, values in columns.items()]
    if clusters is None or not len(clusters):
        return ReferenceProfile(tuple(profiles))
    effects = [
        estimate_design_effect(bin_numbers(each, values), clusters)
        for each, values in zip(profiles, columns.values(), strict=True)
    ]
    return ReferenceProfile(tuple(replace(each, effect=effect) for each, effect in zip(profiles, effects, strict=True)))


def _profile(name: str, values: NDArray[Any], bins: int) -> FeatureProfile:
    if kind_of(name, values) == "categorical":
        return _categorical_profile(name, values)
    numbers, precision = numeric_values(name, values), precision_of(values)
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        missing = int(np.count_nonzero(np.isnan(numbers)))
        reason = "the reference has no rows" if not len(numbers) else "the reference has no finite values"
        return FeatureProfile(name, "numeric", (), (), (len(numbers) - missing,), missing, None, None, reason)
    minimum, maximum = float(finite.min()), float(finite.max())
    frame = FeatureProfile(
        name, "numeric", _edges(finite, bins, minimum), (), (), 0, minimum, maximum, precision=precision
    )
    counted = count_numbers(frame, numbers, precision)
    counts, narrow = (tuple(each.bins.tolist()) for each in (counted, count_numbers(frame, numbers, "float32")))
    return replace(
        frame,
        counts=counts,
        missing=counted.missing,
        narrow_counts=narrow if narrow != counts else (),
        numbers=sketch(numbers),
    )


def _edges(finite: NDArray[np.float64], bins: int, minimum: float) -> tuple[float, ...]:
    values, times = np.unique(np.quantile(finite, np.arange(1, bins) / bins), return_counts=True)
    own_bin = (times > 1) | (values == minimum)
    return tuple(np.repeat(values, np.where(own_bin, 2, 1)).tolist())


def _categorical_profile(name: str, values: NDArray[Any]) -> FeatureProfile:
    seen, missing = category_counts(name, values)
    if len(seen) > MAX_CATEGORIES:
        reason = f"the reference has {len(seen)} distinct values; at most {MAX_CATEGORIES} are judged as categories"
        frame = FeatureProfile(name, "categorical", (), (), (sum(seen.values()),), missing, None, None, reason)
        hashed = hash_values(seen)
        return replace(frame, known=replace(keep_known(hashed), most=int(count_cells(hashed).max())))
    categories = tuple(sorted(seen))
    counts = (*(seen[category] for category in categories), 0)
    return FeatureProfile(name, "categorical", (), categories, counts, missing, None, None)
