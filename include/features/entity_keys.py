"""Numbers for entity keys, so that a join compares integers.

What belongs here: numbering the keys that are asked for, and finding other rows' keys among them. What does
not: times (``include.features.point_in_time``), and casting keys: they are compared as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.int32]

NOBODY = -1


class EntityKeys:
    """Numbers for the keys that are asked for, in the keys' own order.

    Feature rows that are sorted by key get ascending numbers, which the search over them likes.

    Parameters
    ----------
    columns : sequence of pyarrow.Array
        The entity rows' key, one array of shape (n_entities,) per join key.

    Attributes
    ----------
    codes : ndarray of shape (n_entities,), int32
        The number of each entity row's key; -1 where a part of the key is null.
    """

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        sides = [_sorted_values(column) for column in columns]
        self._values = [values for values, _ in sides]
        # One column's numbers are dense; those of several are combinations, of which few exist.
        self._combinations: list[NDArray[np.int64]] = []
        self.codes, *others = (codes for _, codes in sides)
        for values, part in zip(self._values[1:], others, strict=True):
            combined = _combined(self.codes, part, len(values))
            self._combinations.append(np.unique(combined[combined >= 0]))
            self.codes = _dense(combined, self._combinations[-1])

    def __len__(self) -> int:
        return len(self._combinations[-1]) if self._combinations else len(self._values[0])

    def codes_of(self, columns: Sequence[pa.Array]) -> Codes:
        """Return the numbers of other rows' keys; -1 for a key that no entity row has.

        Parameters
        ----------
        columns : sequence of pyarrow.Array
            As in the constructor, of the same types.
        """
        codes, *others = (_numbers(column, values) for column, values in zip(columns, self._values, strict=True))
        for values, part, known in zip(self._values[1:], others, self._combinations, strict=True):
            codes = _dense(_combined(codes, part, len(values)), known)
        return codes


def _combined(codes: Codes, part: Codes, values: int) -> NDArray[np.int64]:
    """Return one number for a key and its next part, which has `values` values; both are counted, so it fits."""
    return np.where((codes >= 0) & (part >= 0), codes.astype(np.int64) * values + part, NOBODY)


def _dense(combined: NDArray[np.int64], known: NDArray[np.int64]) -> Codes:
    if not len(known):
        return np.full(len(combined), NOBODY, np.int32)
    at = np.minimum(np.searchsorted(known, combined), len(known) - 1)
    return np.where(known[at] == combined, at, NOBODY).astype(np.int32)


def _sorted_values(column: pa.Array) -> tuple[pa.Array, Codes]:
    """Return a column's values, once each and sorted, and the number of each row's value; -1 for null."""
    encoded = column.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    # The last is what a null's -1 finds.
    rank = np.full(len(order) + 1, NOBODY, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return encoded.dictionary.take(pa.array(order)), rank[_filled(encoded.indices)]


def _numbers(column: pa.Array, values: pa.Array) -> Codes:
    return _filled(pc.index_in(column, values, skip_nulls=True))


def _filled(found: pa.Array) -> Codes:
    numbers: Codes = (found.fill_null(NOBODY) if found.null_count else found).to_numpy()
    return numbers
