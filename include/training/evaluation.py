"""Measure a model on rows that it was not fitted on.

What belongs here: metrics of scores against labels, with their uncertainty. What does not: whether
they are good enough, which a gate says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from include.errors import RefusedError

# The log of 0 would make one sure mistake infinite: float32 scores reach 0 and 1.
_LOG_EPSILON = 1e-7


@dataclass(frozen=True)
class Evaluation:
    """How a model did on a test window.

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


def evaluate(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    entities: Sequence[str],
    *,
    threshold: float,
    bootstrap_samples: int,
    seed: int,
) -> Evaluation:
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
    """
    positives = int(np.count_nonzero(labels))
    if positives in (0, len(labels)):
        raise RefusedError(
            f"the test window has {len(labels)} rows, {positives} of them positive: without both classes nothing can "
            "be measured; raise training.test_days, or train as of a later day"
        )
    low, high = auc_interval(labels, scores, entities, samples=bootstrap_samples, seed=seed)
    decided = scores >= threshold
    tp, fp = int(np.sum(decided & (labels == 1))), int(np.sum(decided & (labels == 0)))
    fn = positives - tp
    clipped = np.clip(scores.astype(np.float64), _LOG_EPSILON, 1 - _LOG_EPSILON)
    return Evaluation(
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


def auc(labels: NDArray[np.int8], scores: NDArray[np.float32]) -> float:
    """Return the probability that a positive row scores above a negative one; a tie counts one half.

    Parameters
    ----------
    labels : ndarray of shape (n_rows,), int8
        0 or 1, both present.
    scores : ndarray of shape (n_rows,), float
        No NaN.

    References
    ----------
    J. A. Hanley, B. J. McNeil, The meaning and use of the area under a ROC curve, Radiology 143 (1982).

    Examples
    --------
    >>> auc(np.array([0, 0, 1, 1], dtype=np.int8), np.array([0.1, 0.4, 0.35, 0.8], dtype=np.float32))
    0.75
    """
    return _RankedRows(labels, scores).auc(np.ones(len(labels)))


def auc_interval(
    labels: NDArray[np.int8],
    scores: NDArray[np.float32],
    entities: Sequence[str],
    *,
    samples: int,
    seed: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of the AUC, by resampling entities.

    Parameters
    ----------
    labels, scores : ndarray of shape (n_rows,)
        As `auc` takes them.
    entities : sequence of str, length n_rows
        Whom each row is about.
    samples : int
        Resamples; those that draw one class only are left out.
    seed : int
        Equal seeds give equal intervals.
    level : float
        Share of resamples inside.

    Notes
    -----
    An entity stands in several snapshots, with nearly the same features and overlapping labels:
    resampling rows would take them for independent and give an interval that is too narrow. So whole
    entities are drawn with replacement, and the percentiles of the resampled AUC are returned.

    References
    ----------
    A. C. Davison, D. V. Hinkley, Bootstrap Methods and their Application, Cambridge 1997, section 3.8;
    C. A. Field, A. H. Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69 (2007).
    """
    ranked = _RankedRows(labels, scores)
    _, entity_of_row = np.unique(np.asarray(entities, dtype=str), return_inverse=True)
    count = int(entity_of_row.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = (np.bincount(rng.integers(0, count, count), minlength=count)[entity_of_row] for _ in range(samples))
    values = np.array([ranked.auc(weights.astype(np.float64)) for weights in drawn])
    values = values[np.isfinite(values)]
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


class _RankedRows:
    """Rows sorted by score once, so that each weighting costs two running sums."""

    def __init__(self, labels: NDArray[np.int8], scores: NDArray[np.float32]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._tie_starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._is_positive = labels[self._order].astype(np.float64)

    def auc(self, weights: NDArray[np.float64]) -> float:
        """Return the AUC with row weights; NaN where one class has no weight."""
        ordered = weights[self._order]
        positive = np.add.reduceat(ordered * self._is_positive, self._tie_starts)
        negative = np.add.reduceat(ordered * (1 - self._is_positive), self._tie_starts)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float(np.sum(positive * (below + negative / 2)) / pairs)
