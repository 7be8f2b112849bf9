"""Rows of many partitions in portions that fit into memory, as one commit.

What belongs here: how much is held at once, and that nothing is written where nothing changes. What does not: the
commit (``delta_lake``), and what a portion's rows are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.row_digest import same_rows

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

# What a step holds of a table at once, beside what the engine may fill (``Settings.memory_limit``): rows of features
# have about 150 bytes, and a few copies of them.
ROWS_AT_ONCE = 500_000
# Arrow decodes 16 batches and 4 files ahead by its default: several times that.
_BATCHES_AHEAD, _FILES_AHEAD = 2, 1

# What partitions become: of their present rows (None where the table does not exist) those that shall be there instead.
Change: TypeAlias = Callable[[pa.Table | None], pa.Table]
# Partitions, whole, and what they become.
Portion: TypeAlias = tuple[Sequence[str], Change]
# Of the present rows of all partitions (None where the table does not exist) those that shall be there instead, a table
# at a time; none at all where nothing shall change.
Rewriting: TypeAlias = Callable[["Dataset | None"], Iterator[pa.Table]]
# Of all rows that a table has the partitions that a rewriting concerns beside those that are named.
Reach: TypeAlias = Callable[["Dataset"], Iterable[str]]


class StoredRows:
    """Rows of a dataset, from the first on, of which no more is held than what is asked for.

    Parameters
    ----------
    stored : pyarrow.dataset.Dataset
    condition : pyarrow.compute.Expression, optional
        Of the rows that are wanted; default: all.
    """

    def __init__(self, stored: Dataset, condition: pc.Expression | None = None) -> None:
        self._batches = stored.to_batches(
            filter=condition, batch_readahead=_BATCHES_AHEAD, fragment_readahead=_FILES_AHEAD
        )
        self._held = stored.schema.empty_table()

    def take(self, count: int) -> pa.Table:
        """Return the next rows; fewer where there are no more."""
        while self._held.num_rows < count and (batch := next(self._batches, None)) is not None:
            self._held = pa.concat_tables([self._held, pa.Table.from_batches([batch], schema=self._held.schema)])
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken

    def in_pieces(self) -> Iterator[pa.Table]:
        """Yield all the rows that are left, in tables of `ROWS_AT_ONCE`."""
        while (rows := self.take(ROWS_AT_ONCE)).num_rows:
            yield rows


def in_portions(portions: Callable[[], Iterable[Portion]], *, partition_by: str = "dt") -> Rewriting:
    """Return the rewriting that changes one portion after the other, or nothing where no portion would differ."""

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        equal: list[Sequence[str]] = []
        has_changed = present is None
        for keys, change in portions():
            there = None if present is None else _rows_of(present, keys, partition_by)
            rows = change(there)
            if not has_changed and there is not None and _equal(there, rows):
                equal.append(keys)
                continue
            if present is not None:
                # A commit replaces all partitions: those before the first that differs are written as they are.
                yield from (_rows_of(present, keys, partition_by) for keys in equal)
            has_changed, equal = True, []
            yield rows

    return rewriting


def fitting(counts: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """Return partitions in portions of about `ROWS_AT_ONCE`, by the rows of each.

    Examples
    --------
    >>> list(fitting([("a", 400_000), ("b", 100_000), ("c", 1), ("d", 900_000)]))
    [['a', 'b'], ['c'], ['d']]
    """
    portion: list[str] = []
    held = 0
    for key, rows in counts:
        if portion and held + rows > ROWS_AT_ONCE:
            yield portion
            portion, held = [], 0
        portion.append(key)
        held += rows
    if portion:
        yield portion


def in_pieces(batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, partition_by: str) -> Iterator[pa.Table]:
    """Return rows that come ordered by partition in tables of about `ROWS_AT_ONCE`, one at least.

    A partition is cut only where it is larger than that: each cut is one more file.
    """
    held = schema.empty_table()
    is_first = True
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch]).cast(schema)])
        if held.num_rows < ROWS_AT_ONCE:
            continue
        of_last = pc.index(held[partition_by], held[partition_by][-1]).as_py() or held.num_rows
        yield held.slice(0, of_last)
        held, is_first = held.slice(of_last), False
    if held.num_rows or is_first:
        yield held


def _equal(there: pa.Table, rows: pa.Table) -> bool:
    try:
        return same_rows(there, rows)
    except pa.ArrowException:
        # They can't be had in the table's types: whoever writes them says so.
        return False


def _rows_of(present: Dataset, keys: Sequence[str], partition_by: str) -> pa.Table:
    field = present.schema.field(partition_by)
    return present.to_table(filter=pc.field(partition_by).isin(pa.array(keys).cast(field.type)))
