"""How sure a share of rows is.

What belongs here: exact intervals of a share, and of how much one has grown. What does not: which shares are
judged, and by what limit (``data_quality``, ``serving_health``).
"""

from __future__ import annotations

import math

_TAIL = 0.025  # of 95 %


def share_interval(found: float, rows: float) -> tuple[float, float]:
    """Return the 95 % interval of a share, which holds the true one that often or more.

    Parameters
    ----------
    found, rows : float
        Rows that are of the share, and all of them, at least 1; as many as are independent.

    References
    ----------
    Clopper & Pearson (1934), The use of confidence or fiducial limits, Biometrika 26.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(0, 100)]
    [0.0, 0.036]
    """
    from scipy.special import betaincinv  # not in the service's image

    low = float(betaincinv(found, rows - found + 1, _TAIL)) if found else 0.0
    high = float(betaincinv(found + 1, rows - found, 1 - _TAIL)) if found < rows else 1.0
    return low, high


def growth_interval(reference: tuple[float, float], current: tuple[float, float]) -> tuple[float, float]:
    """Return the 95 % interval of how much larger a share is than the reference's.

    Parameters
    ----------
    reference, current : tuple of float
        Of each side what `share_interval` takes.

    Notes
    -----
    Each end is as far from the difference as both shares' own ends together, added as deviations are.

    References
    ----------
    Newcombe (1998), Interval estimation for the difference between independent proportions, Stat. Med. 17, method 10,
    whose ends are Wilson's; these are the exact ones.

    Examples
    --------
    >>> [round(end, 3) for end in growth_interval((20, 1_000), (70, 1_000))]
    [0.032, 0.069]
    """
    before, after = reference[0] / reference[1], current[0] / current[1]
    (before_low, before_high), (after_low, after_high) = share_interval(*reference), share_interval(*current)
    down, up = math.hypot(after - after_low, before_high - before), math.hypot(after_high - after, before - before_low)
    return after - before - down, after - before + up
