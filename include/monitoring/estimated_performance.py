"""What scores are worth before anybody knows what happened, as far as scores and features can tell.

What belongs here: the AUC that is expected of scores whose labels are not known, how sure that is, and how often such
estimates held. What does not: the AUC of known labels (``training.outcome_metrics``), and reading rows.

It can't see concept drift: that the same features now mean another chance is exactly what labels alone show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.errors import RefusedError
from include.monitoring.likeness import ROWS_MIN, draw_entities, find_likeness

# The check of a night that is one.
ESTIMATED = "estimated_auc"
CAVEAT = (
    "an estimate: it can't see concept drift, as it takes the same score and features to mean the same chance as in "
    "the reference"
)
# Fewer rows of a class, or entities, of the reference tell nothing.
OF_A_CLASS_MIN = 20
# More rows make the estimate no surer that anybody would notice; these are drawn of them.
ROWS_MAX = 20_000
_LEVEL = 0.95
_EPSILON = 1e-6
_WINDOWS_MAX = 10
# Of a curve of third degree.
_TERMS = 4
_OF_THE_HESSIAN = np.add.outer(np.arange(_TERMS), np.arange(_TERMS))

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredRows:
    """Rows that a model scored.

    Attributes
    ----------
    scores : ndarray of shape (n_rows,), float64
        No NaN.
    features : ndarray of shape (n_rows, n_features), float64
        What the correction for covariate shift looks at; NaN is missing, and there may be no column.
    labels : ndarray of shape (n_rows,), float64, or None
        0 or 1; None where they are not known.
    entities : ndarray of shape (n_rows,), int64, or None
        The number of each row's entity, whose rows are drawn together; None where each row is its own.
    """

    scores: _Floats
    features: _Floats
    labels: _Floats | None = None
    entities: NDArray[np.int64] | None = None

    @property
    def owners(self) -> NDArray[np.int64]:
        """The number of each row's entity, its own place where it is its own; of shape (n_rows,)."""
        return np.arange(len(self.scores)) if self.entities is None else self.entities

    def take(self, rows: NDArray[np.int64]) -> ScoredRows:
        """Return some rows."""
        return ScoredRows(
            self.scores[rows],
            self.features[rows],
            None if self.labels is None else self.labels[rows],
            None if self.entities is None else self.entities[rows],
        )


@dataclass(frozen=True)
class EstimatedAuc:
    """The AUC that is expected of scores.

    Attributes
    ----------
    value : float
    low, high : float
        Ends of the interval that holds the AUC of the labels that will come, 95 times of 100.
    is_corrected : bool
        For covariate shift: there are features, and enough rows of the reference are like the current ones.
    uncorrected : float
        By confidence alone.
    """

    value: float
    low: float
    high: float
    is_corrected: bool
    uncorrected: float


@dataclass(frozen=True)
class BackTest:
    """How estimates held on windows of the reference, each estimated from the others: of so many, so many."""

    windows: int
    within: int


