"""Which rows two training sets differ in.

What belongs here: comparing two tables by their keys, and a few of the rows as words. What does not: where they are
from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

# Of each kind of change; the counts tell how many more there are.
SHOWN = 10

# What a column of the other table is called beside the one's; no name of a feature starts so.
_OTHER = "_other_"

Key = Mapping[str, str]


@dataclass(frozen=True)
class ChangedRow:
    """A row that both have, and the columns in which it is another one."""

    key: Key
    columns: tuple[str, ...]


@dataclass(frozen=True)
class RowChanges:
    """What became of the rows of one table in another.

    Attributes
    ----------
    added, gone, changed : int
        Rows that only the other has, that only the one has, and that are not equal in both.
    columns : mapping of str to int
        Changed rows by column, of columns in which there are any.
    only_in_one : tuple of str
        Columns that are not in both, or not of one type; no row is compared by them.
    first_added, first_gone : tuple of mapping of str to str
        The keys of the first `SHOWN`, by the keys' order.
    first_changed : tuple of ChangedRow
    """

    added: int
    gone: int
    changed: int
    columns: Mapping[str, int]
    only_in_one: tuple[str, ...]
    first_added: tuple[Key, ...]
    first_gone: tuple[Key, ...]
    first_changed: tuple[ChangedRow, ...]

    def __bool__(self) -> bool:
        """Say whether anything differs."""
        return bool(self.added or self.gone or self.changed or self.only_in_one)

    def __str__(self) -> str:
        """Return the counts as words."""
        by_column = ", ".join(f"{name} of {count}" for name, count in self.columns.items())
        told = f"{self.added} rows added, {self.gone} gone, {self.changed} changed"
        told += f" ({by_column})" if by_column else ""
        return told + (f"; not in both: {', '.join(self.only_in_one)}" if self.only_in_one else "")

    def first_rows(self) -> list[str]:
        """Return a line for each row that is named."""
        return [
            *(f"added    {_told(key)}" for key in self.first_added),
            *(f"gone     {_told(key)}" for key in self.first_gone),
            *(f"changed  {_told(row.key)}: {', '.join(row.columns)}" for row in self.first_changed),
        ]


def compare_rows(one: pa.Table, other: pa.Table, *, keys: Sequence[str]) -> RowChanges:
    """Return what became of the rows of `one` in `other`.

    Parameters
    ----------
    one, other : pyarrow.Table
        `keys`, unique in each, and further columns. Nulls are equal to one another, as are NaN.
    keys : sequence of str
    """
    names = [name for name in one.column_names if name in other.column_names and name not in keys]
    shared = [name for name in names if one.schema.field(name).type == other.schema.field(name).type]
    added, gone = _only_in(other, one, keys), _only_in(one, other, keys)
    both = _in_both(one.select([*keys, *shared]), other.select([*keys, *shared]), keys)
    differs = {name: _differs(both[name], both[_OTHER + name]) for name in shared}
    is_changed = reduce(pc.or_, differs.values(), pa.array([False] * both.num_rows, pa.bool_()))
    return RowChanges(
        added=added.num_rows,
        gone=gone.num_rows,
        changed=_count(is_changed),
        columns={name: count for name, flags in differs.items() if (count := _count(flags))},
        only_in_one=tuple(sorted({*one.column_names, *other.column_names} - {*shared, *keys})),
        first_added=tuple(_keys(added, keys)),
        first_gone=tuple(_keys(gone, keys)),
        first_changed=tuple(_first_changed(both, differs, is_changed, keys)),
    )


def _in_both(one: pa.Table, other: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Return the rows that both have, by their keys, with the columns of `other` beside those of `one`."""
    renamed = other.rename_columns([name if name in keys else _OTHER + name for name in other.column_names])
    return _by_key(one.join(renamed, keys=list(keys), join_type="inner"), keys)


def _first_changed(
    both: pa.Table, differs: Mapping[str, pa.Array], is_changed: pa.Array, keys: Sequence[str]
) -> Iterator[ChangedRow]:
    rows = pc.indices_nonzero(is_changed).to_pylist()[:SHOWN]
    for row, key in zip(rows, _keys(both.filter(is_changed), keys), strict=True):
        yield ChangedRow(key, tuple(name for name, flags in differs.items() if flags[row].as_py()))


def _only_in(one: pa.Table, other: pa.Table, keys: Sequence[str]) -> pa.Table:
    return _by_key(one.select(list(keys)).join(other.select(list(keys)), keys=list(keys), join_type="left anti"), keys)


def _by_key(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    return rows.sort_by([(name, "ascending") for name in keys])


def _differs(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.Array:
    """Say of each place whether its values differ."""
    equal = pc.fill_null(pc.equal(one, other), False)
    neither = pc.and_(pc.is_null(one, nan_is_null=True), pc.is_null(other, nan_is_null=True))
    return pc.invert(pc.or_(equal, neither)).combine_chunks()


def _count(flags: pa.Array) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _keys(rows: pa.Table, keys: Sequence[str]) -> list[Key]:
    first = rows.select(list(keys)).slice(0, SHOWN).to_pylist()
    return [{name: str(value) for name, value in row.items()} for row in first]


def _told(key: Key) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())
