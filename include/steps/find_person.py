"""Find what names a person: an id, what belongs to it, and the rows of any table that have one of them.

What belongs here: one look at a table, by how its rows name a person. What does not: which tables there are and how
their rows do, which the specs say, and removing rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.quality.formats import columns_named, made_sql, normal_key
from include.specs.sources import SourceSpec, load_sources
from include.tables import Person, Whose

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.lake.delta_lake import LakeAdapter
    from include.tables import TableSpec

# What is done alone, and not while anybody writes rows of people: who has read them before would bring one back.
ERASING = "erasing a person"


@dataclass(frozen=True)
class FoundPerson:
    """A person as the tables know one.

    Attributes
    ----------
    column : str
        The column that names the person.
    person_id : str
    belongings : dict of str to frozenset of str
        What is the person's, by the column that names it.
    fields : dict of str to frozenset of str
        In which a delivered row, in the words of any format, names what stands in a column.
    made : dict of str to tuple of str
        Where a format makes it of several: the statements that say so of delivered rows (`made_sql`).
    """

    column: str
    person_id: str
    belongings: Mapping[str, frozenset[str]]
    fields: Mapping[str, frozenset[str]]
    made: Mapping[str, tuple[str, ...]]

    @property
    def ids(self) -> dict[str, frozenset[str]]:
        """What stands in a column that names the person, or something of the person's."""
        return {self.column: frozenset({self.person_id}), **self.belongings}


def find_person(lake: LakeAdapter, source: SourceSpec, person_id: str) -> FoundPerson:
    """Return a person that a source names, with what the sources say belongs to one.

    Parameters
    ----------
    source : SourceSpec
        One that names people.
    """
    column = source.people.person
    if column is None:
        raise ValueError(f"{source.source} names nobody")
    belongings: dict[str, frozenset[str]] = {}
    fields: dict[str, set[str]] = {}
    made: dict[str, tuple[str, ...]] = {}
    for spec in load_sources():
        if spec.people.person != column:
            continue
        for name in (column, *spec.people.belongs):
            fields.setdefault(name, set()).update(columns_named(spec, name))
            made[name] = made.get(name, ()) + made_sql(spec, name)
        if lake.exists(spec.raw.name):
            rows = lake.dataset(spec.raw.name)
            mine = rows.to_table(columns=list(spec.people.belongs), filter=pc.field(column) == person_id)
            for name in spec.people.belongs:
                belongings[name] = belongings.get(name, frozenset()) | set(mine[name].drop_null().to_pylist())
    known = {name: frozenset(found) for name, found in fields.items()}
    return FoundPerson(column, person_id, belongings, known, made)


def find_rows(person: FoundPerson, rows: Dataset, table: TableSpec) -> list[str]:
    """Return the partition of each row that names the person."""
    whose = table.whose
    if whose.column is None:
        return []
    wanted = None
    if whose.person is not Person.DELIVERED_ROW:
        if not (ids := person.ids.get(whose.column)):
            return []
        wanted = pc.field(whose.column).isin(pa.array(sorted(ids), pa.string()))
    columns = list(dict.fromkeys([table.partition_by, whose.column]))
    found = rows.to_table(columns=columns, filter=wanted)
    return [str(key) for key in found.filter(mark_rows(person, found, whose))[table.partition_by].to_pylist()]


def mark_rows(person: FoundPerson, rows: pa.Table, whose: Whose) -> pa.ChunkedArray:
    """Return for each row whether it names the person; never null."""
    if whose.column is None:
        return pa.chunked_array([pa.repeat(False, rows.num_rows)])
    values = rows[whose.column]
    if whose.person is Person.DELIVERED_ROW:
        made = {name: _made(values, statements) for name, statements in person.made.items()}
        marks = [
            _is_about(row, person, {name: found[place] for name, found in made.items()})
            for place, row in enumerate(values.to_pylist())
        ]
        return pa.chunked_array([marks], pa.bool_())
    ids = sorted(person.ids.get(whose.column, ()))
    marked: pa.ChunkedArray = pc.is_in(values, pa.array(ids, pa.string()))
    return marked


def _made(values: pa.ChunkedArray, statements: Sequence[str]) -> list[frozenset[str]]:
    """Return what each delivered row names in a column by the expressions of formats."""
    if not statements:
        return [frozenset()] * len(values)
    with DuckDbCompute().open_session(purpose="whose the rows are that were set aside") as con:
        con.register("aside", pa.table({"place": pa.array(range(len(values)), pa.int64()), "row": values}))
        told = [[each for (each,) in con.execute(statement).fetchall()] for statement in statements]
    return [frozenset(normal_key(each) for each in row if each is not None) for row in zip(*told, strict=True)]


def _is_about(row: str, person: FoundPerson, made: Mapping[str, frozenset[str]]) -> bool:
    """Say whether a delivered row, kept as JSON in the words of its file, is the person's.

    One that names nobody is whose the thing is that it names.
    """
    values: dict[str, Any] = json.loads(row)
    said = {name: normal_key(str(value)) for name, value in values.items() if value is not None}
    named = {column: {said[name] for name in fields if name in said} for column, fields in person.fields.items()}
    if people := named[person.column] | made[person.column]:
        return person.person_id in people
    return any((named[column] | made[column]) & ids for column, ids in person.belongings.items())
