"""A window counted against a frozen profile, batch by batch.

What belongs here: what is known of each column once all batches are in, in memory that does not grow with rows. What
does not: bins (``binning``), distances (``streamed_comparison``), and verdicts (``drift``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.monitoring.binning import BinCounts, count_over
from include.monitoring.columns import Precision, find_change, numeric_values, rounded_to
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.side_by_side import side_by_side
from include.monitoring.streamed_comparison import StreamedComparison
from include.monitoring.two_sample import NumericComparison


class ColumnCounts:
    """One column of a window, as the reference has it.

    Attributes
    ----------
    feature : FeatureProfile
    changed : str or None
        Why it is not the column that the reference knew, in the first batch that shows it; it is not counted then.
    rows : int
        Rows of the window.
    counted : BinCounts or None
        None where the reference has nothing to count over.
    """

    def __init__(self, feature: FeatureProfile) -> None:
        self.feature = feature
        self.changed: str | None = None
        self.rows = 0
        self.counted: BinCounts | None = None
        self._compared: StreamedComparison | None = None

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take a batch of the window in."""
        feature = self.feature
        self.rows += max((len(values) for values in columns.values()), default=0)
        if self.changed is None:
            has_values = feature.rows > feature.missing
            self.changed = find_change(feature.name, feature.kind if has_values else None, columns)
        if self.changed is not None or (feature.unjudged is not None and feature.known is None):
            return
        values = columns[feature.name]
        counted = count_over(feature, values)
        self.counted = counted if self.counted is None else self.counted + counted
        if feature.kind == "numeric" and counted.kept_in is not None:
            self._compare(rounded_to(counted.kept_in, numeric_values(feature.name, values)), counted.kept_in)

    def _compare(self, numbers: NDArray[np.float64], precision: Precision) -> None:
        if self._compared is None:
            self._compared = StreamedComparison(self.feature.numbers.rounded(precision))
        self._compared.add(numbers)

    @property
    def valued(self) -> int:
        """Rows that have a value, of those that were counted."""
        return self.counted.valued if self.counted is not None else 0

    def compare(self) -> NumericComparison | None:
        """Return the distances from the reference's numbers; None where a side has none."""
        return self._compared.result(design_effect=self.feature.effect.mean) if self._compared is not None else None


class WindowCounts:
    """A window, counted column by column.

    Parameters
    ----------
    profile : ReferenceProfile
        Frozen at training.

    Examples
    --------
    >>> import numpy as np
    >>> from include.monitoring.reference_profile import build_reference_profile
    >>> window = WindowCounts(build_reference_profile({"x": np.arange(100.0)}, bins=2))
    >>> for batch in np.arange(30.0, 40.0), np.arange(40.0, 70.0):
    ...     window.add({"x": batch})
    >>> window.columns["x"].counted.bins.tolist()
    [20, 20]
    """

    def __init__(self, profile: ReferenceProfile) -> None:
        self.columns = {feature.name: ColumnCounts(feature) for feature in profile.features}

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take a batch in, which may have no rows.

        Parameters
        ----------
        columns : mapping of str to ndarray of shape (n_rows,)
            Those that the profile doesn't know are left alone. NaN and None are missing.
        """
        values = sum(map(len, columns.values()))
        side_by_side(lambda column: column.add(columns), self.columns.values(), values=values)
