"""The task of a ranking: which items come first in a list.

What belongs here: its fit, its figures, and what its card tells. What does not: its metrics (``list_metrics``,
``list_evaluation``), and the order of a list (``scoring.lists``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost
from numpy.typing import NDArray

from include.features.checks import EVENT_TIMESTAMP
from include.question.labels import LABEL
from include.scoring.lists import number_lists, rank_items
from include.specs.models import RankingModelSpec
from include.training.auc import check_scored
from include.training.comparison import PairedDifference, compare_means
from include.training.fitting import fit_ranker
from include.training.list_evaluation import RankingEvaluation, evaluate_lists, require_orders
from include.training.list_metrics import ListMetrics, measure_lists
from include.training.task import Judged

_LONGEST_SHOWN = 20


class RankingTask:
    """Learn which items come first."""

    def __init__(self, spec: RankingModelSpec) -> None:
        self._spec = spec

    def fit(
        self, examples: pa.Table, matrix: NDArray[np.float32], *, feature_names: tuple[str, ...]
    ) -> xgboost.Booster:
        """Fit on examples, whose features are the matrix; a list is what one owner had at one time."""
        labels, lists = examples[LABEL].to_numpy(), self._lists(examples)
        return fit_ranker(matrix, labels, lists, feature_names=feature_names, training=self._spec.training)

    def judge(self, examples: pa.Table, scores: NDArray[np.float32]) -> Judged:
        """Measure the lists that scores make against labels."""
        spec, lists, labels = self._spec, self._lists(examples), examples[LABEL].to_numpy()
        ranks = rank_items(lists, scores, examples[spec.item_key])
        evaluation = evaluate_lists(
            measure_lists(lists, ranks, labels, k=spec.ranking.top_k),
            self._owners(examples, lists).tolist(),
            top_k=spec.ranking.top_k,
            bootstrap_samples=spec.training.bootstrap_samples,
            seed=spec.training.seed,
        )
        places = range(1, min(evaluation.largest_list, max(_LONGEST_SHOWN, spec.ranking.top_k)) + 1)
        found = [measure_lists(lists, ranks, labels, k=k) for k in places]
        return Judged(
            evaluation,
            f"order of each {', '.join(spec.list_keys)}'s {spec.item_key} by `{spec.label.kind}` within "
            f"{spec.label.horizon_days} days, read down to place {spec.ranking.top_k}; a margin within a list, no "
            "probability",
            tuple(_told(evaluation)),
            {
                "ndcg.png": lambda axes: _ndcg(axes, places, found, evaluation),
                "hits.png": lambda axes: _hits(axes, places, found, evaluation),
                "places.png": lambda axes: _places(axes, ranks[labels == 1], places, evaluation),
            },
        )

    def compare(
        self, examples: pa.Table, candidate: NDArray[np.float32], champion: NDArray[np.float32]
    ) -> PairedDifference:
        """Hold two versions' NDCG on the same lists against each other."""
        spec, lists = self._spec, self._lists(examples)
        own, other = (self._measure(examples, lists, scores) for scores in (candidate, champion))
        require_orders(own)
        return compare_means(
            f"NDCG@{spec.ranking.top_k}",
            own.ndcg[own.measured],
            other.ndcg[own.measured],
            self._owners(examples, lists)[own.measured].tolist(),
            rows=int(own.sizes[own.measured].sum()),
            samples=spec.training.bootstrap_samples,
            seed=spec.training.seed,
        )

    def _measure(self, examples: pa.Table, lists: NDArray[np.int64], scores: NDArray[np.float32]) -> ListMetrics:
        labels = examples[LABEL].to_numpy()
        check_scored(labels, scores)
        ranks = rank_items(lists, scores, examples[self._spec.item_key])
        return measure_lists(lists, ranks, labels, k=self._spec.ranking.top_k)

    def _owners(self, examples: pa.Table, lists: NDArray[np.int64]) -> NDArray[np.object_]:
        """Return the first key of each list."""
        _, first_rows = np.unique(lists, return_index=True)
        return np.asarray(examples[self._spec.entity.keys[0]].take(pa.array(first_rows)).to_pylist(), dtype=object)

    def _lists(self, examples: pa.Table) -> NDArray[np.int64]:
        return number_lists(examples, [EVENT_TIMESTAMP, *self._spec.list_keys])


def _told(found: RankingEvaluation) -> Iterator[tuple[str, str]]:
    k = found.top_k
    yield f"NDCG@{k}", f"{found.ndcg:.4f}, 95 % interval [{found.ndcg_low:.4f}, {found.ndcg_high:.4f}]"
    yield f"NDCG@{k} of a random order", f"{found.ndcg_random:.4f}"
    yield f"Hit rate@{k}", f"{found.hit_rate:.4f}"
    yield f"Precision@{k}", f"{found.precision:.4f}"
    yield f"Recall@{k}", f"{found.recall:.4f}"
    yield "Mean average precision", f"{found.mean_average_precision:.4f}"
    yield "Lists", f"{found.lists:,}; {found.lists_without_positive:,} more hold no positive item and are left out"
    yield "Items of the longest list", f"{found.largest_list:,}"
    yield "Base rate", f"{found.base_rate:.4f}"


def _ndcg(axes: Any, places: range, found: list[ListMetrics], evaluation: RankingEvaluation) -> None:
    axes.plot(places, [np.nanmean(each.ndcg) for each in found], marker="o")
    axes.plot(places, [np.nanmean(each.random_ndcg) for each in found], linestyle=":", color="grey")
    axes.axvline(evaluation.top_k, linestyle=":", color="grey")
    axes.set(
        xlabel="places that are read",
        ylabel="NDCG",
        ylim=(0, 1.02),
        title=f"NDCG@{evaluation.top_k} {evaluation.ndcg:.3f} [{evaluation.ndcg_low:.3f}, {evaluation.ndcg_high:.3f}]"
        " (dotted: random)",
    )


def _hits(axes: Any, places: range, found: list[ListMetrics], evaluation: RankingEvaluation) -> None:
    for name in ("hit", "recall", "precision"):
        axes.plot(places, [np.nanmean(getattr(each, name)) for each in found], marker="o", label=name)
    axes.axvline(evaluation.top_k, linestyle=":", color="grey")
    axes.legend()
    axes.set(xlabel="places that are read", ylim=(0, 1.02), title="Hit rate, recall and precision")


def _places(axes: Any, ranks: NDArray[np.int32], places: range, evaluation: RankingEvaluation) -> None:
    axes.bar(places, [int(np.sum(ranks == place)) for place in places])
    beyond = int(np.sum(ranks > places.stop - 1))
    axes.axvline(evaluation.top_k + 0.5, linestyle=":", color="grey")
    axes.set(xlabel="place", ylabel="positive items", title=f"Where positive items stand ({beyond:,} beyond)")
