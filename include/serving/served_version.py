"""A version that answers: its model in memory, the names it reads, and by which bytes it is known.

What belongs here: the value, and scores and what follows from them. What does not: where its bytes are from
(``version_files``), and which version answers (``lineup``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from include.scoring.model import ScoringModel
from include.scoring.predictions import decides_for
from include.specs.models import BinaryModelSpec, ModelSpec
from include.training.artifacts import Signature

Role: TypeAlias = Literal["champion", "challenger"]


@dataclass(frozen=True)
class ServedVersion:
    """A version, ready to answer.

    Attributes
    ----------
    spec : ModelSpec
        The model as it stands now: its threshold, its population.
    version : int
    role : {"champion", "challenger"}
        Whether it is in Production or in Staging.
    signature : Signature
        What it reads; its feature service may be older than the spec's.
    model : ScoringModel
    sha256 : str
        Of the model's file, as the ledger has it.
    """

    spec: ModelSpec
    version: int
    role: Role
    signature: Signature
    model: ScoringModel
    sha256: str

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the score of each row of a matrix of shape (n_rows, n_features); NaN is missing.

        Raises
        ------
        UsageError
            If a value is infinite.
        """
        return self.model.predict(matrix, engine="onnx")

    def decide(self, scores: NDArray[np.float32]) -> Sequence[int | None]:
        """Return a classifier's decision of each score, 1 or 0; None of each where the model orders lists."""
        if not isinstance(self.spec, BinaryModelSpec):
            return [None] * len(scores)
        decided: list[int] = decides_for(scores, self.spec.scoring.decision_threshold).view(np.int8).tolist()
        return decided

    def warm_up(self) -> None:
        """Score once, so that no request pays for what a first one loads."""
        self.score(np.zeros((1, len(self.signature.features)), dtype=np.float32))