def expected_auc(scores: _Floats, chances: _Floats, weights: _Floats | None = None) -> float:
    """Return the AUC that is expected where each row is positive by a chance of its own; NaN without both classes.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,), float64
    chances : ndarray of shape (n_rows,), float64
        In [0, 1]; known labels are chances of 0 and 1.
    weights : ndarray of shape (n_rows,), float64, optional
        How many each row stands for. Default: one.

    Notes
    -----
    The share of pairs, each weighted by the chance that the one is positive and the other negative, in which the
    positive one stands above; a tie counts one half. Labels make it the AUC of Hanley and McNeil.

    Examples
    --------
    >>> expected_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    return _Ranking(scores).auc(chances, weights) if len(scores) else float("nan")


def estimate_auc(reference: ScoredRows, current: ScoredRows, *, samples: int = 200, seed: int = 0) -> EstimatedAuc:
    """Estimate the AUC of scores whose labels are not known.

    Parameters
    ----------
    reference : ScoredRows
        With labels.
    current : ScoredRows
        With the same features; its labels are not looked at.
    samples, seed : int
        Of the interval.

    Raises
    ------
    RefusedError
        If there are fewer than `ROWS_MIN` rows on a side, or `OF_A_CLASS_MIN` entities, or rows of a class, of the
        reference.

    Notes
    -----
    Confidence-based estimation (CBPE): what a score means is learned from the reference (a logistic curve of third
    degree in the score's log-odds), and the AUC is that of pairs weighted by those chances. Corrected for covariate
    shift in the manner of PAPE: rows of the reference count by how much likelier such features are among the current
    ones, which a classifier of the two tells, out of fold. For the interval entities of the reference are drawn with
    replacement, and labels by the chances that these give, those of one entity by one draw: how alike they are nobody
    knows yet. It is the wider on each side of the two ways.

    References
    ----------
    J. Białek, J. Kivimäki, W. Kuberski, N. Perrakis, Confidence-based Performance Estimators on Model Monitoring
    (arXiv 2407.08649); J. Białek, W. Kuberski, N. Perrakis, A. Bifet, Estimating Model Performance Under Covariate
    Shift Without Labels (PAPE, arXiv 2401.08348).
    """
    labels = _require(reference, current)
    rng = np.random.default_rng(seed)
    reference, current = _some(reference, rng), _some(current, rng)
    labels = labels if reference.labels is None else reference.labels
    log_odds, ranking = _Scale(reference.scores), _Ranking(current.scores)
    before, now = _powers(log_odds(reference.scores)), _powers(log_odds(current.scores))
    weights = find_likeness(reference.features, current.features, rng)
    ones, whose = np.ones(len(labels)), np.unique(current.owners, return_inverse=True)[1]
    ways = [ones] if weights is None else [ones, weights]
    curves = [_curve(before, labels, each) for each in ways]
    values = [ranking.auc(_chances(now, curve)) for curve in curves]
    ends = []
    for each, curve in zip(ways, curves, strict=True):
        drawn = [
            _drawn_auc(ranking, _chances(now, _curve(before, labels, each * times, curve)), whose, rng)
            for times in draw_entities(reference.owners, samples, rng)
        ]
        finite = np.array(drawn)[np.isfinite(drawn)]
        ends.append(np.quantile(finite, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]) if len(finite) else (0.0, 1.0))
    return EstimatedAuc(
        value=values[-1],
        low=float(min(low for low, _ in ends)),
        high=float(max(high for _, high in ends)),
        is_corrected=weights is not None,
        uncorrected=values[0],
    )


def back_test(reference: ScoredRows, *, samples: int = 100, seed: int = 0) -> BackTest:
    """Estimate windows of the reference from the rest of it, and count how often what came true was in the interval.

    Parameters
    ----------
    reference : ScoredRows
        With labels, in the order of time. Of at most ten windows, each of `ROWS_MIN` rows at least; one with labels of
        one class only is not counted.
    """
    if reference.labels is None:
        raise RefusedError("a back-test takes labels of the reference; there are none")
    count = min(_WINDOWS_MAX, len(reference.scores) // (2 * ROWS_MIN))
    every = np.arange(len(reference.scores))
    windows = within = 0
    for window in np.array_split(every, count) if count > 1 else ():
        own, others = reference.take(window), reference.take(np.setdiff1d(every, window))
        try:
            estimated = estimate_auc(others, own, samples=samples, seed=seed)
        except RefusedError:
            continue
        realised = expected_auc(own.scores, np.asarray(own.labels))
        if np.isfinite(realised):
            windows, within = windows + 1, within + (estimated.low <= realised <= estimated.high)
    return BackTest(windows, within)


def _require(reference: ScoredRows, current: ScoredRows) -> _Floats:
    if reference.labels is None:
        raise RefusedError("nothing can be estimated from a reference without labels")
    for name, rows in (("reference", len(reference.scores)), ("current", len(current.scores))):
        if rows < ROWS_MIN:
            raise RefusedError(f"the {name} rows are {rows}; from fewer than {ROWS_MIN} nothing is estimated")
    entities = len(np.unique(reference.owners))
    if entities < OF_A_CLASS_MIN:
        raise RefusedError(
            f"the reference has rows of {entities} entities; from fewer than {OF_A_CLASS_MIN} nothing is estimated"
        )
    positives = int(reference.labels.sum())
    if min(positives, len(reference.labels) - positives) < OF_A_CLASS_MIN:
        raise RefusedError(
            f"of {len(reference.labels)} rows of the reference {positives} are positive; from fewer than "
            f"{OF_A_CLASS_MIN} of a class nothing is estimated"
        )
    return reference.labels


def _some(rows: ScoredRows, rng: np.random.Generator) -> ScoredRows:
    if len(rows.scores) <= ROWS_MAX:
        return rows
    return rows.take(np.sort(rng.choice(len(rows.scores), ROWS_MAX, replace=False)))


class _Ranking:
    """The order of scores, found once for all chances that they may mean."""

    def __init__(self, scores: _Floats) -> None:
        self._order = np.argsort(scores, kind="stable")
        ranked = scores[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))

    def auc(self, chances: _Floats, weights: _Floats | None = None) -> float:
        chance, counts = chances[self._order], 1.0 if weights is None else weights[self._order]
        positive, negative = (np.add.reduceat(counts * each, self._starts) for each in (chance, 1 - chance))
        pairs = positive.sum() * negative.sum()
        if pairs <= 0:
            return float("nan")
        below = np.cumsum(negative) - negative
        return float(np.sum(positive * (below + negative / 2)) / pairs)


class _Scale:
    """The log-odds of a score, or a score of another scale as it is, standardised by the reference."""

    def __init__(self, scores: _Floats) -> None:
        self._is_chance = bool(scores.min() >= 0 and scores.max() <= 1)
        raw = self._raw(scores)
        self._middle, self._spread = float(raw.mean()), float(raw.std()) or 1.0

    def __call__(self, scores: _Floats) -> _Floats:
        # Beyond what the reference has shown the curve of third degree would turn.
        return np.clip((self._raw(scores) - self._middle) / self._spread, -3.0, 3.0)

    def _raw(self, scores: _Floats) -> _Floats:
        if not self._is_chance:
            return scores
        inside = np.clip(scores, _EPSILON, 1 - _EPSILON)
        return np.asarray(np.log(inside / (1 - inside)))


def _powers(log_odds: _Floats) -> _Floats:
    """Return what the curve is made of, a row a power, and behind it what its Hessian is."""
    return np.ascontiguousarray(np.vander(log_odds, 2 * _TERMS - 1, increasing=True).T)


def _curve(before: _Floats, labels: _Floats, weights: _Floats, start: _Floats | None = None) -> _Floats:
    """Return the weighted logistic curve of third degree that says which chance a score means."""
    beta = np.zeros(_TERMS) if start is None else start
    # A little ridge: labels that a score tells apart wholly would have no end.
    ridge = np.array([1e-6, 1e-2, 1e-1, 1e-1])
    for _ in range(25):
        chance = _chances(before, beta)
        slope = before[:_TERMS] @ (weights * (labels - chance)) - ridge * beta
        # The powers of an entry of the Hessian add up to those of its row and its column.
        moments = before @ (weights * chance * (1 - chance))
        step = np.linalg.solve(moments[_OF_THE_HESSIAN] + np.diag(ridge), slope)
        beta = beta + np.clip(step, -5, 5)
        # Newton's next step is about the square of this one.
        if np.abs(step).max() < 1e-4:
            break
    return beta


def _chances(now: _Floats, curve: _Floats) -> _Floats:
    return _logistic(curve @ now[:_TERMS])


def _logistic(log_odds: _Floats) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def _drawn_auc(ranking: _Ranking, chances: _Floats, whose: NDArray[np.int64], rng: np.random.Generator) -> float:
    return ranking.auc((rng.random(int(whose.max()) + 1)[whose] < chances).astype(np.float64))
