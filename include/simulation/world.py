"""The world of the simulated shop: its parameters, its calendar, and the number of orders to expect.

What belongs here: values with their sources, the season, closed forms. What does not: drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

_YEAR_DAYS = 365.25
_QUANTILES = 2000


@dataclass(frozen=True)
class World:
    """Parameters of the shop; no incident changes them, an incident changes what is drawn with them.

    Attributes
    ----------
    arrivals_per_day : float
        New customers on an average day; each places a first order on arrival.
    rate_shape, rate_scale_days : float
        While a customer stays, orders follow a Poisson process; the rate per day (of average season)
        is Gamma(`rate_shape`, scale 1 / `rate_scale_days`) over customers.
    dropout_a, dropout_b : float
        After every order, the first included, a customer leaves for good with a probability that is
        Beta(`dropout_a`, `dropout_b`) over customers.
    yearly_amplitude : float
        The rate swings by this fraction over the year, highest on `peak_day_of_year`.
    peak_day_of_year : int
    weekly : tuple of 7 float
        The rate by weekday, Monday first; their mean is 1.
    spend_shape, spend_q, spend_gamma : float
        An order is worth Gamma(`spend_shape`, rate v); v is Gamma(`spend_q`, rate `spend_gamma`) over
        customers, independent of how often they buy.
    extra_lines : float
        Mean of the Poisson number of lines beside the first.
    cancellation_probability, return_probability : float
        Of an order, within hours; of a line, within weeks.
    taste_concentration : float
        A customer's taste, the share of each category, is Dirichlet(`taste_concentration` times the shop's shares): the
        smaller, the more customers differ.
    dispute_intercept, dispute_log_value, dispute_first_order, dispute_at_night : float
        Log-odds that an order is disputed later: see `baskets.dispute_probability`.

    Notes
    -----
    Purchases and drop-out are the MBG/NBD model in operational time: the rate is a customer's own
    times a season that all share. Spend is the gamma-gamma model. Dispersion of the rates is close to
    the published fit of online CD buyers (0.243) and spend is that fit itself; time runs in days
    instead of weeks, for a grocer. Which values of rate and drop-out, and why: docs/decisions/0011;
    of tastes and disputes: docs/decisions/0047.

    References
    ----------
    Batislam, Denizel, Filiztekin (2007), Empirical validation and comparison of models for customer base
    analysis, Int. J. Res. Marketing 24 (MBG/NBD); Fader, Hardie, Lee (2005), "Counting your customers"
    the easy way, Marketing Science 24 (BG/NBD); Fader, Hardie, Lee (2005), RFM and CLV, J. Marketing
    Research 42 (gamma-gamma).
    """

    arrivals_per_day: float = 10.0
    rate_shape: float = 0.2
    rate_scale_days: float = 3.0
    dropout_a: float = 0.2
    dropout_b: float = 4.0
    yearly_amplitude: float = 0.15
    peak_day_of_year: int = 340
    weekly: tuple[float, ...] = (0.95, 0.9, 0.95, 1.0, 1.15, 1.2, 0.85)
    spend_shape: float = 6.25
    spend_q: float = 3.74
    spend_gamma: float = 15.44
    extra_lines: float = 1.2
    cancellation_probability: float = 0.01
    return_probability: float = 0.02
    taste_concentration: float = 10.0
    dispute_intercept: float = -5.0
    dispute_log_value: float = 2.5
    dispute_first_order: float = 2.5
    dispute_at_night: float = 2.0

    @property
    def mean_order_value(self) -> float:
        """Mean value of an order over customers, in currency."""
        return self.spend_shape * self.spend_gamma / (self.spend_q - 1)

    def season(self, day: date) -> float:
        """Return the factor on every customer's rate on a day; its mean over years is 1."""
        turn = 2 * math.pi * (day.timetuple().tm_yday - self.peak_day_of_year) / _YEAR_DAYS
        return self.weekly[day.weekday()] * (1 + self.yearly_amplitude * math.cos(turn))


def operational_time(season: Sequence[float]) -> NDArray[np.float64]:
    """Return the operational time at the start of each day, and at the end of the last.

    Parameters
    ----------
    season : sequence of float of length n_days

    Returns
    -------
    ndarray of shape (n_days + 1,), float64
        Starts at 0, ascending; in days of average season.
    """
    return np.concatenate([[0.0], np.cumsum(np.asarray(season, dtype=np.float64))])


def expected_orders(world: World, season: Sequence[float]) -> float:
    """Return the mean number of orders of a shop that opens on the first day, per daily arrival of 1.

    Notes
    -----
    A customer with drop-out p who stays for t days of operational time places, the first order included,
    ``1 + (1 - p) / p * (1 - (a / (a + p t)) ** r)`` orders on average over rates that are Gamma(r, scale
    1 / a). That is averaged over quantiles of p and over arrivals, whose number follows the season too.
    """
    from scipy.stats import beta

    levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    p = np.maximum(beta.ppf(levels, world.dropout_a, world.dropout_b), 1e-9)[:, None]
    clock = operational_time(season)
    left = (clock[-1] - (clock[:-1] + clock[1:]) / 2)[None, :]
    scale = world.rate_scale_days
    # expm1: where p is next to nothing, 1 - (…) would lose the digits that 1 / p then blows up.
    repeats = (1 - p) / p * -np.expm1(-world.rate_shape * np.log1p(p * left / scale))
    return float(np.sum(np.diff(clock) * (1 + repeats.mean(axis=0))))
