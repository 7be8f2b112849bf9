"""Find the fewest rows of a group's sources that break a promise of the group.

What belongs here: running a group's statement on ever fewer rows. What does not: which rows are begun with: those that
were delivered (`trace_rows`), or drawn (`probe_features`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.errors import UncomputableError
from include.features.bounds import find_broken
from include.features.checks import Violation
from include.features.smallest_cause import smallest_cause
from include.features.statements import statement_of
from include.specs.groups import FeatureGroupSpec

if TYPE_CHECKING:
    from include.adapters.compute.duckdb_compute import DuckDbCompute
    from include.adapters.compute.spark_compute import SparkCompute

# How often the statement runs to find those that matter.
_RUNS = 60

# A row: its source, and its place among that source's rows.
Place: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Rows:
    """Rows of a group's sources, and the group's statement to be run on some of them.

    Attributes
    ----------
    spec : FeatureGroupSpec
    compute : DuckDbCompute or SparkCompute
    tables : mapping of str to pyarrow.Table
        By source.
    start, end : str
        The partitions that the statement is run for.
    entity : mapping of str to object
        Whose features are looked at: values of its keys; all entities' by default.
    """

    spec: FeatureGroupSpec
    compute: DuckDbCompute | SparkCompute
    tables: Mapping[str, pa.Table]
    start: str
    end: str
    entity: Mapping[str, object] = field(default_factory=dict)

    @property
    def places(self) -> list[Place]:
        """All of them."""
        return [(name, n) for name, table in self.tables.items() for n in range(table.num_rows)]

    def broken(self, places: Sequence[Place]) -> tuple[Violation, ...]:
        """Return what some of the rows break.

        Raises
        ------
        UncomputableError
            If the statement can't compute with a value of theirs.
        """
        taken = {name: pa.array([n for of, n in places if of == name], pa.int64()) for name in self.tables}
        tables = {name: table.take(taken[name]) for name, table in self.tables.items()}
        rows = self.compute.run_select(
            statement_of(self.spec),
            tables,
            purpose=f"feature group {self.spec.group}",
            parameters={"start_day": self.start, "end_day": self.end},
        )
        for name, value in self.entity.items():
            rows = rows.filter(pc.equal(rows[name], value))
        return find_broken(rows, self.spec)

    def breaking(self, column: str, allowed: str, places: Sequence[Place]) -> list[Place]:
        """Return the fewest of some rows that break a promise of a column; none where all of these don't."""
        return self._fewest(places, lambda some: self.violation_of(column, allowed, some) is not None)

    def uncomputable(self, places: Sequence[Place]) -> list[Place]:
        """Return the fewest of some rows that the statement can't compute with; none where it can with all."""
        return self._fewest(places, lambda some: self.error_of(some) is not None)

    def _fewest(self, places: Sequence[Place], happens: Callable[[Sequence[Place]], bool]) -> list[Place]:
        return smallest_cause(places, happens, tries=_RUNS) if places and happens(places) else []

    def violation_of(self, column: str, allowed: str, places: Sequence[Place]) -> Violation | None:
        """Return how some of the rows break a promise of a column; None where they keep it, or can't be computed."""
        try:
            broken = self.broken(places)
        except UncomputableError:
            return None
        return next((each for each in broken if (each.column, each.allowed) == (column, allowed)), None)

    def error_of(self, places: Sequence[Place]) -> str | None:
        """Return what the statement says of values that it can't compute with; None where it can."""
        try:
            self.broken(places)
        except UncomputableError as err:
            return str(err)
        return None
