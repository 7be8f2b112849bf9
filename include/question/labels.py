"""Labels: which snapshots are taken, and where a label's definition is.

What belongs here: the calendar of snapshots and one SQL statement per label definition. What does
not: running it, and the features beside the labels.
"""

from __future__ import annotations

from pathlib import Path

from include import partitions
from include.specs.models import LabelSpec, TrainingSpec

LABEL = "label"


def snapshot_days(as_of: str, label: LabelSpec, training: TrainingSpec) -> list[str]:
    """Return the days at whose end examples stand, in order.

    The last one is the newest whose label is known at the end of `as_of`; before it one every
    ``snapshot_every_days``, within ``window_days``.

    Parameters
    ----------
    as_of : str
        Partition key: nothing after its end is known.
    label : LabelSpec
        Gives the horizon.
    training : TrainingSpec
        Gives window and step.

    Examples
    --------
    >>> from include.specs.models import load_model
    >>> spec = load_model("churn")
    >>> days = snapshot_days("2011-11-25", spec.label, spec.training)
    >>> partitions.days_between(days[-1], "2011-11-25") == spec.label.horizon_days
    True
    """
    last = partitions.shift(as_of, -label.horizon_days)
    return [partitions.shift(last, -back) for back in range(0, training.window_days, training.snapshot_every_days)][
        ::-1
    ]


def label_sql_path(definition: str) -> Path:
    """Return the statement that computes a label, DuckDB dialect.

    It reads ``orders`` and ``snapshots(event_timestamp)`` with the parameters ``as_of``,
    ``known_until``, ``active_within_days`` and ``horizon_days``, and returns entity key,
    ``event_timestamp`` and ``label`` (int8, 0 or 1), one row per entity and snapshot.
    """
    return Path(__file__).parent / "labels" / f"{definition}.sql"
