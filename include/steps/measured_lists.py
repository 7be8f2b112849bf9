"""Labelled rows of a ranking as lists, each with what its order was worth.

What belongs here: which lists are whole, their metrics, and what is the same for all of a list. What does not: reading
rows, and what is said of lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.question.labels import LABEL
from include.scoring.lists import number_lists, rank_items
from include.training.list_metrics import ListMetrics, measure_lists

if TYPE_CHECKING:
    from include.specs.models import RankingModelSpec


@dataclass(frozen=True)
class MeasuredLists:
    """Lists of which every label is known.

    Attributes
    ----------
    rows : pyarrow.Table
        Their rows.
    of_row : ndarray of shape (n_rows,), int64
        The number of each row's list.
    first : ndarray of shape (n_lists,), int64
        The place of each list's first row.
    metrics : ListMetrics
    owners : list of str
        The first key of each list's entity.
    """

    rows: pa.Table
    of_row: NDArray[np.int64]
    first: NDArray[np.int64]
    metrics: ListMetrics
    owners: list[str]

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of each list's finite values, of shape (n_lists, n_columns); NaN where it has none."""
        count, is_there = len(self.first), np.isfinite(values)
        columns = zip(np.where(is_there, values, 0.0).T, is_there.T, strict=True)
        means = np.full((count, values.shape[1]), np.nan)
        for place, (known, there) in enumerate(columns):
            counts = np.bincount(self.of_row, there, minlength=count)
            sums = np.bincount(self.of_row, known, minlength=count)
            np.divide(sums, counts, out=means[:, place], where=counts > 0)
        return means


def measure_rows(spec: RankingModelSpec, rows: pa.Table, at: str) -> MeasuredLists:
    """Measure the whole lists among rows.

    Parameters
    ----------
    rows : pyarrow.Table
        The entity keys, ``label`` and ``score``.
    at : str
        The column that says of when a row is.
    """
    rows = whole_lists(spec, rows, at)
    lists = number_lists(rows, [at, *spec.list_keys])
    ranks = rank_items(lists, rows["score"].to_numpy(), rows[spec.item_key])
    found = measure_lists(lists, ranks, rows[LABEL].cast(pa.int8()).to_numpy(), k=spec.ranking.top_k)
    first = np.unique(lists, return_index=True)[1]
    owners = rows[spec.entity.keys[0]].take(pa.array(first)).to_pylist()
    return MeasuredLists(rows, lists, first, found, owners)


def whole_lists(spec: RankingModelSpec, rows: pa.Table, at: str) -> pa.Table:
    """Return the lists of which every label is known: of a part of a list nobody knows how good its order is.

    Parameters
    ----------
    at : str
        As `measure_rows` takes it.
    """
    lists = number_lists(rows, [at, *spec.list_keys])
    unknown = np.bincount(lists, rows[LABEL].is_null().to_numpy(zero_copy_only=False))
    return rows.filter(pa.array(unknown[lists] == 0))
