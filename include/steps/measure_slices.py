"""Measure what predictions were worth by slice: whom a model predicts worse than it promised, and whom it does not.

What belongs here: the slices of what was scored and of what the version was tested on, each judged against the other.
What does not: reading either, and the verdict (``monitoring.performance``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.features.checks import EVENT_TIMESTAMP
from include.monitoring.check import Check
from include.monitoring.performance import Figure, Reference, judge_fall, tell, unjudged
from include.monitoring.placements import place
from include.monitoring.slices import Cells, cut, gather, gathered_as
from include.question.labels import LABEL
from include.scoring.predictions import FEATURE_CREATED
from include.specs.models import ModelSpec, RankingModelSpec
from include.steps.measured_lists import MeasuredLists, measure_rows
from include.steps.read_slices import KNOWN_BY, read_slices
from include.training.auc import placed_interval
from include.training.clusters import number_entities
from include.training.list_metrics import padded_mean

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_LEVEL = 0.95


@dataclass(frozen=True)
class _Units:
    """What a metric is made of: the rows of a classifier, the lists of a ranking.

    Attributes
    ----------
    values : ndarray of shape (n_units,), float64
        The label of a row; the NDCG of a list.
    scores : ndarray of shape (n_units,), float64, or None
        None of lists.
    owners : ndarray of shape (n_units,), int64
    sizes : ndarray of shape (n_units,), int64
        Rows.
    cells : mapping of str to ndarray of shape (n_units,)
        Of each column the slice; a column that differs within a list has none.
    """

    values: NDArray[np.float64]
    scores: NDArray[np.float64] | None
    owners: NDArray[np.int64]
    sizes: NDArray[np.int64]
    cells: Mapping[str, Cells]

    def figure(self, chosen: NDArray[np.bool_], *, level: float) -> Figure:
        values, owners = self.values[chosen], self.owners[chosen]
        if self.scores is not None:
            placed = place(values == 1, self.scores[chosen], owners)
            return Figure(None) if placed is None else Figure(placed.value, *placed_interval(placed, level=level))
        if not len(values):
            return Figure(None)
        whose = np.unique(owners, return_inverse=True)[1]
        totals, counts = (np.bincount(whose, each).astype(np.float64) for each in (values, np.ones(len(values))))
        low, high = padded_mean(totals, counts, level=level)
        mean = float(values.mean())
        return Figure(mean, min(low, mean), max(high, mean))


def measure_slices(
    deployment: Deployment,
    spec: ModelSpec,
    rows: pa.Table,
    tested: pa.Table | None,
    *,
    name: str,
    about: str,
    fall_max: float,
) -> Iterator[Check]:
    """Judge each slice of what a version scored against the same slice of its test.

    Parameters
    ----------
    rows : pyarrow.Table
        As `read_outcomes.read_labelled` returns them.
    tested : pyarrow.Table or None
        As `read_tested` returns them; without them, or where a slice is none of theirs, it is told and not judged.
    name, about : str
        Of the check of all rows.

    Notes
    -----
    Of n slices that are judged each is held against an interval of 1 - 0.05 / n (Bonferroni): that any of them is
    called fallen by chance is no likelier than of all rows together.
    """
    names = [each.column for each in spec.monitoring.slices]
    if not names:
        return
    at = pc.add(rows["dt"].cast(pa.timestamp("us", tz="UTC")), pa.scalar(np.timedelta64(1, "D").astype("m8[us]")))
    rows = rows.append_column(EVENT_TIMESTAMP, at).rename_columns({FEATURE_CREATED: KNOWN_BY})
    now, then = _units(spec, read_slices(deployment, spec, rows, names)), None
    if tested is not None:
        tested = tested.append_column(KNOWN_BY, tested[EVENT_TIMESTAMP])
        then = _units(spec, read_slices(deployment, spec, tested, names))
    for column in (name for name in names if name not in now.cells):
        yield unjudged(f"{name}[{column}]", f"{about}: {column} differs within a list, which is of no slice then")
    slices = _large(now, spec.monitoring.min_rows)
    level = 1 - (1 - _LEVEL) / max(1, len(slices))
    at_level = f" ({level:.1%} intervals, as {len(slices)} slices are judged)" if len(slices) > 1 else ""
    for each, cells in slices.items():
        own, check = cells.are(each), f"{name}[{each}]"
        figure, count = now.figure(own, level=level), int(now.sizes[own].sum())
        if (reference := _reference(then, cells, each, level)) is None:
            yield tell(check, figure, rows=count, about=f"{about}, {each}{at_level}, of whom its test says nothing")
        else:
            yield judge_fall(
                check, figure, reference, rows=count, about=f"{about}, {each}{at_level}", fall_max=fall_max
            )


def _large(now: _Units, rows_min: int) -> dict[str, Cells]:
    """Return the slices that are large enough to be told, by name."""
    found: dict[str, Cells] = {}
    for cells in now.cells.values():
        gathered = gather(cells, now.sizes, rows_min=rows_min)
        large = (name for name in gathered.names if now.sizes[gathered.are(name)].sum() >= rows_min)
        found |= dict.fromkeys(large, gathered)
    return found


def _units(spec: ModelSpec, rows: pa.Table) -> _Units:
    if isinstance(spec, RankingModelSpec):
        return _lists(spec, rows)
    rows = rows.filter(pc.is_valid(rows[LABEL]))
    return _Units(
        rows[LABEL].cast(pa.int8()).to_numpy().astype(np.float64),
        rows["score"].to_numpy().astype(np.float64),
        number_entities(rows[spec.entity.keys[0]].to_pylist()),
        np.ones(rows.num_rows, np.int64),
        cut_rows(spec, rows),
    )


def _lists(spec: RankingModelSpec, rows: pa.Table) -> _Units:
    lists = measure_rows(spec, rows, EVENT_TIMESTAMP)
    found, told = lists.metrics, lists.metrics.measured
    owners = number_entities(lists.owners)[told]
    return _Units(found.ndcg[told], None, owners, found.sizes[told], cut_lists(spec, lists))


def cut_rows(spec: ModelSpec, rows: pa.Table) -> dict[str, Cells]:
    """Return of each column that the spec's slices name which slice each row is of."""
    return {each.column: cut(rows[each.column], each.column, each.ends) for each in spec.monitoring.slices}


def cut_lists(spec: RankingModelSpec, lists: MeasuredLists) -> dict[str, Cells]:
    """Return which slice each list with a metric is of; a column that differs within a list is left out."""
    return {
        column: each.take(lists.first[lists.metrics.measured])
        for column, each in cut_rows(spec, lists.rows).items()
        if (each.of_row[lists.first][lists.of_row] == each.of_row).all()
    }


def _reference(then: _Units | None, cells: Cells, name: str, level: float) -> Reference | None:
    """Return what the version had on the same slice of its test; None where it had none of it, or of one class only."""
    if then is None or cells.column not in then.cells:
        return None
    own = gathered_as(then.cells[cells.column], cells.names).are(name)
    figure = then.figure(own, level=level)
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return Reference(figure.value, figure.low, figure.high, int(then.sizes[own].sum()))
