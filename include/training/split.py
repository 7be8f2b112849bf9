"""Split examples by time, with a purged gap between training and test.

What belongs here: which example is for fitting and which for testing. What does not: fitting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from include.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from include.specs.models import ModelSpec


@dataclass(frozen=True)
class TimeSplit:
    """Which rows are for what; rows of the gap are for neither.

    Attributes
    ----------
    train, test : ndarray of shape (n_rows,), bool
    train_start, train_end, test_start, test_end : numpy.datetime64
        First and last snapshot of each part.
    purged : int
        Rows of the gap.
    """

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]
    train_start: np.datetime64
    train_end: np.datetime64
    test_start: np.datetime64
    test_end: np.datetime64
    purged: int


def split_snapshots(spec: ModelSpec, snapshots: NDArray[np.datetime64]) -> TimeSplit:
    """Split as a model's spec says; parameters and errors are those of `split_by_time`."""
    return split_by_time(snapshots, test_days=spec.training.test_days, horizon_days=spec.label.horizon_days)


def split_by_time(snapshots: NDArray[np.datetime64], *, test_days: int, horizon_days: int) -> TimeSplit:
    """Take the latest snapshots for the test, and for fitting those whose labels were known before it.

    Parameters
    ----------
    snapshots : ndarray of shape (n_rows,), datetime64
        When each example stands, UTC, in any order.
    test_days : int
        The test takes the snapshots later than the last one minus so many days.
    horizon_days : int
        A label looks so far ahead.

    Raises
    ------
    UsageError
        If there are no rows.
    RefusedError
        If no snapshot is left to fit on.

    Notes
    -----
    Train: snapshot + horizon ≤ first test snapshot. A label that looks into the test window would
    tell the model what happened there, so the rows of one horizon before it are dropped ("purging").

    References
    ----------
    M. López de Prado, Advances in Financial Machine Learning, Wiley 2018, section 7.4.1.

    Examples
    --------
    >>> days = np.arange("2011-01-01", "2011-03-02", 7, dtype="datetime64[D]")
    >>> split = split_by_time(days, test_days=14, horizon_days=30)
    >>> str(split.test_start), str(split.train_end)
    ('2011-02-19', '2011-01-15')
    """
    if not len(snapshots):
        raise UsageError("there are no examples to split; build the training set first")
    last = snapshots.max()
    test = snapshots > last - np.timedelta64(test_days, "D")
    test_start = snapshots[test].min()
    train = snapshots + np.timedelta64(horizon_days, "D") <= test_start
    if not train.any():
        raise RefusedError(
            f"no snapshot is left to fit on: the first of {_day(snapshots.min())} has its label only "
            f"{horizon_days} days later, after the test began ({_day(test_start)}); build the features of earlier days "
            "where there are some, and raise training.window_days where it leaves them out; lower training.test_days "
            f"({test_days}) or label.horizon_days ({horizon_days}); or train as of a later day"
        )
    return TimeSplit(
        train=train,
        test=test,
        train_start=snapshots[train].min(),
        train_end=snapshots[train].max(),
        test_start=test_start,
        test_end=last,
        purged=int(np.count_nonzero(~train & ~test)),
    )


def _day(moment: np.datetime64) -> str:
    return str(moment.astype("datetime64[D]"))
