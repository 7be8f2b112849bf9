"""One entity's features, as a model reads them.

What belongs here: the row. What does not: where it is from (``online_features``, ``shared_rows``).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

# How an entity stands with the model: `scored` is the only one that has a score.
Standing: TypeAlias = Literal["scored", "unknown", "stale", "outside"]


class FeatureRow(NamedTuple):
    """One entity's features, as the store had them.

    Attributes
    ----------
    values : ndarray of shape (n_features,), float64
        NaN for null, and for what is withheld because it is stale or missing.
    standing : str
    event_us : int or None
        Event time of the row of the model's own group, microseconds since 1970.
    status : tuple of str
        Of each feature ``present``, ``stale`` or ``missing``.
    events : tuple of int or None
        Event time of each feature.
    source : str
        ``store``, ``cache``, or ``last`` where the store was down.
    """

    values: NDArray[np.float64]
    standing: Standing
    event_us: int | None
    status: tuple[str, ...]
    events: tuple[int | None, ...]
    source: Literal["store", "cache", "last"] = "store"
