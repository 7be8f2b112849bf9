"""Measure a ranking on lists that it was not fitted on.

What belongs here: the metrics of all lists together, with their uncertainty. What does not: those of one list
(``list_metrics``), and whether they are good enough, which a gate says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from include.errors import RefusedError, UsageError
from include.training.list_metrics import ListMetrics, mean_interval


@dataclass(frozen=True)
class RankingEvaluation:
    """How a ranking did on a test window: means over the lists that hold a positive item, each counting once.

    Attributes
    ----------
    ndcg, hit_rate, precision, recall : float
        Of the first `top_k` places; defined by `include.training.list_metrics.ListMetrics`.
    ndcg_low, ndcg_high : float
        The 95 % interval of `ndcg`.
    mean_average_precision : float
        Of whole lists.
    ndcg_random : float
        The NDCG that is expected of a random order of the same lists: what is left to be learnt lies above it.
    top_k : int
    lists : int
        Lists that are measured.
    lists_without_positive : int
        Those that hold no positive item, of which no order is better than another: left out.
    largest_list : int
        Items of the longest list, whether it is measured or not.
    base_rate : float
        Share of positive rows, of all lists.
    rows, entities : int
        Test rows, and how many entities they belong to; of several keys the first is counted.
    """

    ndcg: float
    ndcg_low: float
    ndcg_high: float
    hit_rate: float
    precision: float
    recall: float
    mean_average_precision: float
    ndcg_random: float
    top_k: int
    lists: int
    lists_without_positive: int
    largest_list: int
    base_rate: float
    rows: int
    entities: int

    def numbers(self) -> dict[str, float]:
        """Return every metric that has a value."""
        return {name: float(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        """Return what a line of a log tells."""
        return f"ndcg@{self.top_k}={self.ndcg:.4f} [{self.ndcg_low:.4f}, {self.ndcg_high:.4f}]"


def evaluate_lists(
    found: ListMetrics, owners: Sequence[str], *, top_k: int, bootstrap_samples: int, seed: int
) -> RankingEvaluation:
    """Measure lists together.

    Parameters
    ----------
    found : ListMetrics
        Of every list of the test window.
    owners : sequence of str, length n_lists
        The first of each list's keys, which is the cluster of the interval: lists of one owner depend on one another,
        at another time or by another key too.
    top_k : int
        What the lists were measured at.
    bootstrap_samples, seed : int
        Of the interval.

    Raises
    ------
    RefusedError
        If no list holds an item that is positive and one that is not (also: no lists).
    UsageError
        If the owners aren't one a list.
    """
    if len(owners) != len(found.sizes):
        raise UsageError(f"{len(found.sizes)} lists belong to {len(owners)} owners; name one for each list")
    require_orders(found)
    measured = found.measured
    low, high = mean_interval(
        found.ndcg[measured],
        [owner for owner, is_measured in zip(owners, measured, strict=True) if is_measured],
        samples=bootstrap_samples,
        seed=seed,
    )
    rows = int(found.sizes.sum())
    return RankingEvaluation(
        ndcg=float(found.ndcg[measured].mean()),
        ndcg_low=low,
        ndcg_high=high,
        hit_rate=float(found.hit[measured].mean()),
        precision=float(found.precision[measured].mean()),
        recall=float(found.recall[measured].mean()),
        mean_average_precision=float(found.average_precision[measured].mean()),
        ndcg_random=float(found.random_ndcg[measured].mean()),
        top_k=top_k,
        lists=int(measured.sum()),
        lists_without_positive=int((~measured).sum()),
        largest_list=int(found.sizes.max()),
        base_rate=int(found.positives.sum()) / rows,
        rows=rows,
        entities=len(set(owners)),
    )


def require_orders(found: ListMetrics) -> None:
    """Check that some list can be ordered better or worse.

    Raises
    ------
    RefusedError
        If no list holds an item that is positive and one that is not (also: no lists).
    """
    measured = found.measured
    if not (measured & (found.positives < found.sizes)).any():
        raise RefusedError(
            f"the test window has {len(measured)} lists, {int(measured.sum())} of them with a positive item, and none "
            "that also holds another: no order can be told from a better one; raise training.test_days, widen "
            "population, or train as of a later day"
        )
