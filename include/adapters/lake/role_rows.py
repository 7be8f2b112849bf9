"""Rows of some roles in the place of those that a partition has of them, beside those of other roles.

What belongs here: a rewriting of one partition whose rows have a role each, held against what is there a piece at a
time: neither has to fit into memory. What does not: who has which role, and the commit (``delta_lake``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.portions import Rewriting, StoredRows

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

_ROLE = "role"


# A role, and its next rows.
Piece: TypeAlias = tuple[str, pa.Table]


def replace_roles(roles: Sequence[str], schema: pa.Schema, pieces: Callable[[], Iterable[Piece]]) -> Rewriting:
    """Return the rewriting of one partition that gives some roles other rows, and changes nothing where they are equal.

    Parameters
    ----------
    roles : sequence of str
        Those that get what `pieces` has of them, in that order, which may be nothing.
    schema : pyarrow.Schema
        The columns of all pieces, ``role`` among them.
    pieces : callable
        Gives the rows, again from the first on at each call.
    """

    def rewriting(present: Dataset | None) -> Iterator[pa.Table]:
        coming = iter(pieces())
        if present is None:
            yield from _one_at_least(_rows_of(coming), schema)
            return
        there = {role: StoredRows(present, pc.field(_ROLE) == role) for role in roles}
        equal: list[tuple[str, int]] = []
        differing = next((piece for piece in coming if not _goes_on(there, piece, equal)), None)
        if differing is None and not any(rows.take(1).num_rows for rows in there.values()):
            return
        new = coming if differing is None else chain([differing], coming)
        yield from _beside_others(present, roles, schema, chain(_again(present, roles, equal), _rows_of(new)))

    return rewriting


def _beside_others(
    present: Dataset, roles: Sequence[str], schema: pa.Schema, rows: Iterator[pa.Table]
) -> Iterator[pa.Table]:
    """Yield what a partition has of other roles, and these rows, all in the same columns."""
    of_others = ~pc.field(_ROLE).isin(list(roles))
    others = StoredRows(present, of_others).in_pieces()
    columns = _columns(schema, present.schema if present.count_rows(filter=of_others) else schema)
    yield from _one_at_least((in_columns_of(columns, each) for each in chain(others, rows)), columns)


def _rows_of(pieces: Iterable[Piece]) -> Iterator[pa.Table]:
    return (rows for _, rows in pieces)


def in_columns_of(schema: pa.Schema, rows: pa.Table) -> pa.Table:
    """Return rows in these columns; those that they lack are null."""
    has = set(rows.column_names)
    columns = [
        rows[field.name].cast(field.type) if field.name in has else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _goes_on(there: dict[str, StoredRows], piece: Piece, equal: list[tuple[str, int]]) -> bool:
    """Say whether the next rows of a role are those that it has, and note how many."""
    role, rows = piece
    if not _are_equal(there[role].take(rows.num_rows), rows):
        return False
    equal.append((role, rows.num_rows))
    return True


def _are_equal(stored: pa.Table, rows: pa.Table) -> bool:
    if stored.num_rows != rows.num_rows or not set(rows.column_names) <= set(stored.column_names):
        return False
    # Other roles may have brought columns that this one lacks.
    beside = [name for name in stored.column_names if name not in rows.column_names]
    if any(stored[name].null_count < stored.num_rows for name in beside):
        return False
    try:
        return all(stored[name].cast(rows[name].type).equals(rows[name]) for name in rows.column_names)
    except pa.ArrowException:
        # They can't be had in those types: whoever writes them says so.
        return False


def _again(present: Dataset, roles: Sequence[str], equal: Sequence[tuple[str, int]]) -> Iterator[pa.Table]:
    """Yield rows that were found to be equal: a commit replaces the partition as a whole."""
    there = {role: StoredRows(present, pc.field(_ROLE) == role) for role in roles} if equal else {}
    for role, count in equal:
        yield there[role].take(count)


def _columns(schema: pa.Schema, present: pa.Schema) -> pa.Schema:
    return pa.schema([*schema, *(field for field in present if field.name not in schema.names)])


def _one_at_least(pieces: Iterator[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    yield next(pieces, schema.empty_table())
    yield from pieces
