"""Lists of items in the order of their scores: the one rule by which training measures, batch scores and online serves.

What belongs here: which rows make a list, and each row's place in it. What does not: how good an order is
(``training.list_metrics``), and how many places are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.errors import UsageError


def number_lists(rows: pa.Table, keys: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each row's list: rows that agree in all keys are one.

    Parameters
    ----------
    rows : pyarrow.Table
        In any order; `keys` without nulls.
    keys : sequence of str
        Columns of it.

    Returns
    -------
    ndarray of shape (n_rows,), int64
        From 0 on without a gap, in the order of the keys.

    Examples
    --------
    >>> number_lists(pa.table({"who": ["b", "a", "b"], "when": [1, 1, 2]}), ["who", "when"]).tolist()
    [1, 0, 2]
    """
    numbers = np.zeros(rows.num_rows, dtype=np.int64)
    for key in keys:
        place = _places(rows[key])
        numbers = numbers * (place.max(initial=0) + 1) + place
        # Numbered anew after each key, they never leave int64.
        numbers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    return numbers


def rank_items(lists: NDArray[np.int64], scores: NDArray[np.float32], items: pa.ChunkedArray) -> NDArray[np.int32]:
    """Return each row's place in its list: the higher score first, of equal ones the item whose key comes first.

    Parameters
    ----------
    lists : ndarray of shape (n_rows,), int64
        As `number_lists` gives them.
    scores : ndarray of shape (n_rows,), float32
        No NaN.
    items : pyarrow.ChunkedArray
        The item's key, each once in a list, without nulls; compared as text is, byte by byte.

    Returns
    -------
    ndarray of shape (n_rows,), int32
        1 is best; from 1 on without a gap in each list.

    Raises
    ------
    UsageError
        If a score is no number: such an item has no place.

    Examples
    --------
    >>> items = pa.chunked_array([["y", "x", "z", "x"]])
    >>> rank_items(np.array([0, 0, 0, 1]), np.array([0.5, 0.5, 0.9, 0.1], dtype=np.float32), items).tolist()
    [3, 2, 1, 1]
    """
    if not np.isfinite(scores).all():
        raise UsageError(
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are no numbers: such items have no place in "
            "a list; score the rows again, or leave them out and say so"
        )
    order = np.lexsort((_places(items), -scores, lists))
    ordered = lists[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    sizes = np.diff(np.append(starts, len(ordered)))
    ranks = np.empty(len(ordered), dtype=np.int32)
    ranks[order] = np.arange(len(ordered)) - np.repeat(starts, sizes) + 1
    return ranks


def _places(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the place of each value among the distinct ones, from 0 on."""
    places = pc.rank(values, sort_keys="ascending", tiebreaker="dense")
    return np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64) - 1
