"""A test that may be looked at every night of a model's life: the chance of any false alarm in it is bounded.

What belongs here: which features of which nights no chance explains, however many nights there are and however alike
they are. What does not: what is measured of a night (``drift``), and what is done about an alarm (``decision``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.monitoring.feature_drift import FeatureDrift


@dataclass(frozen=True)
class LifelongAlarm:
    """A feature that can't be of the reference's population.

    Attributes
    ----------
    feature : str
    distance : float
        Kolmogorov and Smirnov's, of the night from the reference.
    by_chance : float
        The distance that is still explained, on that night of the life.
    """

    feature: str
    distance: float
    by_chance: float


def lifelong_alarms(drifts: Sequence[FeatureDrift], *, night: int, false_alarms: float) -> tuple[LifelongAlarm, ...]:
    """Return what a night of a version's life alarms of.

    Parameters
    ----------
    drifts : sequence of FeatureDrift
        Of one night, against the version's reference; the same features on all nights of its life.
    night : int
        Which one of the life it is, from 1 on. Of nights that are not asked, the share of the chance is not spent.
    false_alarms : float
        The chance of any false alarm, of any feature and in any night, that is allowed; in (0, 1).

    Returns
    -------
    tuple of LifelongAlarm
        A feature without numbers on either side never alarms.

    Notes
    -----
    Let F be a feature's distribution, unchanged, F^ that of n independent rows of the reference and G^ that of m
    independent rows of a night; n is the number that the reference's rows are worth. By Dvoretzky, Kiefer and
    Wolfowitz, with Massart's constant, sup|F^ - F| is above sqrt(log(2/a) / 2n) with a chance of at most a, and
    sup|G^ - F| above sqrt(log(2/b) / 2m) with one of at most b, for every n and m. Half of the allowed chance is
    spent on the reference, once and for good, in equal shares on the k features. The other half is spent on the
    nights, 1 / (t (t + 1)) of it on the t-th, which adds up to 1 over any number of nights, again in equal shares.
    A distance sup|G^ - F^| above the sum of both bounds needs one of these events, and the chance of any of them is
    at most the sum of their chances. Nothing is asked of how nights depend on one another or on the reference: they
    may hold the same customers, or the same rows.

    A martingale gains from every night and finds smaller shifts, but needs rows that are new given all before them,
    which the nights of the same customers are not.

    References
    ----------
    Massart (1990), The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Ann. Probab. 18. On tests
    conditional on a finite reference: Shaer, Bar, Prinster & Romano (2026), Testing for distribution shifts with
    conditional conformal test martingales, arXiv 2602.13848.

    Examples
    --------
    >>> from dataclasses import replace
    >>> same = FeatureDrift("x", "numeric", 2000, 500, "stable", 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    >>> same = replace(same, ks=0.03, ks_error=0.0, independent_rows=2000.0)
    >>> [len(lifelong_alarms([replace(same, ks=ks)], night=3, false_alarms=0.01)) for ks in (0.03, 0.25)]
    [0, 1]
    """
    share = false_alarms / 2 / max(1, len(drifts))
    found = (_alarm(drift, share, night * (night + 1)) for drift in drifts)
    return tuple(alarm for alarm in found if alarm is not None)


def _alarm(drift: FeatureDrift, chance: float, nights: int) -> LifelongAlarm | None:
    if drift.ks is None or drift.ks_error is None or not drift.independent_rows:
        return None
    rows = drift.current_rows * (1 - (drift.missing_current or 0.0))
    by_chance = _bound(chance, drift.independent_rows) + _bound(chance / nights, rows) + drift.ks_error
    return LifelongAlarm(drift.feature, drift.ks, by_chance) if drift.ks > by_chance else None


def _bound(chance: float, rows: float) -> float:
    return math.sqrt(math.log(2 / chance) / (2 * rows))
