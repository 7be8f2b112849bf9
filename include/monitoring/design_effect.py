"""How much less a sample of recurring entities tells than as many independent rows.

What belongs here: the design effect of a reference's bins, estimated from its own entities. What does not: the tests
that it corrects (``psi``, ``two_sample``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DesignEffect:
    """By how much the variance of bin shares exceeds that of independent rows.

    Attributes
    ----------
    mean : float
        At least 1; so many rows count for one.
    spread : float
        Squared coefficient of variation of the effects in the bins' independent directions.
    """

    mean: float = 1.0
    spread: float = 0.0


INDEPENDENT = DesignEffect()


def estimate_design_effect(bins: NDArray[np.int64], clusters: NDArray[np.int64]) -> DesignEffect:
    """Estimate the effect from how alike the rows of one entity are.

    Parameters
    ----------
    bins : ndarray of shape (n_rows,), int64
        Each row's bin, counted from 0.
    clusters : ndarray of shape (n_rows,), int64
        Each row's entity, counted from 0.

    Returns
    -------
    DesignEffect
        1 where no entity recurs. Of one entity alone nothing is known of any other: all its rows count for one.

    Notes
    -----
    The covariance V of the shares p is taken between entities, and compared with that of independent rows,
    P = (diag(p) - p p') / n: Rao and Scott's generalised effects are the eigenvalues of P⁻V, of which the mean corrects
    the scale of a chi-square and the spread its degrees of freedom.

    References
    ----------
    Rao & Scott (1981), The analysis of categorical data from complex sample surveys, J. Am. Stat. Assoc. 76.

    Examples
    --------
    >>> everyone_twice = np.repeat(np.arange(100), 2)
    >>> estimate_design_effect(everyone_twice % 2, everyone_twice).mean.__round__(2)
    2.02
    """
    rows = len(bins)
    if rows < 2 or (entities := int(clusters.max()) + 1) == rows:
        return INDEPENDENT
    if entities < 2:
        return DesignEffect(float(rows))
    width = int(bins.max()) + 1
    counts = np.bincount(clusters * width + bins, minlength=entities * width).reshape(entities, width)
    counts = counts[:, counts.any(axis=0)].astype(np.float64)
    if counts.shape[1] < 2:
        return INDEPENDENT
    share = counts.sum(axis=0) / rows
    apart = (counts - counts.sum(axis=1, keepdims=True) * share) / np.sqrt(share)
    effects = apart.T @ apart * (entities / (entities - 1) / rows)
    mean = float(np.trace(effects)) / (counts.shape[1] - 1)
    if mean <= 1:
        return INDEPENDENT
    return DesignEffect(mean, max(float(np.sum(effects**2)) / (counts.shape[1] - 1) / mean**2 - 1, 0.0))
