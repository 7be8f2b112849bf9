"""The task of a classifier: who says yes, as a probability.

What belongs here: its fit, its figures, and what its card tells. What does not: its metrics (``evaluation``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import xgboost
from numpy.typing import NDArray

from include.question.labels import LABEL
from include.specs.models import BinaryModelSpec
from include.training.comparison import PairedDifference, compare_aucs
from include.training.evaluation import BinaryEvaluation, evaluate, require_both_classes
from include.training.fitting import fit_classifier
from include.training.task import Judged

_CALIBRATION_BINS = 10


class BinaryTask:
    """Learn who says yes."""

    def __init__(self, spec: BinaryModelSpec) -> None:
        self._spec = spec

    def fit(
        self, examples: pa.Table, matrix: NDArray[np.float32], *, feature_names: tuple[str, ...]
    ) -> xgboost.Booster:
        """Fit on examples, whose features are the matrix."""
        labels = examples[LABEL].to_numpy()
        return fit_classifier(matrix, labels, feature_names=feature_names, training=self._spec.training)

    def judge(self, examples: pa.Table, scores: NDArray[np.float32]) -> Judged:
        """Measure probabilities against labels."""
        spec, labels = self._spec, examples[LABEL].to_numpy()
        evaluation = evaluate(
            labels,
            scores,
            # Rows of one first key depend on one another, whatever their other keys.
            examples[spec.entity.keys[0]].to_pylist(),
            threshold=spec.scoring.decision_threshold,
            bootstrap_samples=spec.training.bootstrap_samples,
            seed=spec.training.seed,
        )
        return Judged(
            evaluation,
            f"probability of `{spec.label.kind}` within {spec.label.horizon_days} days, per {spec.entity.name}",
            tuple(_told(evaluation)),
            {
                "roc.png": lambda axes: _roc(axes, labels, scores, evaluation),
                "precision_recall.png": lambda axes: _precision_recall(axes, labels, scores, evaluation),
                "calibration.png": lambda axes: _calibration(axes, labels, scores),
                "confusion.png": lambda axes: _confusion(axes, evaluation),
            },
        )

    def compare(
        self, examples: pa.Table, candidate: NDArray[np.float32], champion: NDArray[np.float32]
    ) -> PairedDifference:
        """Hold two versions' AUC on the same examples against each other."""
        spec, labels = self._spec, examples[LABEL].to_numpy()
        require_both_classes(labels)
        return compare_aucs(
            labels,
            candidate,
            champion,
            examples[spec.entity.keys[0]].to_pylist(),
            samples=spec.training.bootstrap_samples,
            seed=spec.training.seed,
        )


def _told(found: BinaryEvaluation) -> Iterator[tuple[str, str]]:
    yield "AUC", f"{found.auc:.4f}, 95 % interval [{found.auc_low:.4f}, {found.auc_high:.4f}]"
    yield f"Precision at {found.threshold:g}", _defined(found.precision)
    yield f"Recall at {found.threshold:g}", f"{found.recall:.4f}"
    yield f"F1 at {found.threshold:g}", _defined(found.f1)
    yield "Log loss", f"{found.log_loss:.4f}"
    yield "Brier score", f"{found.brier:.4f}"
    yield "Base rate", f"{found.base_rate:.4f}"


def _defined(value: float | None) -> str:
    return "undefined: nothing was predicted positive" if value is None else f"{value:.4f}"


def _roc(axes: Any, labels: NDArray[np.int8], scores: NDArray[np.float32], evaluation: BinaryEvaluation) -> None:
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(labels, scores)
    axes.plot(false_rate, true_rate)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title=f"ROC: AUC {evaluation.auc:.3f} [{evaluation.auc_low:.3f}, {evaluation.auc_high:.3f}]",
    )


def _precision_recall(
    axes: Any, labels: NDArray[np.int8], scores: NDArray[np.float32], evaluation: BinaryEvaluation
) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.plot(recall, precision)
    axes.axhline(evaluation.base_rate, linestyle=":", color="grey")
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02), title="Precision and recall (dotted: base rate)")


def _calibration(axes: Any, labels: NDArray[np.int8], scores: NDArray[np.float32]) -> None:
    order = np.argsort(scores, kind="stable")
    bins = [part for part in np.array_split(order, _CALIBRATION_BINS) if len(part)]
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot([scores[part].mean() for part in bins], [labels[part].mean() for part in bins], marker="o")
    axes.set(xlabel="mean score", ylabel="share of positives", title="Calibration, ten equal groups")


def _confusion(axes: Any, evaluation: BinaryEvaluation) -> None:
    counts = np.array(
        [
            [evaluation.true_negatives, evaluation.false_positives],
            [evaluation.false_negatives, evaluation.true_positives],
        ]
    )
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    axes.set(
        xticks=[0, 1],
        yticks=[0, 1],
        xlabel="decision",
        ylabel="label",
        title=f"Decisions at threshold {evaluation.threshold:g}",
    )
