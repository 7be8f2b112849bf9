"""Which feature of who is scored has moved so that a model's task has become harder.

What belongs here: the test's rows by the values that a feature has now, and a sentence of it. What does not: whether
who is scored has changed at all (``fall_parts``), and which part has fallen (``causes``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from include.monitoring.decision_words import digits_for, number
from include.monitoring.fall_sides import Judged, deviation_of_mean

_Floats = NDArray[np.float64]
# Of each row of the test, and of what is current, and where a bin begins.
_Bins: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], _Floats]

# More features tell nothing that these don't, and make the level of each stricter.
FEATURES_MAX = 10
# That any feature is named although none has made the test harder.
_CHANCE = 0.05
_BINS = 10
# A bin that the test hardly had stands for no more than so many of its rows.
_WEIGHT_MAX = 20.0
# Of what is current, with values that the test has too: of fewer it says nothing.
_COMMON_MIN = 0.5


@dataclass(frozen=True)
class MovedFeature:
    """A feature whose values alone, moved as they have, would have made the test harder.

    Attributes
    ----------
    name, metric : str
    before, now : tuple of float, or None
        The quartiles of its values; None where it has none.
    missing : tuple of float
        The share without a value, on the test and now.
    above : tuple of float, or None
        Of the ends of the test's tenths the one above which most has changed, and the shares there, on the test and
        now; None where the test has no value.
    brings : float
        The metric of the test, weighted to have the current values of this feature.
    """

    name: str
    metric: str
    before: tuple[float, float] | None
    now: tuple[float, float] | None
    missing: tuple[float, float]
    above: tuple[float, float, float] | None
    brings: float

    def __str__(self) -> str:
        moved = [*self._tell_middle(), *self._tell_missing()] or [*self._tell_above()]
        return f"{self.name}: {' and '.join(moved)}; that alone brings {self.metric} {self.brings:.3f}"

    @property
    def _digits(self) -> int:
        values = [*(self.before or ()), *(self.now or ()), *((self.above or ())[:1])]
        return digits_for(values, spread=max(values) - min(values)) if values else 3

    def _tell_middle(self) -> Iterator[str]:
        if self.before is not None and self.now is not None:
            was_low, was_high, low, high = (number(each, digits=self._digits) for each in (*self.before, *self.now))
            if (was_low, was_high) != (low, high):
                yield f"the middle half lies from {low} to {high}, on the test from {was_low} to {was_high}"

    def _tell_missing(self) -> Iterator[str]:
        was, came = (f"{share:.0%}" for share in self.missing)
        if was != came:
            yield f"{came} have no value, on the test {was}"

    def _tell_above(self) -> Iterator[str]:
        if self.above is not None:
            end, was, came = self.above
            yield f"{came:.1%} have {number(end, digits=self._digits)} or more, on the test {was:.1%}"


def find_moved(reference: Judged, current: Judged, names: Sequence[str]) -> MovedFeature | None:
    """Return the feature whose present values alone would have made the test hardest; None where none would.

    Those of the test are weighted so that one feature has the values that it has now, by tenths of the test.

    Notes
    -----
    A feature is named only where what it brings is beyond chance, one-sided at 0.05 over the number of features
    (Bonferroni): to first order that is a difference of means, of what each tenth of the test adds to the metric.
    """
    as_it_was, names = reference.weighted(), names[:FEATURES_MAX]
    found = []
    for place, name in enumerate(names):
        before, now = reference.features[:, place], current.features[:, place]
        bins = _cut(before, now)
        is_common = np.isin(bins[1], bins[0])
        if is_common.mean() < _COMMON_MIN or _surely(reference, current, bins) <= norm.ppf(1 - _CHANCE / len(names)):
            continue
        brings = reference.weighted(_weights(bins))
        if brings < as_it_was:
            missing = float(np.isnan(before).mean()), float(np.isnan(now).mean())
            quartiles = _middle_half(before), _middle_half(now)
            found.append(MovedFeature(name, reference.metric, *quartiles, missing, _most_above(bins), brings))
    return min(found, key=lambda each: each.brings, default=None)


def _cut(before: _Floats, now: _Floats) -> _Bins:
    """Return of each row which tenth of the test its value is in, the last of those without one."""
    known = before[np.isfinite(before)]
    ends = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else np.empty(0)
    was, came = (
        np.where(np.isnan(each), len(ends) + 1, np.searchsorted(ends, each, side="right")) for each in (before, now)
    )
    return was, came, ends


def _surely(reference: Judged, current: Judged, bins: _Bins) -> float:
    """Return how many standard errors the metric falls by, as far as a tenth's share moves it."""
    rows = np.bincount(bins[0], minlength=len(bins[2]) + 2)
    pulls = np.bincount(bins[0], reference.pulls(), minlength=len(rows))
    of_bin = np.divide(pulls, rows, out=np.zeros(len(rows)), where=rows > 0)
    was, came = of_bin[bins[0]], of_bin[bins[1]]
    error = math.hypot(deviation_of_mean(was, reference.owners), deviation_of_mean(came, current.owners))
    return float(was.mean() - came.mean()) / error if error > 0 else 0.0


def _weights(bins: _Bins) -> _Floats:
    """Return how much likelier each value of the test is now."""
    was, came = (np.bincount(each, minlength=len(bins[2]) + 2) / len(each) for each in bins[:2])
    ratio = np.divide(came, was, out=np.zeros_like(came), where=was > 0)
    return np.asarray(np.minimum(ratio, _WEIGHT_MAX)[bins[0]])


def _most_above(bins: _Bins) -> tuple[float, float, float] | None:
    was, came, ends = bins
    # Those without a value are above all ends.
    is_known = was <= len(ends), came <= len(ends)
    shares = [
        (float(end), float((is_known[0] & (was > place)).mean()), float((is_known[1] & (came > place)).mean()))
        for place, end in enumerate(ends)
    ]
    return max(shares, key=lambda each: abs(each[1] - each[2]), default=None)


def _middle_half(values: _Floats) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.25, 0.75])
    return float(low), float(high)
