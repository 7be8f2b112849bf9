"""Is a computed feature table one of its group at all? Columns, types, keys.

What belongs here: the schema of a group's table, and what has to hold before a value is looked at. What does
not: bounds, nulls, volume and freshness, which are the quality gate's, and drift, which is monitoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from include.specs.groups import FeatureGroupSpec

EVENT_TIMESTAMP = "event_timestamp"
CREATED_TIMESTAMP = "created_timestamp"
PARTITION = "dt"


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
    """

    column: str
    rows: int
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.column}: {self.observed}, allowed: {self.allowed}"

    @property
    def observed(self) -> str:
        """What there is, and in how many rows."""
        return f"{self.found} in {self.rows} rows" if self.rows else self.found


def expected_schema(spec: FeatureGroupSpec) -> pa.Schema:
    """Return the Arrow schema of a feature group's table: keys, two times, the features, ``dt``."""
    return spec.lake_table.arrow_schema()


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
    found = [_null_violation(rows, name) for name in never_null]
    found.append(_duplicate_violation(rows, spec.entity.keys))
    return tuple(violation for violation in found if violation is not None)


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


def _null_violation(rows: pa.Table, name: str) -> Violation | None:
    nulls = rows[name].null_count
    return Violation(name, nulls, "null", "no nulls") if nulls else None


def _duplicate_violation(rows: pa.Table, entity_keys: tuple[str, ...]) -> Violation | None:
    keys = [*entity_keys, EVENT_TIMESTAMP, CREATED_TIMESTAMP]
    duplicates = rows.num_rows - rows.select(keys).group_by(keys).aggregate([]).num_rows
    return Violation(", ".join(keys), duplicates, "repeated key", "one row per key") if duplicates else None
