"""Who buys when, and who has left: the MBG/NBD process of all customers, a day at a time.

What belongs here: arrivals, purchase times and drop-out. What does not: what is bought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.simulation.world import World

_DAY_S = 86_400
# When a web shop's orders come in: cumulative share by the hour, in UTC; a trickle at night.
_HOURS = (0, 6, 9, 12, 14, 17, 20, 22, 24)
_SHARE = (0.0, 0.02, 0.12, 0.34, 0.46, 0.64, 0.88, 0.97, 1.0)


@dataclass(frozen=True)
class DayPurchases:
    """A day's orders, in order of time.

    Attributes
    ----------
    customer : ndarray of shape (n_orders,), int64
        Index of who ordered; customers are numbered by arrival.
    second : ndarray of shape (n_orders,), int64
        Of the UTC day.
    is_first : ndarray of shape (n_orders,), bool
        Whether it is the customer's first order.
    arrived : int
        How many customers came on this day; they are the last ones.
    """

    customer: NDArray[np.int64]
    second: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    arrived: int


class PurchaseProcess:
    """The customers of a shop that opened on day 0.

    Parameters
    ----------
    world : World
        Rates, drop-out, arrivals.

    Notes
    -----
    A purchase is due when the shop's operational time reaches the customer's next exponential step.
    Nothing depends on how many days are asked for, so a longer run begins with a shorter one.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.rate = np.empty(0)
        self.dropout = np.empty(0)
        self.arrived_day = np.empty(0, dtype=np.int32)
        self.dropped_day = np.empty(0, dtype=np.int32)
        self._due = np.empty(0)
        self._clock = 0.0
        self._day = 0

    def next_day(
        self, season: float, rng: np.random.Generator, *, arrivals: float = 1.0, dropout_min: float = 0.0
    ) -> DayPurchases:
        """Let one more day pass.

        Parameters
        ----------
        season : float
            The day's factor on every rate.
        rng : numpy.random.Generator
            The day's own.
        arrivals, dropout_min : float
            What incidents multiply the number of arrivals with, and raise each probability of leaving to.
        """
        known, end = len(self._due), self._clock + season
        self._arrive(season, arrivals, rng)
        customers, times = [], []
        due = np.flatnonzero(self._due < end)
        while len(due):
            customers.append(due)
            times.append(self._due[due])
            left = rng.random(len(due)) < np.maximum(self.dropout[due], dropout_min)
            self._due[due] += rng.exponential(1.0, len(due)) / self.rate[due]
            self._due[due[left]] = np.inf
            self.dropped_day[due[left]] = self._day
            due = due[self._due[due] < end]
        customer = np.concatenate([np.empty(0, dtype=np.int64), *customers])
        place = (np.concatenate([np.empty(0), *times]) - self._clock) / season
        is_first = np.concatenate(
            [np.empty(0, bool), *(c >= known if n == 0 else c < 0 for n, c in enumerate(customers))]
        )
        order = np.lexsort((customer, place))
        second = np.minimum(np.interp(place[order], _SHARE, _HOURS) * 3600, _DAY_S - 1).astype(np.int64)
        self._clock, self._day = end, self._day + 1
        return DayPurchases(customer[order], second, is_first[order], len(self._due) - known)

    def _arrive(self, season: float, arrivals: float, rng: np.random.Generator) -> None:
        world = self.world
        n = int(rng.poisson(world.arrivals_per_day * season * arrivals))
        # A rate that underflows to zero is a customer who never comes back.
        rate = np.maximum(rng.gamma(world.rate_shape, 1 / world.rate_scale_days, n), 1e-300)
        dropout = rng.beta(world.dropout_a, world.dropout_b, n)
        self.rate = np.concatenate([self.rate, rate])
        self.dropout = np.concatenate([self.dropout, dropout])
        self.arrived_day = np.concatenate([self.arrived_day, np.full(n, self._day, dtype=np.int32)])
        self.dropped_day = np.concatenate([self.dropped_day, np.full(n, -1, dtype=np.int32)])
        self._due = np.concatenate([self._due, self._clock + rng.random(n) * season])
