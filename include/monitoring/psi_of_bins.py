"""Which rows a shift is mostly of: the share of PSI of each bin, and the largest in words.

What belongs here: shares, and what a bin holds in words. What does not: PSI itself (``psi``), and verdicts (``drift``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.psi import psi_terms
from include.monitoring.slices import in_one_line


def shares_of_bins(reference: ArrayLike, current: ArrayLike) -> NDArray[np.float64]:
    """Return which share of the PSI of two samples each bin has; all are 0 where there is none.

    Parameters
    ----------
    reference, current : array-like of shape (n_bins,), int
        Rows per bin, missing and unseen bins included.

    Examples
    --------
    >>> shares_of_bins([50, 50], [25, 75]).round(2).tolist()
    [0.63, 0.37]
    """
    terms = psi_terms(reference, current)
    return np.asarray(terms / terms.sum() if terms.sum() > 0 else terms)


def tell_largest(feature: FeatureProfile, reference: ArrayLike, current: ArrayLike) -> str | None:
    """Say which bin has the largest share of a feature's PSI; None where nothing has moved.

    Parameters
    ----------
    feature : FeatureProfile
    reference, current : array-like of shape (n_bins + 1,), int
        Rows per bin of the feature, the missing ones last.

    Examples
    --------
    >>> feature = FeatureProfile("x", "numeric", (1.0, 5.0), (), (50, 30, 20), 0, 0.0, 9.0)
    >>> tell_largest(feature, [50, 30, 20, 0], [30, 30, 40, 0])
    '58% of it by values above 5'
    """
    shares = shares_of_bins(reference, current)
    largest = int(np.argmax(shares))
    return f"{shares[largest]:.0%} of it by {_words_of(feature, largest)}" if shares[largest] > 0 else None


def _words_of(feature: FeatureProfile, place: int) -> str:
    if place == len(feature.counts):
        return "rows without a value"
    if feature.kind == "numeric":
        return _numbers_of(feature.edges, place)
    is_unseen = place == len(feature.categories)
    return "values that the reference never had" if is_unseen else in_one_line(feature.categories[place])


def _numbers_of(edges: Sequence[float], place: int) -> str:
    # Of two edges that are equal the first opens the bin of that one value.
    low, high, after = edges[:place][-1:], edges[place : place + 1], edges[place + 1 : place + 2]
    if low and low == high:
        return f"values of {low[0]:g}"
    above = f" above {low[0]:g}" if low else ""
    up_to = f" {'below' if high == after else 'up to'} {high[0]:g}" if high else ""
    return f"values{above}{up_to}"
