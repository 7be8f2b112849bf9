"""What the theory says of the simulated shop, computed in another way than the shop computes it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import beta

from include.simulation.world import World
from tests.everyday import members

# A right simulator fails one claim of this kind in 16,000, a wrong one all that are about it.
STANDARD_ERRORS = 4.0
SEEDS = members((1, 2, 3), daily=[1])
_NODES = 80


def over_dropout(world: World, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean of a function of p, shape (n_nodes, 1) to (n_nodes, n), over p ~ Beta(A, B) with B above 1.

    Gauss-Legendre in u = p^A, which takes the singularity at 0 away: p^(A - 1) dp is du / A.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u, weights = (nodes + 1) / 2, weights / 2
    p = u ** (1 / world.dropout_a)
    density = (1 - p) ** (world.dropout_b - 1) / (world.dropout_a * beta(world.dropout_a, world.dropout_b))
    return np.asarray((weights * density) @ function(p[:, None]))


def is_quiet(world: World, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that a process with a rate ~ Gamma(r, rate a) has no event within an operational time."""
    return np.exp(-world.rate_shape * np.log1p(time / world.rate_scale_days))


def no_repeat(world: World, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that a first order stays the only one for so much operational time."""
    return over_dropout(world, lambda p: p + (1 - p) * is_quiet(world, time))


def has_left(world: World, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability of having left, so much operational time after the first order."""
    return over_dropout(world, lambda p: 1 - (1 - p) * is_quiet(world, p * time))


def mean_repeats(world: World, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean number of orders after the first, within so much operational time."""

    def given(p: NDArray[np.float64]) -> NDArray[np.float64]:
        # 1 - quiet without the loss of digits where p is next to nothing.
        return (1 - p) / p * -np.expm1(-world.rate_shape * np.log1p(p * time / world.rate_scale_days))

    return over_dropout(world, given)
