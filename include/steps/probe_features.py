"""Try a group's bounds on the extremest rows that the rules of its sources take.

What belongs here: drawing rows, asking the rules and the statement, and the fewest rows that break a bound. What does
not: the rows (`include.quality.extremes`), and the gate, which judges what was delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import numpy as np
import pyarrow as pa

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.errors import MlopsError, UncomputableError, one_line
from include.features.checks import PARTITION, Violation
from include.partitions import key_of, shift
from include.quality.extremes import ROWS_OF_A_TRY, try_of
from include.specs.groups import FeatureGroupSpec
from include.specs.source_rules import RECEIVED_AT
from include.specs.sources import load_source
from include.steps.draw_source import draw_source
from include.steps.narrow_down import Place, Rows

# Each of a few rows, of which half or so are taken by the rules. The statement runs once on all of them.
_TRIES = 30_000


@dataclass(frozen=True)
class BrokenBound:
    """A promise of a group that rows break which its sources take.

    Attributes
    ----------
    group, said : str
        The group; what breaks, and what is allowed.
    rows : tuple of tuple of str and mapping
        The fewest rows that were found to do it, each beside its source.
    """

    group: str
    said: str
    rows: tuple[tuple[str, Mapping[str, object]], ...]

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.group}.yaml: {self.said}; correct the statement or the YAML"
        rows = "; ".join(
            f"{source}.yaml takes " + ", ".join(f"{name}={value}" for name, value in row.items())
            for source, row in self.rows
        )
        return (
            f"{self.group}.yaml: {self.said}: {rows}. Such rows stop the group on every day that reads them: refuse "
            "them by a rule of the source (min, max, within, not_null, not_before), or change bound or statement"
        )


def probe_features(
    spec: FeatureGroupSpec, compute: DuckDbCompute, *, as_of: datetime, seed: int = 0
) -> list[BrokenBound]:
    """Try a group on rows at the edges of what its sources take.

    What is found is so: the rules take the rows, and the statement makes of them what the group does not allow. That
    nothing is found proves nothing: up to three rows of an entity are tried, and a sum over many has no bound.

    Parameters
    ----------
    spec : FeatureGroupSpec
        A group of scores reads no source, and has nothing to be tried.
    compute : DuckDbCompute
    as_of : datetime
        Aware; rows are of the days before it.

    Returns
    -------
    list of BrokenBound
        One for each column; one alone where the statement fails.
    """
    if spec.scored_by:
        return []
    until = datetime.combine(as_of.date(), time(), UTC)
    day = key_of((until - timedelta(days=1)).date())
    rng = np.random.default_rng(seed)
    drawn = {name: draw_source(load_source(name), compute, rng, tries=_TRIES, until=until) for name in spec.sources}
    tables = {name: taken.drop_columns(["_try"]) for name, taken in drawn.items()}
    rows = Rows(spec, compute, tables, start=shift(day, -1), end=day)
    tries = {name: taken["_try"].to_pylist() for name, taken in drawn.items()}
    try:
        broken = rows.broken(rows.places)
    except UncomputableError:
        few = rows.uncomputable(rows.places)
        return list(_found(rows, f"the statement has no value ({rows.error_of(few)})", few))
    except MlopsError as err:
        return [BrokenBound(spec.group, one_line(err), ())]
    return [found for violation in broken for found in _narrowed(rows, violation, tries)]


def try_statement(spec: FeatureGroupSpec, compute: DuckDbCompute, *, day: str) -> list[BrokenBound]:
    """Run a group's statement on sources without a row, and return what of it is not what the group declares.

    Parameters
    ----------
    spec : FeatureGroupSpec
        A group of scores has no statement.
    compute : DuckDbCompute
    day : str
        The partition that it is run for.
    """
    if spec.scored_by:
        return []
    nothing = {name: load_source(name).raw.arrow_schema().empty_table() for name in spec.sources}
    try:
        broken = Rows(spec, compute, nothing, start=day, end=day).broken([])
    except MlopsError as err:
        return [BrokenBound(spec.group, one_line(err), ())]
    return [BrokenBound(spec.group, _said(violation), ()) for violation in broken]


def _narrowed(rows: Rows, violation: Violation, tries: Mapping[str, Sequence[str]]) -> Iterator[BrokenBound]:
    if not violation.rows:
        yield BrokenBound(rows.spec.group, _said(violation), ())
        return
    named = {try_of(key) for offender in violation.offenders[:1] for key in offender.entity.values()} - {None}
    # An entity that no try has alone is one of the rows of all of them.
    own = [(name, n) for name, n in rows.places if not named or tries[name][n] in named]
    few = rows.breaking(violation.column, violation.allowed, own)
    yield from _found(rows, _said(rows.violation_of(violation.column, violation.allowed, few) or violation), few)


def _said(violation: Violation) -> str:
    return f"{violation.column} is {violation.found}, allowed: {violation.allowed}"


def _found(rows: Rows, said: str, few: Sequence[Place]) -> Iterator[BrokenBound]:
    # More rows than a try has are of many tries, in an entity that they have in common.
    if 0 < len(few) <= ROWS_OF_A_TRY:
        shown = tuple((name, _shown(rows.tables[name].slice(n, 1))) for name, n in few)
        yield BrokenBound(rows.spec.group, said, shown)


def _shown(row: pa.Table) -> dict[str, object]:
    """Return what a row says, its identifiers without the try that they are of."""
    [values] = row.to_pylist()
    shown = {name: value for name, value in values.items() if value is not None and not name.startswith("_")}
    return {
        name: str(value).partition(":")[2] if isinstance(value, str) and try_of(value) is not None else value
        for name, value in shown.items()
        if name not in (PARTITION, RECEIVED_AT)
    }
