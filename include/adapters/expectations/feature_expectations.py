"""The quality gate of features: a group's YAML as Great Expectations suites.

What belongs here: turning columns, volume and freshness into expectations, and their results into checks.
What does not: the rules' values, which are the group's YAML, and keeping the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.expectations.expectations import find_outside, run_expectations
from include.features.bounds import bounds_of, interval_of, out_of_bounds
from include.features.checks import PARTITION, Offender, find_offenders, first_offenders, partitions_of
from include.features.partition_report import FRESHNESS, NULLS, VOLUME, PartitionCheck
from include.specs.groups import FeatureGroupSpec

# Rows that are handed over at once: a long backfill is judged piece by piece.
_PIECE = 1_000_000


class BoundsTally:
    """Values out of their columns' bounds, counted a table at a time.

    Parameters
    ----------
    spec : FeatureGroupSpec
        Its columns; those of text have no bounds.
    """

    def __init__(self, spec: FeatureGroupSpec) -> None:
        self._table = spec.table
        self._columns = {column.name: column for column in spec.columns if column.dtype != "string"}
        self._failures: Counter[str] = Counter()
        self._seen: dict[str, list[float]] = {name: [] for name in self._columns}
        self._partitions: dict[str, set[str]] = {name: set() for name in self._columns}
        self._keys = spec.entity.keys
        self.offenders: dict[str, tuple[Offender, ...]] = {}

    def add(self, rows: pa.Table) -> None:
        """Hold every numeric value of rows in the group's schema against its column's bounds.

        There may be no rows. NaN and infinities are out of any bounds, null is in.
        """
        for start in range(0, max(rows.num_rows, 1), _PIECE):
            piece = rows.slice(start, _PIECE)
            if broken := self._broken(piece):
                self._count(piece, broken)

    def _broken(self, rows: pa.Table) -> list[str]:
        """Return the columns whose least or greatest value is out of their bounds."""
        ends = [
            (name, float(end), *bounds_of(column))
            for name, column in self._columns.items()
            for end in pc.min_max(_judged(rows[name])).as_py().values()
            if end is not None
        ]
        places = find_outside(self._table, [values for _, *values in ends])
        return list(dict.fromkeys(ends[place][0] for place in places))

    def _count(self, rows: pa.Table, broken: Sequence[str]) -> None:
        """Hold every value of columns against their bounds."""
        import great_expectations.expectations as gxe
        import pandas as pd

        bounds = {name: bounds_of(self._columns[name]) for name in broken}
        suite = [
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high)
            for name, (low, high) in bounds.items()
        ]
        frame = pd.DataFrame({name: _judged(rows[name]).to_numpy() for name in broken})
        for result in run_expectations(self._table, frame, suite):
            name = result.expectation_config.kwargs["column"]
            self._failures[name] += int(result.result["unexpected_count"])
            self._seen[name] += [float(value) for value in result.result["partial_unexpected_list"]]
            self._note(name, rows.filter(out_of_bounds(rows[name], self._columns[name])))

    def _note(self, name: str, wrong: pa.Table) -> None:
        """Remember the days of rows whose value is out of bounds, and whose the first ones are."""
        self._partitions[name].update(partitions_of(wrong))
        found = find_offenders(wrong, name, self._keys, value=name)
        self.offenders[name] = first_offenders((*self.offenders.get(name, ()), *found))

    def checks(self) -> list[PartitionCheck]:
        """Return what was found: one check for each numeric column, in the spec's order; failures are rows."""
        return [
            PartitionCheck(
                "bounds",
                name,
                passed=not self._failures[name],
                failures=self._failures[name],
                observed=_found(self._failures[name], self._seen[name]),
                allowed=interval_of(column.min, column.max),
                partitions=tuple(sorted(self._partitions[name])),
            )
            for name, column in self._columns.items()
        ]


def judge_profile(profile: pa.Table, spec: FeatureGroupSpec) -> list[PartitionCheck]:
    """Hold the profile of partitions against the spec: nulls of each column, volume, freshness.

    Parameters
    ----------
    profile : pyarrow.Table
        Of `include.features.partition_report.profile_partitions`. A null is not judged.
    spec : FeatureGroupSpec
        Its columns, ``volume`` and ``freshness_days``.

    Returns
    -------
    list of PartitionCheck
        Failures are partitions.
    """
    limits: dict[str, tuple[str, str, float | None, float | None]] = {
        f"{NULLS}{column.name}": ("nulls", column.name, 0.0, column.nulls_max) for column in spec.columns
    }
    limits[VOLUME] = ("volume", "rows, against the same weekday", spec.volume.ratio_min, spec.volume.ratio_max)
    for table in spec.read_tables:
        limits[f"{FRESHNESS}{table}"] = ("freshness", f"the newest day of {table}", 0.0, float(spec.freshness_days))
    judged = {name: limit for name, limit in limits.items() if limit[2:] != (None, None)}
    broken = _broken_partitions(profile, spec.table, {name: limit[2:] for name, limit in judged.items()})
    return [
        PartitionCheck(
            check,
            column,
            passed=not broken[name],
            failures=len(broken[name]),
            observed=_partitions(broken[name]),
            allowed=interval_of(low, high),
            partitions=tuple(sorted(partition for partition, _ in broken[name])),
        )
        for name, (check, column, low, high) in judged.items()
    ]


def _broken_partitions(
    profile: pa.Table, table: str, limits: Mapping[str, tuple[float | None, float | None]]
) -> dict[str, list[tuple[str, float]]]:
    """Return for each measure of a profile the partitions where it is out of its limits, and its value there."""
    days = profile[PARTITION].to_pylist()
    places = [(name, day) for name in limits for day in days]
    values = [(value, *limit) for name, limit in limits.items() for value in profile[name].to_pylist()]
    broken: dict[str, list[tuple[str, float]]] = {name: [] for name in limits}
    for place in find_outside(table, values):
        name, day = places[place]
        broken[name].append((day, values[place][0]))
    return broken


def _judged(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as float64: null stays, which is not judged, and NaN is infinity, which is."""
    values = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(values), np.inf, values)


def _found(failures: int, seen: Iterable[float]) -> str:
    values = sorted(seen)
    return f"values like {values[0]:g} … {values[-1]:g} in {failures} rows" if failures else "every value"


def _partitions(broken: Sequence[tuple[str, float]]) -> str:
    if not broken:
        return "every partition"
    shown = ", ".join(f"{partition} {value:.3g}" for partition, value in broken[:3])
    return f"{shown}{f' and {len(broken) - 3} more' if len(broken) > 3 else ''}"
