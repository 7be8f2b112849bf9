"""Whether a fall is of who is scored, or of what becomes of the same ones.

What belongs here: the fall of a metric in two parts, each with its interval. What does not: whom and which feature it
is of (``causes``), and that there was a fall (``performance``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

from include.errors import RefusedError
from include.monitoring.fall_sides import Judged
from include.monitoring.performance import Figure, Reference

_Judged = TypeVar("_Judged", bound=Judged)


@dataclass(frozen=True)
class FallParts:
    """A fall from what a version had on its test to what came true.

    Attributes
    ----------
    expected : Figure
        What would have come true had only who is scored changed.
    realised : float
        What did.
    is_who, is_what : bool
        That who is scored has changed, or what becomes of the same ones, for the worse and beyond chance.
    """

    expected: Figure
    realised: float
    is_who: bool
    is_what: bool


def split_fall(
    reference: _Judged, current: _Judged, promise: Reference, *, samples: int = 100, seed: int = 0
) -> FallParts | str:
    """Split a fall in two parts, or say in words why they can't be told apart.

    Parameters
    ----------
    reference : Judged
        What the version was tested on.
    current : Judged
        What it scored; each entity once, so that labels are independent.
    promise : Reference
        The metric of the test, with its interval.

    Notes
    -----
    What is expected of the current ones is estimated as before their labels are known: those of the test count by how
    much likelier such features are among the current ones, and the same features are taken to mean the same chance.
    Where what came true is below the 95 % interval of that, they mean another one. That who is scored has changed is
    claimed where the interval of the fall from the test to what is expected (MOVER) is above 0. Each claim is false at
    most one time in forty where nothing of its kind has changed.

    It assumes that the features show all of who is scored that matters: what none of them shows is told as a change of
    what becomes of the same ones. It looks at what both sides have in common, as the decomposition of Cai, Namkoong and
    Yadlowsky does, and says nothing where that is little.

    References
    ----------
    T. Cai, H. Namkoong, S. Yadlowsky, Diagnosing Model Performance Under Distribution Shift (arXiv 2303.02011).
    """
    realised = current.weighted()
    if not math.isfinite(realised):
        return "all labels that came true are the same"
    try:
        expected = reference.expect(current, samples=samples, seed=seed)
    except RefusedError as no:
        return str(no)
    if expected is None:
        return "those who are scored and the test have too little in common"
    value, low, high = expected
    surely = promise.value - value - math.hypot(high - value, promise.value - promise.low)
    return FallParts(Figure(value, low, high), realised, surely > 0, realised < low)
