"""Rows that come in batches, cut where a list ends.

What belongs here: that cut. What does not: where the batches come from, and what is done with a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.features.row_order import is_ordered


class UnorderedError(Exception):
    """Rows are not in the order of their keys, so that no slice of them is known to be whole."""


def in_slices(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, keys: Sequence[str], rows_at_once: int
) -> Iterator[pa.Table]:
    """Yield rows in tables of about `rows_at_once`; rows that agree in all keys are in one.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        In ascending order of `keys`; a slice is longer where more rows than `rows_at_once` agree.
    schema : pyarrow.Schema
        Of the batches: without any, one table without rows is given.
    keys : sequence of str
        Columns without nulls.
    rows_at_once : int
        At least 1.

    Raises
    ------
    UnorderedError
        If the rows are not in that order: at the slice in which it shows, or the one after it.

    Examples
    --------
    >>> batch = pa.record_batch({"who": ["a", "a", "b", "b", "c"]})
    >>> [each["who"].to_pylist() for each in in_slices([batch] , batch.schema, keys=["who"], rows_at_once=4)]
    [['a', 'a', 'b', 'b'], ['c']]
    """
    held = schema.empty_table()
    last: pa.Table | None = None
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch], schema=schema)])
        if held.num_rows <= rows_at_once or not (end := _start_of_last(held, keys)):
            continue
        whole, held = held.slice(0, end), held.slice(end)
        last = _checked(whole, last, keys)
        yield whole
    if held.num_rows or last is None:
        _checked(held, last, keys)
        yield held


def _start_of_last(rows: pa.Table, keys: Sequence[str]) -> int:
    """Return where the rows begin that agree with the last one; 0 where all do."""
    agree = np.ones(rows.num_rows, dtype=bool)
    for key in keys:
        agree &= np.asarray(pc.fill_null(pc.equal(rows[key], rows[key][-1]), False).to_numpy(), dtype=bool)
    # From the end on: rows that agree and lie apart are out of order, which is found when they are checked.
    return 0 if agree.all() else rows.num_rows - int(np.argmin(agree[::-1]))


def _checked(rows: pa.Table, last: pa.Table | None, keys: Sequence[str]) -> pa.Table | None:
    """Return the last row, for the next slice; all of a slice come after the last of the one before."""
    ours = rows.select(list(keys))
    edge = ours if last is None else pa.concat_tables([last, ours])
    if not is_ordered(edge, keys) or (last is not None and rows.num_rows and edge.slice(0, 1).equals(edge.slice(1, 1))):
        raise UnorderedError
    return ours.slice(ours.num_rows - 1) if rows.num_rows else last
