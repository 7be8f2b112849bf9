"""Draw how a model did, as PNG.

What belongs here: five figures. What does not: the metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.training.evaluation import Evaluation

_CALIBRATION_BINS = 10


def draw_plots(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    evaluation: Evaluation,
    importance: Mapping[str, float],
) -> dict[str, bytes]:
    """Draw ROC and precision-recall curve, calibration, confusion matrix and importance.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1, both present.
    scores : ndarray of shape (n_rows,), float32
    evaluation : Evaluation
        Of these rows.
    importance : mapping of str to float
        Each feature's share.

    Returns
    -------
    dict of str to bytes
        PNG by file name. Equal input gives equal bytes.
    """
    drawn = {
        "roc.png": lambda axes: _roc(axes, labels, scores, evaluation),
        "precision_recall.png": lambda axes: _precision_recall(axes, labels, scores, evaluation),
        "calibration.png": lambda axes: _calibration(axes, labels, scores),
        "confusion.png": lambda axes: _confusion(axes, evaluation),
        "importance.png": lambda axes: _importance(axes, importance),
    }
    return {name: _png(draw) for name, draw in drawn.items()}


def _png(draw: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    file = BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _roc(axes: Any, labels: NDArray[np.int8], scores: NDArray[np.float32], evaluation: Evaluation) -> None:
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(labels, scores)
    axes.plot(false_rate, true_rate)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title=f"ROC: AUC {evaluation.auc:.3f} [{evaluation.auc_low:.3f}, {evaluation.auc_high:.3f}]",
    )


def _precision_recall(axes: Any, labels: NDArray[np.int8], scores: NDArray[np.float32], evaluation: Evaluation) -> None:
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


def _confusion(axes: Any, evaluation: Evaluation) -> None:
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


def _importance(axes: Any, importance: Mapping[str, float]) -> None:
    ranked = sorted(importance.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ranked], [share for _, share in ranked])
    axes.set(xlabel="share of total gain", title="Feature importance")
