"""What lies outside of all that the reference holds: rows beyond its range, and values that it never had.

What belongs here: how large such a share is on PSI's scale, how likely by chance, and the bounded set of values that
tells the unseen ones of a column with too many for bins. What does not: counting rows (``reference_profile``), and
verdicts (``drift``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

from include.monitoring.psi import psi_from_counts

# So many values are kept of a column, each as a hash of 48 bits, which JSON's numbers hold exactly.
MAX_KNOWN = 1_024
_HASH_BYTES = 6
_EVERY_HASH = 1 << (8 * _HASH_BYTES)


@dataclass(frozen=True)
class Recurrence:
    """How often values come again: rows with a value, and how many values come in just one row, and in just two."""

    rows: int
    once: int
    twice: int

    @classmethod
    def of(cls, counts: Iterable[int]) -> Recurrence:
        """Return that of so many rows of each value."""
        found = list(counts)
        return cls(sum(found), found.count(1), found.count(2))


@dataclass(frozen=True)
class KnownValues:
    """A column's values, those with the smallest hashes where they are many.

    Attributes
    ----------
    hashes : tuple of int
        Ascending, at most 1024.
    below : int
        Only values whose hash is below this one are told apart: every value, where the column had at most 1024.
    recurrence : Recurrence
        Of these values in the reference.
    most : int
        Rows in the fullest cell of all its values (``crowding``); 0 where it was frozen without.
    """

    hashes: tuple[int, ...]
    below: int
    recurrence: Recurrence
    most: int = 0

    def count_unseen(self, hashed: Mapping[int, int]) -> tuple[int, int]:
        """Return the rows of a window that are told apart, and those of them whose value the reference never had."""
        known = frozenset(self.hashes)
        judged = [(value, rows) for value, rows in hashed.items() if value < self.below]
        return sum(rows for _, rows in judged), sum(rows for value, rows in judged if value not in known)


def keep_known(hashed: Mapping[int, int]) -> KnownValues:
    """Keep what tells a column's values from others, given rows by hash of value.

    A hash picks values without regard to how often they come, so the share of unseen rows among those that are told
    apart estimates that among all.
    """
    ranked = sorted(hashed.items())
    kept = ranked[:MAX_KNOWN]
    below = ranked[MAX_KNOWN][0] if len(ranked) > MAX_KNOWN else _EVERY_HASH
    return KnownValues(tuple(value for value, _ in kept), below, Recurrence.of(rows for _, rows in kept))


def hash_values(seen: Mapping[str, int]) -> dict[int, int]:
    """Return rows by hash, given rows by value; of two values with one hash both."""
    hashed: Counter[int] = Counter()
    for value, rows in seen.items():
        hashed[hash_value(value)] += rows
    return hashed


def hash_value(value: str) -> int:
    """Return 48 bits of a text's BLAKE2b.

    Examples
    --------
    >>> hash_value("FR") == hash_value("FR") != hash_value("DE")
    True
    """
    return int.from_bytes(blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).digest(), "big")


def outside_psi(reference_rows: int, reference_outside: int, rows: int, outside: int) -> float:
    """Return the PSI of two cells, outside and not: the size of such a shift on the scale of the verdicts.

    Examples
    --------
    >>> round(outside_psi(1_000, 0, 1_000, 120), 2)
    0.87
    """
    return psi_from_counts([reference_rows - reference_outside, reference_outside], [rows - outside, outside])


def range_pvalue(reference_rows: float, reference_outside: float, rows: int, outside: int) -> float:
    """Return the probability of so many rows beyond the reference's range, if both are of one population.

    Parameters
    ----------
    reference_rows : float
        With a value, and as many as are independent.
    reference_outside : float
        Of them, those that the range leaves out: the infinite ones.
    rows, outside : int
        Of the window: with a value, and beyond the range.

    Notes
    -----
    Exact for values without ties, at most that with them. The range is the reference's own smallest and largest value,
    so its ends are drawn too: rows beyond it are the window's share of the outermost of all n + m values. Any two of
    the n + 1 gaps between reference values hold alike many rows of the window, hence k or more lie beyond the ends as
    often as the first k + 1 values of all hold at most one of the reference.

    Examples
    --------
    >>> round(range_pvalue(1, 0, 1, 1), 3)
    1.0
    >>> range_pvalue(1_000, 0, 1_000, 20) < 1e-3 < range_pvalue(1_000, 0, 1_000, 5)
    True
    """
    return at_least(outside, rows, reference_rows, outside + np.ceil(reference_outside) + 1)


def unseen_pvalue(recurrence: Recurrence, rows: int, unseen: int) -> float:
    """Return the probability of so many unseen values, if both samples are of one population.

    Examples
    --------
    >>> everyone_once, nobody_once = Recurrence(500, 500, 0), Recurrence(500, 0, 0)
    >>> unseen_pvalue(everyone_once, 500, 500), unseen_pvalue(nobody_once, 500, 10) < 1e-3
    (1.0, True)

    Notes
    -----
    Good and Turing: a reference in which f1 values come once expects f1 / n of the rows that follow to be of a value
    that it doesn't have. Fisher's exact test of the unseen rows against the f1, both samples taken for smaller by
    1 + f2 / f1, since the estimate's variance is (f1 + 2 f2) / n² where Fisher has f1 / n².

    References
    ----------
    Good (1953), The population frequencies of species and the estimation of population parameters, Biometrika 40.
    """
    shrink = 1 + recurrence.twice / recurrence.once if recurrence.once else 1.0
    window, found = np.floor(rows / shrink), np.floor(unseen / shrink)
    return at_least(found, window, recurrence.rows / shrink, found + np.ceil(recurrence.once / shrink))


def at_least(found: float, rows: float, reference_rows: float, drawn: float) -> float:
    """Return how often at least `found` of so many drawn of the rows of both samples are of the window."""
    if not found:
        return 1.0
    each = np.arange(found, min(drawn, rows) + 1)
    each = each[drawn - each <= reference_rows]
    logs = _choose(rows, each) + _choose(reference_rows, drawn - each) - _choose(rows + reference_rows, drawn)
    return float(min(np.exp(logs).sum(), 1.0))


def _choose(rows: float, drawn: ArrayLike) -> NDArray[np.float64]:
    drawn = np.asarray(drawn, dtype=np.float64)
    from scipy.special import gammaln  # not in the service's image

    found: NDArray[np.float64] = gammaln(rows + 1) - gammaln(drawn + 1) - gammaln(rows - drawn + 1)
    return found
