"""What can be known of a customer of the simulated shop: the posterior of the true model, in closed form.

Nobody predicts better on average who knows the history of orders and nothing else: what a model can reach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include import partitions
from include.simulation.purchases import _HOURS, _SHARE
from include.simulation.world import World, operational_time

_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Histories:
    """What is seen of customers until a moment, in operational time.

    Attributes
    ----------
    orders : ndarray of shape (n,), int64
        How many orders each placed, the first included.
    first, last : ndarray of shape (n,), float64
        When the first and the last of them were placed.
    now : float
        The moment.
    """

    orders: NDArray[np.int64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    now: float


class ShopClock:
    """Operational time of a shop that opened on `start`, for days until `end`."""

    def __init__(self, world: World, *, start: str, end: str) -> None:
        self._start = start
        self._starts = operational_time([world.season(partitions.parse(day)) for day in partitions.span(start, end)])

    def at_start_of(self, day: str) -> float:
        return float(self._starts[partitions.days_between(self._start, day)])

    def at(self, placed: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """Return the operational time of orders: the way back from the second of the day that the shop shows."""
        since = placed.astype("datetime64[us]") - np.datetime64(self._start, "us")
        day, rest = np.divmod(since.astype(np.int64), _DAY_US)
        # The shop cuts fractions of a second off: half a second is their mean.
        share = np.interp((rest / 1e6 + 0.5) / 3600, _HOURS, _SHARE)
        return self._starts[day] + share * np.diff(self._starts)[day]


def probability_of_no_order(world: World, seen: Histories, *, until: float) -> NDArray[np.float64]:
    """Return the probability of no order from now until `until`, given what is seen and the true parameters.

    Notes
    -----
    With rate l and drop-out p, and x orders from t1 to tx of which k = x - 1 are repeats, a history without an
    order after tx has, given its first order, the density

        (1 - p)^k l^k e^(-l (tx - t1)) (p + (1 - p) e^(-l (now - tx))),

    the first term for who left with the last order, the second for who stays. Over p ~ Beta(A, B) and
    l ~ Gamma(r, rate a) the two integrate to Beta and Gamma functions whose ratio is the odds of having left,

        A / (B + k) * ((a + now - t1) / (a + tx - t1))^(r + k);

    who stays orders nothing until u with probability ((a + now - t1) / (a + u - t1))^(r + k).
    """
    since_first, repeats = world.rate_scale_days + seen.now - seen.first, seen.orders - 1
    shape = world.rate_shape + repeats
    silence = (since_first / (world.rate_scale_days + seen.last - seen.first)) ** shape
    stays = 1 / (1 + world.dropout_a / (world.dropout_b + repeats) * silence)
    quiet = (since_first / (since_first + until - seen.now)) ** shape
    return np.asarray(1 - stays * (1 - quiet), dtype=np.float64)


def read_histories(
    customers: NDArray[np.object_], placed: NDArray[np.float64], *, of: NDArray[np.object_], now: float
) -> Histories:
    """Return what is seen at `now` of the customers `of`, in their order, from everybody's orders.

    Parameters
    ----------
    customers : ndarray of shape (n_orders,), str
    placed : ndarray of shape (n_orders,), float64
        Operational time.
    """
    is_past = placed < now
    known, place = np.unique(customers[is_past], return_inverse=True)
    times = placed[is_past]
    first, last = np.full(len(known), np.inf), np.full(len(known), -np.inf)
    np.minimum.at(first, place, times)
    np.maximum.at(last, place, times)
    rows = np.searchsorted(known, of)
    assert (known[rows] == of).all()
    return Histories(np.bincount(place)[rows], first[rows], last[rows], now)
