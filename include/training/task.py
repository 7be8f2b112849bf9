"""What a task is to training.

What belongs here: what training asks of a task, and what it gets. What does not: a task (``task_binary``,
``task_ranking``), and what follows from a score in production (``scoring.predictions``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from include.training.comparison import PairedDifference

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import xgboost
    from numpy.typing import NDArray

# Draws on the axes of a figure.
Figure: TypeAlias = Callable[[Any], None]


class Evaluation(Protocol):
    """How a model did on a test window."""

    @property
    def rows(self) -> int:
        """Test rows."""

    @property
    def entities(self) -> int:
        """How many they belong to, by the first of the entity's keys."""

    def numbers(self) -> dict[str, float]:
        """Return every metric that has a value."""

    def __str__(self) -> str:
        """Return what a line of a log tells."""


@dataclass(frozen=True)
class Judged:
    """What was found out about a version's scores.

    Attributes
    ----------
    evaluation : Evaluation
    score : str
        What a score is, for the card.
    metrics : tuple of (str, str)
        Of the card's table.
    figures : mapping of str to callable
        By file name.
    """

    evaluation: Evaluation
    score: str
    metrics: tuple[tuple[str, str], ...]
    figures: Mapping[str, Figure]


class Task(Protocol):
    """How a model is fitted, and what is found out about it."""

    def fit(
        self, examples: pa.Table, matrix: NDArray[np.float32], *, feature_names: tuple[str, ...]
    ) -> xgboost.Booster:
        """Fit on examples, whose features are the matrix."""

    def judge(self, examples: pa.Table, scores: NDArray[np.float32]) -> Judged:
        """Measure the scores of examples that nothing was fitted on."""

    def compare(
        self, examples: pa.Table, candidate: NDArray[np.float32], champion: NDArray[np.float32]
    ) -> PairedDifference:
        """Hold two versions' scores of the same examples against each other, by the metric that the gate is of.

        Raises
        ------
        RefusedError
            If the examples can't tell one order from a better one.
        UsageError
            If a score is no number.
        """
