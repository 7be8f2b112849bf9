"""Measure a classifier on rows that it was not fitted on.

What belongs here: metrics of probabilities against labels, with their uncertainty. What does not: those of a ranking
(``list_evaluation``), and whether they are good enough, which a gate says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from include.errors import RefusedError
from include.training.auc import auc, auc_interval, check_scored

# The log of 0 would make one sure mistake infinite: float32 scores reach 0 and 1.
_LOG_EPSILON = 1e-7


@dataclass(frozen=True)
class BinaryEvaluation:
    """How a classifier did on a test window.

    Attributes
    ----------
    auc : float
        Area under the ROC curve.
    auc_low, auc_high : float
        Its 95 % interval.
    precision, recall, f1 : float or None
        At `threshold`; None where nothing was predicted positive (precision, F1).
    log_loss, brier : float
        Proper scores of the probabilities; lower is better.
    base_rate : float
        Share of positive rows.
    rows, entities : int
        Test rows, and how many entities they belong to; of several keys the first is counted.
    threshold : float
        A score from here on is a positive decision.
    true_positives, false_positives, false_negatives, true_negatives : int
    """

    auc: float
    auc_low: float
    auc_high: float
    precision: float | None
    recall: float
    f1: float | None
    log_loss: float
    brier: float
    base_rate: float
    rows: int
    entities: int
    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    def numbers(self) -> dict[str, float]:
        """Return every metric that has a value."""
        return {name: float(value) for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """Return what a line of a log tells."""
        return f"auc={self.auc:.4f} [{self.auc_low:.4f}, {self.auc_high:.4f}]"


def evaluate(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    entities: Sequence[str],
    *,
    threshold: float,
    bootstrap_samples: int,
    seed: int,
) -> BinaryEvaluation:
    """Measure scores against labels.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1.
    scores : ndarray of shape (n_rows,), float32
        Probabilities, no NaN.
    entities : sequence of str, length n_rows
        Whom each row is about; of several keys the first, which is the cluster of the interval.
    threshold : float
        A score from here on is a positive decision.
    bootstrap_samples, seed : int
        Of the interval.

    Raises
    ------
    RefusedError
        If the labels hold one class only (also: no rows).
    UsageError
        If a label is neither 0 nor 1, or a score is no number.
    """
    check_scored(labels, scores)
    require_both_classes(labels)
    positives = int(np.count_nonzero(labels))
    low, high = auc_interval(labels, scores, entities, samples=bootstrap_samples, seed=seed)
    decided = scores >= threshold
    tp, fp = int(np.sum(decided & (labels == 1))), int(np.sum(decided & (labels == 0)))
    fn = positives - tp
    clipped = np.clip(scores.astype(np.float64), _LOG_EPSILON, 1 - _LOG_EPSILON)
    return BinaryEvaluation(
        auc=auc(labels, scores),
        auc_low=low,
        auc_high=high,
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / positives,
        f1=2 * tp / (2 * tp + fp + fn) if tp + fp else None,
        log_loss=float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped)))),
        brier=float(np.mean((scores.astype(np.float64) - labels) ** 2)),
        base_rate=positives / len(labels),
        rows=len(labels),
        entities=len(set(entities)),
        threshold=threshold,
        true_positives=tp,
        false_positives=fp,
        false_negatives=fn,
        true_negatives=len(labels) - positives - fp,
    )


def require_both_classes(labels: NDArray[np.int8]) -> None:
    """Check that there are positive and negative rows.

    Raises
    ------
    RefusedError
        If there is one class only (also: no rows).
    """
    positives = int(np.count_nonzero(labels))
    if positives in (0, len(labels)):
        raise RefusedError(
            f"the test window has {len(labels)} rows, {positives} of them positive: without both classes nothing can "
            "be measured; raise training.test_days, or train as of a later day"
        )
