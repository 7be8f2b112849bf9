"""What a fall of performance is of, in words, and which part of what was scored has fallen most.

What belongs here: parts held against one another, and sentences of three causes at most. What does not: the
verdict on a fall (``performance``), whether it is of who is scored or of what becomes of the same ones
(``fall_parts``), and which feature has moved (``moved_feature``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import norm

from include.monitoring.decision_words import digits_for
from include.monitoring.fall_parts import FallParts
from include.monitoring.fall_sides import Judged, Worth
from include.monitoring.moved_feature import FEATURES_MAX, find_moved
from include.monitoring.performance import Reference
from include.monitoring.slices import Cells, cut

_Floats = NDArray[np.float64]
# Of the test, and of what came true.
_Sides: TypeAlias = tuple[Judged, Judged]
_Masks: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.bool_]]

# That any part is named although all have fallen alike.
_CHANCE = 0.05
# They may differ in what no feature shows.
_ALIKE = "those with the same features"


@dataclass(frozen=True)
class FallenPart:
    """A part of the rows that has fallen further than the others.

    Attributes
    ----------
    name, metric : str
    before, now : float
        Its metric on the test, and as it came true.
    of_rows : float
        Its share of what is current.
    of_fall : float
        The share of the fall of all that is gone without them; 1 where the others have not fallen.
    """

    name: str
    metric: str
    before: float
    now: float
    of_rows: float
    of_fall: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.metric} {self.now:.3f} where the test had {self.before:.3f}; without these "
            f"{self.of_rows:.1%}, {self.of_fall:.0%} of the fall is gone"
        )


def find_causes(
    reference: Judged,
    current: Judged,
    parts: FallParts | str,
    cells: Sequence[tuple[Cells, Cells]],
    *,
    promise: Reference,
    names: Sequence[str],
) -> tuple[str, ...]:
    """Return what a fall is of, in words: three causes at most.

    Parameters
    ----------
    reference, current : Judged
        The version's test, and what came true of those that it scored, each entity once.
    parts : FallParts or str
        As `split_fall` returns them.
    cells : sequence of (Cells, Cells)
        As `find_part` takes them.
    promise : Reference
        The metric of the test.
    names : sequence of str
        Of the features, first those that the model rests on.
    """
    told = [_tell_parts(parts, promise, current)]
    if (part := find_part(reference, current, cells)) is not None:
        told.append(str(part))
    if isinstance(parts, FallParts) and parts.is_who and (moved := find_moved(reference, current, names)) is not None:
        told.append(str(moved))
    return tuple(told)


def _tell_parts(parts: FallParts | str, promise: Reference, current: Judged) -> str:
    if isinstance(parts, str):
        return f"whether who is scored has changed or what becomes of them can't be told: {parts}"
    expected = parts.expected
    alone = f"{expected.value:.3f} [{expected.low:.3f}, {expected.high:.3f}]"
    entities = len(np.unique(current.owners))
    came = (
        f"{current.metric} {parts.realised:.3f} of {entities} entities, the newest night of each, "
        f"where the test had {promise.value:.3f}"
    )
    if parts.is_who and parts.is_what:
        return f"{came}: who is scored has changed, which alone brings {alone}, and what becomes of {_ALIKE} too"
    if parts.is_what:
        return f"{came}: what becomes of {_ALIKE} has changed; by their features {alone} was to be expected"
    if parts.is_who:
        return f"{came}: who is scored has changed, which alone brings {alone}"
    return f"{came}: neither who is scored nor what becomes of {_ALIKE} has changed beyond chance"


def cut_features(reference: Judged, current: Judged, names: Sequence[str]) -> Iterator[tuple[Cells, Cells]]:
    """Cut the first features into thirds of the test; one that can't be cut is left out."""
    for place_, name in enumerate(names[:FEATURES_MAX]):
        before, now = reference.features[:, place_], current.features[:, place_]
        known = before[np.isfinite(before)]
        if ends := _thirds(known):
            yield cut(_column(before), name, ends), cut(_column(now), name, ends)


def _thirds(known: _Floats) -> list[float]:
    """Return where the middle third begins and ends, to as many digits as a person needs."""
    if not len(known):
        return []
    low, *ends, high = map(float, np.quantile(known, [0.1, 1 / 3, 2 / 3, 0.9]))
    digits = digits_for(ends, spread=high - low)
    return sorted({float(f"{end:.{digits}g}") for end in ends})


def _column(values: _Floats) -> pa.ChunkedArray:
    # As a model reads them: an end that is told as 0.7 is their 0.7.
    return pa.chunked_array([pa.array(values.astype(np.float32))])


def find_part(reference: Judged, current: Judged, cells: Sequence[tuple[Cells, Cells]]) -> FallenPart | None:
    """Return the part that has fallen most clearly further than all other rows; None where none has.

    Parameters
    ----------
    reference, current : Judged
        The version's test, and what came true.
    cells : sequence of (Cells, Cells)
        Of both, which part each row is of; the same names.

    Notes
    -----
    The metric of a part against that of the rest, on the test and now: the difference of the two falls over its
    standard error, one-sided at 0.05 over the number of parts (Bonferroni). Where all have fallen alike a part is named
    one time in twenty at most.
    """
    sides = reference, current
    every = _fall(sides, (np.ones(len(reference.features), bool), np.ones(len(current.features), bool)))
    found = [
        compared
        for then, now in cells
        for name in now.names
        if (compared := _compare(name, sides, (then.are(name), now.are(name)), every)) is not None
    ]
    surely, part = max(found, key=lambda each: each[0], default=(0.0, None))
    return part if found and surely > norm.ppf(1 - _CHANCE / len(found)) else None


@dataclass(frozen=True)
class _Fall:
    was: Worth
    came: Worth

    @property
    def size(self) -> float:
        return self.was.value - self.came.value

    @property
    def variance(self) -> float:
        return self.was.deviation**2 + self.came.deviation**2


def _compare(name: str, sides: _Sides, own: _Masks, every: _Fall | None) -> tuple[float, FallenPart] | None:
    """Say how surely a part has fallen further than the rest; None where either has too few of a class on a side."""
    part, rest = _fall(sides, own), _fall(sides, (~own[0], ~own[1]))
    if part is None or rest is None:
        return None
    gone = 0.0 if every is None or every.size <= 0 else min(1.0, 1 - rest.size / every.size)
    surely = (part.size - rest.size) / math.sqrt(part.variance + rest.variance) if gone > 0 else 0.0
    return surely, FallenPart(name, sides[0].metric, part.was.value, part.came.value, float(own[1].mean()), gone)


def _fall(sides: _Sides, chosen: _Masks) -> _Fall | None:
    was, came = (side.measure(mask) for side, mask in zip(sides, chosen, strict=True))
    return None if was is None or came is None else _Fall(was, came)
