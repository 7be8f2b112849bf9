"""The report of feature partitions: what is measured of each, and what the gate found.

What belongs here: a partition's profile and the values of a report. What does not: the expectations that
judge them (`include.adapters.expectations.feature_expectations`), and what happens to a partition that fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.features.checks import PARTITION
from include.specs.groups import FeatureGroupSpec

ROWS, VOLUME = "rows", "rows_to_same_weekday"
NULLS, FRESHNESS = "null_fraction.", "source_age_days."

_WEEK = 7
# A ratio is not asked of a group that is still filling up.
_SETTLED_AFTER_DAYS = 28


@dataclass(frozen=True)
class PartitionCounts:
    """How many rows a partition has, and how many nulls each of its features."""

    rows: int
    nulls: Mapping[str, int]


@dataclass(frozen=True)
class PartitionCheck:
    """One promise of a group's YAML, held against the partitions.

    Attributes
    ----------
    check : str
        ``schema``, ``keys``, ``bounds``, ``nulls``, ``volume`` or ``freshness``.
    column : str
        What it is about.
    passed : bool
    failures : int
        Rows (schema, keys, bounds) or partitions (the others) that break it.
    observed, allowed : str
        What there is where it is broken, and what the spec allows.
    partitions : tuple of str
        Those that break it.
    """

    check: str
    column: str
    passed: bool
    failures: int
    observed: str
    allowed: str
    partitions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.check} of {self.column}: {self.observed}, allowed: {self.allowed}"


@dataclass(frozen=True)
class PartitionReport:
    """What the gate found of the partitions `start` to `end`, both included."""

    group: str
    start: str
    end: str
    rows: int
    checks: tuple[PartitionCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every promise is kept."""
        return all(check.passed for check in self.checks)

    @property
    def broken_partitions(self) -> tuple[str, ...]:
        """The partitions that break a promise, in order."""
        return tuple(sorted({key for check in self.failed for key in check.partitions}))

    @property
    def failed(self) -> tuple[PartitionCheck, ...]:
        """The promises that are broken."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps({**asdict(self), "passed": self.passed}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> PartitionReport:
        """Read a report that `to_json` wrote."""
        value = json.loads(text)
        checks = tuple(
            PartitionCheck(**{**check, "partitions": tuple(check.get("partitions", ()))}) for check in value["checks"]
        )
        return cls(value["group"], value["start"], value["end"], value["rows"], checks)


def count_nulls(rows: pa.Table, spec: FeatureGroupSpec) -> dict[str, PartitionCounts]:
    """Count rows, and the nulls of each feature, by partition.

    Parameters
    ----------
    rows : pyarrow.Table
        All rows of one partition or several, in the group's schema; may be empty.
    spec : FeatureGroupSpec
        Its columns.
    """
    names = [column.name for column in spec.columns]
    grouped = rows.select([PARTITION, *names]).group_by(PARTITION)
    counted = grouped.aggregate([([], "count_all"), *((name, "count", pc.CountOptions("only_null")) for name in names)])
    return {
        str(entry[PARTITION]): PartitionCounts(entry["count_all"], {name: entry[f"{name}_count"] for name in names})
        for entry in counted.to_pylist()
    }


def profile_partitions(
    counted: Mapping[str, PartitionCounts],
    keys: Sequence[str],
    spec: FeatureGroupSpec,
    *,
    published: Mapping[str, int],
    source_days: Mapping[str, Sequence[str]],
) -> pa.Table:
    """Measure each partition: rows, rows against the same weekday, age of each source, nulls of each feature.

    Parameters
    ----------
    counted : mapping of str to PartitionCounts
        Of the partitions that have rows.
    keys : sequence of str
        The partitions, in order.
    spec : FeatureGroupSpec
        Its columns and its volume rule.
    published : mapping of str to int
        Rows of earlier partitions, by key; those of `keys` are counted here.
    source_days : mapping of str to sequence of str
        By table that the group reads: its days that hold rows, in order.

    Returns
    -------
    pyarrow.Table
        One row for each of `keys`: ``dt`` (string), ``rows`` (int64), ``rows_to_same_weekday`` (float64; null
        where the partition a week before has fewer rows than ``volume.rows_min``, or the one four weeks before
        does: the group is still filling up), ``source_age_days.<table>`` (float64; null where it has no
        earlier day), and ``null_fraction.<feature>`` (float64, in [0, 1]; null where there are no rows).
    """
    names = [column.name for column in spec.columns]
    nothing = PartitionCounts(0, dict.fromkeys(names, 0))
    counts = {**published, **{key: counted.get(key, nothing).rows for key in keys}}
    measured = [
        {
            PARTITION: key,
            ROWS: counts[key],
            VOLUME: _volume_ratio(key, counts, spec.volume.rows_min),
            **{f"{FRESHNESS}{table}": _source_age(key, days) for table, days in source_days.items()},
            **_null_fractions(counted.get(key, nothing)),
        }
        for key in keys
    ]
    floats = [VOLUME, *(f"{FRESHNESS}{table}" for table in source_days), *(f"{NULLS}{name}" for name in names)]
    schema = [(PARTITION, pa.string()), (ROWS, pa.int64()), *((name, pa.float64()) for name in floats)]
    return pa.Table.from_pylist(measured, schema=pa.schema(schema))


def _null_fractions(counts: PartitionCounts) -> dict[str, float | None]:
    return {f"{NULLS}{name}": found / counts.rows if counts.rows else None for name, found in counts.nulls.items()}


def _volume_ratio(key: str, counts: Mapping[str, int], rows_min: int) -> float | None:
    before, settled = (counts.get(partitions.shift(key, -days), 0) for days in (_WEEK, _SETTLED_AFTER_DAYS))
    return counts[key] / before if min(before, settled) >= rows_min else None


def _source_age(key: str, source_days: Sequence[str]) -> float | None:
    newest = max((day for day in source_days if day <= key), default=None)
    return None if newest is None else (partitions.end_of(key) - partitions.end_of(newest)) / timedelta(days=1)
