"""Rows that depend on one another: those of one entity.

What belongs here: numbering them. What does not: what is resampled by these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def number_entities(entities: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each row's entity, from 0 on without a gap, in the order of their names.

    Parameters
    ----------
    entities : sequence of str
        Of any length: a long name takes its own room, and not that of every row.

    Examples
    --------
    >>> number_entities(["c9", "c1", "c9"]).tolist()
    [1, 0, 1]
    """
    places = pc.rank(pa.array(entities, pa.large_string()), sort_keys="ascending", tiebreaker="dense")
    return np.asarray(places.to_numpy(), dtype=np.int64) - 1
