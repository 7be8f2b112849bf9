"""Is a computed feature table one of its group at all? Columns, types, keys.

What belongs here: the schema of a group's table, and what has to hold before a value is looked at. What does
not: bounds, nulls, volume and freshness, which are the quality gate's, and drift, which is monitoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from include.specs.groups import FeatureGroupSpec
from include.tables import Word

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"
PARTITION = "dt"

_IN_SQL: dict[Word, str] = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "bool": "BOOLEAN",
    "date": "DATE",
    "instant": "TIMESTAMPTZ",
}

# How many entities are named where a promise is broken, and in how many rows they are looked for.
_NAMED, _LOOKED_AT = 3, 1000


@dataclass(frozen=True)
class Offender:
    """A row that breaks a promise.

    Attributes
    ----------
    column : str
        Where.
    partition : str
        Its day.
    entity : mapping of str to object
        Whose row it is: the entity's keys.
    value : float or None
        What is there; None where it is not one value that is wrong.
    """

    column: str
    partition: str
    entity: Mapping[str, object]
    value: float | None = None

    def __str__(self) -> str:
        keys = ", ".join(f"{name}={key}" for name, key in self.entity.items())
        value = "" if self.value is None else f": {self.value:.6g}"
        return f"{keys} of {self.partition}{value}"


@dataclass(frozen=True)
class Violation:
    """One promise that was broken.

    Attributes
    ----------
    column : str
        Where.
    rows : int
        How many rows break it; 0 when it is the column itself.
    found, allowed : str
        What there is, and what the spec allows.
    partitions : tuple of str
        Those of these rows; empty where it is the column itself, which is wrong in all.
    offenders : tuple of Offender
        Some of these rows, of the first days.
    """

    column: str
    rows: int
    found: str
    allowed: str
    partitions: tuple[str, ...] = ()
    offenders: tuple[Offender, ...] = ()

    def __str__(self) -> str:
        return f"{self.column}: {self.observed}, allowed: {self.allowed}"

    @property
    def observed(self) -> str:
        """What there is, and in how many rows."""
        return f"{self.found} in {self.rows} rows" if self.rows else self.found


def expected_schema(spec: FeatureGroupSpec) -> pa.Schema:
    """Return the Arrow schema of a feature group's table: keys, two times, the features, ``dt``."""
    return spec.lake_table.arrow_schema()


def told_columns(spec: FeatureGroupSpec) -> str:
    """Return what a group's statement has to give, in its order, in the words of SQL."""
    return ", ".join(f"{name} {_IN_SQL[word]}" for name, word in spec.lake_table.schema.items())


def find_violations(rows: pa.Table, spec: FeatureGroupSpec) -> tuple[Violation, ...]:
    """Hold feature rows to the schema of their group and to its keys.

    Parameters
    ----------
    rows : pyarrow.Table
        What a group's SQL returned; may be empty.
    spec : FeatureGroupSpec
        What was promised.

    Returns
    -------
    tuple of Violation
        Empty when every promise is kept. When the schema is wrong, rows are not looked at. A key or time that
        is null is a violation, as is a row whose keys and times another one has.
    """
    if wrong := _schema_violations(rows.schema, expected_schema(spec)):
        return wrong
    never_null = (*spec.entity.keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP, PARTITION)
    found = [_null_violation(rows, name, spec.entity.keys) for name in never_null]
    found.append(_duplicate_violation(rows, spec.entity.keys))
    return tuple(violation for violation in found if violation is not None)


def other_types(stored: pa.Schema, spec: FeatureGroupSpec) -> tuple[str, ...]:
    """Say of each column of a published table that its group has in another type by now; nothing of other columns."""
    expected = expected_schema(spec)
    both = [name for name in expected.names if name in stored.names]
    return tuple(
        f"{name} is {stored.field(name).type} there, and {expected.field(name).type} by {spec.group}.yaml"
        for name in both
        if stored.field(name).type != expected.field(name).type
    )


def _schema_violations(found: pa.Schema, expected: pa.Schema) -> tuple[Violation, ...]:
    if found.names != expected.names and sorted(found.names) == sorted(expected.names):
        return (Violation("columns", 0, f"order {', '.join(found.names)}", ", ".join(expected.names)),)
    wrong = []
    for name in dict.fromkeys([*expected.names, *found.names]):
        have = str(found.field(name).type) if name in found.names else "no such column"
        want = str(expected.field(name).type) if name in expected.names else "no such column"
        if have != want:
            wrong.append(Violation(name, 0, have, want))
    return tuple(wrong)


def _null_violation(rows: pa.Table, name: str, entity_keys: tuple[str, ...]) -> Violation | None:
    if not rows[name].null_count:
        return None
    nulls = rows.filter(pc.is_null(rows[name]))
    return violation_of(nulls, name, "null", "no nulls", entity_keys)


def _duplicate_violation(rows: pa.Table, entity_keys: tuple[str, ...]) -> Violation | None:
    keys = [*entity_keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP]
    if not (duplicates := rows.num_rows - rows.select(keys).group_by(keys).aggregate([]).num_rows):
        return None
    grouped = rows.group_by(keys).aggregate([([], "count_all"), (PARTITION, "min")])
    shared = grouped.filter(pc.greater(grouped["count_all"], 1)).rename_columns({f"{PARTITION}_min": PARTITION})
    violation = violation_of(shared, ", ".join(keys), "repeated key", "one row per key", entity_keys)
    return replace(violation, rows=duplicates)


def violation_of(wrong: pa.Table, column: str, found: str, allowed: str, entity_keys: tuple[str, ...]) -> Violation:
    """Return what rows that break a promise of a column amount to."""
    offenders = find_offenders(wrong, column, entity_keys)
    return Violation(column, wrong.num_rows, found, allowed, partitions_of(wrong), offenders)


def find_offenders(
    wrong: pa.Table, column: str, entity_keys: Sequence[str], *, value: str | None = None
) -> tuple[Offender, ...]:
    """Return whom rows that break a promise are of, each on its first day: the three whose day is earliest."""
    found: dict[tuple[object, ...], Offender] = {}
    dated = wrong.filter(pc.is_valid(wrong[PARTITION]))
    for row in dated.sort_by(PARTITION).slice(0, _LOOKED_AT).to_pylist():
        entity = {name: row[name] for name in entity_keys}
        said = None if value is None else row[value]
        found.setdefault(tuple(entity.values()), Offender(column, str(row[PARTITION]), entity, said))
    return first_offenders(found.values())


def first_offenders(offenders: Iterable[Offender]) -> tuple[Offender, ...]:
    """Return the three whose day is earliest, each entity once."""
    found: dict[tuple[object, ...], Offender] = {}
    for offender in sorted(offenders, key=lambda each: each.partition):
        found.setdefault(tuple(offender.entity.values()), offender)
    return tuple(found.values())[:_NAMED]


def partitions_of(rows: pa.Table) -> tuple[str, ...]:
    """Return the partitions that rows are of, in order; a row whose day is null is of none."""
    return tuple(sorted(str(day) for day in pc.unique(rows[PARTITION]).to_pylist() if day is not None))
