"""How long labels take to become known, and from which age on a night can be judged by them.

What belongs here: the share of labels that are known after so many days, learned from outcomes. What does not: reading
them, and what a night's predictions were worth (``performance``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# So many of each class have to be known: two in a hundred that are not move an AUC by less than 0.01.
SHARE_MIN = 0.98


@dataclass(frozen=True)
class MaturityCurve:
    """Of predictions whose time is over the share of labels that stood after so many days.

    Attributes
    ----------
    days : tuple of int
        Ages in whole days, from 0 on.
    share : tuple of float
        Of all predictions those whose label was known by that age, and has not been another one since.
    of_positives, of_negatives : tuple of float
        The same of those whose label is 1, and of those whose label is 0; 0 where there is none, of which nothing is
        learned.
    rows : int
        Predictions; 0 where nothing was learned, and the rest is empty.
    """

    days: tuple[int, ...]
    share: tuple[float, ...]
    of_positives: tuple[float, ...]
    of_negatives: tuple[float, ...]
    rows: int


UNLEARNED = MaturityCurve((), (), (), (), 0)


def learn_maturity(ages_days: NDArray[np.float64], labels: NDArray[np.float64]) -> MaturityCurve:
    """Learn the curve from predictions whose time is over.

    Parameters
    ----------
    ages_days : ndarray of shape (n_rows,), float64
        Days from each prediction's time until its newest label was known; NaN where none is.
    labels : ndarray of shape (n_rows,), float64
        0 or 1; NaN where it is not known.

    Notes
    -----
    Rows whose time is not over must not be among them: of those only what is known early is known, and the curve would
    say that everything is.

    Examples
    --------
    >>> curve = learn_maturity(np.array([1.0, 2.0, 5.0, 5.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    >>> curve.share, curve.of_positives[2], curve.of_negatives[4]
    ((0.0, 0.25, 0.5, 0.5, 0.5, 1.0), 1.0, 0.0)
    """
    known = np.isfinite(ages_days) & np.isfinite(labels)
    if not known.any():
        return UNLEARNED
    days = np.arange(math.ceil(float(ages_days[known].max())) + 1)

    def shares(ages: NDArray[np.float64], of: int) -> tuple[float, ...]:
        if not of:
            return (0.0,) * len(days)
        return tuple((np.searchsorted(np.sort(ages), days, side="right") / of).tolist())

    classes = [ages_days[known & (labels == label)] for label in (1, 0)]
    of_positives, of_negatives = (shares(ages, len(ages)) for ages in classes)
    every = shares(ages_days[known], len(ages_days))
    return MaturityCurve(tuple(days.tolist()), every, of_positives, of_negatives, len(ages_days))


def mature_after(curve: MaturityCurve, *, horizon_days: int) -> int:
    """Return the age in days from which a night can be judged.

    Parameters
    ----------
    curve : MaturityCurve
    horizon_days : int
        The age at which the spec says that a label is known: where nothing was learned, that is what counts.

    Notes
    -----
    The least age at which `SHARE_MIN` of either class, and of all, is known. Labels of which one class is known early
    and the other late, such as a dispute and that there was none, must not be judged in between: of those that are
    known nearly all are of one class, and which of the other are missing is not a matter of chance.

    Examples
    --------
    >>> disputes_first = learn_maturity(np.array([3.0, 4.0, 45.0, 45.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    >>> mature_after(disputes_first, horizon_days=45), mature_after(UNLEARNED, horizon_days=45)
    (45, 45)
    """
    for each in zip(curve.days, curve.share, curve.of_positives, curve.of_negatives, strict=True):
        if min(each[1:]) >= SHARE_MIN:
            return each[0]
    return max([horizon_days, *curve.days[-1:]])
