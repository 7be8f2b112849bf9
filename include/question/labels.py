"""Labels: at which times examples stand, and which of their labels count.

What belongs here: the calendar of snapshots, and the promises of a label's statement. What does not: running it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.errors import SpecError, one_line
from include.features.checks import EVENT_TIMESTAMP
from include.specs.labels import LabelSpec
from include.specs.model_sections import TrainingSpec

LABEL = "label"
KNOWN_AT = "known_at"

_INSTANT = pa.timestamp("us", tz="UTC")
_SHOULD_BE = {pa.string(): "a text", _INSTANT: "an instant", pa.int64(): "0 or 1"}


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
    back = range(0, training.window_days, training.snapshot_every_days)
    return [partitions.shift(last, -days) for days in back][::-1]


def tell_one_weekday(training: TrainingSpec) -> Iterator[str]:
    """Say where all examples stand on one day of the week."""
    if (step := training.snapshot_every_days) % 7 == 0:
        yield (
            f"training.snapshot_every_days={step} is a multiple of 7: all examples stand on one day of the week, and "
            "what depends on it has shifted on the other six; with 4, four weeks of test have each day once"
        )


def known_labels(labelled: pa.Table, keys: Sequence[str], *, known_until: datetime, kind: str) -> pa.Table:
    """Return the labels that are known, in the types that examples have.

    Parameters
    ----------
    labelled : pyarrow.Table
        What a label's statement gave: `keys`, ``event_timestamp``, ``label`` and ``known_at``.
    keys : sequence of str
        The entity keys.
    known_until : datetime
        A label that became known later is left out.
    kind : str
        For messages.

    Returns
    -------
    pyarrow.Table
        `keys` (string), ``event_timestamp`` and ``known_at`` (timestamp[us, UTC]), ``label`` (int8, 0 or 1); keys and
        time are unique in it. None is known before its example's time, whatever a deliverer's clock says.

    Raises
    ------
    SpecError
        If columns are absent or of another type, a label is neither 0 nor 1, or an example has two.
    """
    wanted = [*keys, EVENT_TIMESTAMP, LABEL, KNOWN_AT]
    if absent := [name for name in wanted if name not in labelled.column_names]:
        raise SpecError(f"{kind}.sql gives no {', '.join(absent)}; a label's statement gives {', '.join(wanted)}")
    types = {**{key: pa.string() for key in keys}, EVENT_TIMESTAMP: _INSTANT, LABEL: pa.int64(), KNOWN_AT: _INSTANT}
    rows = pa.table({name: _cast(labelled[name], types[name], f"{kind}.sql gives {name}") for name in wanted})
    strange = pc.invert(pc.fill_null(pc.is_in(rows[LABEL], pa.array([0, 1])), False))
    if pc.any(strange).as_py():
        raise SpecError(f"{kind}.sql gives the label {rows.filter(strange)[LABEL][0].as_py()}; a label is 0 or 1")
    identity = [*keys, EVENT_TIMESTAMP]
    if rows.select(identity).group_by(identity).aggregate([]).num_rows < rows.num_rows:
        raise SpecError(f"{kind}.sql gives an example more than one label; one row per {', '.join(identity)}")
    told, earliest = rows[KNOWN_AT], rows[EVENT_TIMESTAMP]
    told = pc.if_else(pc.less(told, earliest), earliest, told)
    rows = rows.set_column(rows.column_names.index(KNOWN_AT), KNOWN_AT, told)
    known = rows.filter(pc.fill_null(pc.less_equal(rows[KNOWN_AT], pa.scalar(known_until, _INSTANT)), False))
    return known.set_column(known.column_names.index(LABEL), LABEL, known[LABEL].cast(pa.int8()))


def _cast(values: pa.ChunkedArray, to: pa.DataType, said: str) -> pa.ChunkedArray:
    try:
        return values.cast(to)
    except pa.ArrowException as err:
        raise SpecError(f"{said} as {values.type}, which should be {_SHOULD_BE[to]}: {one_line(err)}") from err
