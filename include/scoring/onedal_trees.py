"""A booster's trees as oneDAL computes them: the same scores in about half of the time, where it is installed.

What belongs here: the conversion, and the trees as bytes, so that they are converted once. What does not: whether a
version is scored by it (``engine_choice``).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from include.scoring.convertible import convertible

if TYPE_CHECKING:
    import xgboost

# Bytes of one may be nothing to another.
_PACKAGES = ("scikit-learn-intelex", "daal")


def is_installed() -> bool:
    """Say whether oneDAL is there, without loading it."""
    return find_spec("daal4py") is not None


@dataclass(frozen=True)
class OnedalTrees:
    """Trees that oneDAL holds; several threads may score with them at once.

    Attributes
    ----------
    held : daal4py model
        Of a classification, or of a regression where a ranking's margin is computed.
    is_ranking : bool
    """

    held: Any
    is_ranking: bool

    @classmethod
    def of(cls, booster: xgboost.Booster) -> OnedalTrees:
        """Convert a booster, which takes milliseconds a tree.

        Raises
        ------
        Exception
            Of whatever kind, if oneDAL has no such trees: categorical splits, or trees that are dropped.
        """
        from daal4py import mb

        converted, is_ranking = convertible(booster)
        return cls(mb.convert_model(converted).daal_model_, is_ranking)

    @classmethod
    def from_bytes(cls, content: bytes) -> OnedalTrees | None:
        """Return what `to_bytes` wrote, or None where it was by another oneDAL than is installed.

        Parameters
        ----------
        content : bytes
            From a file whose sha256 was checked: oneDAL believes what it reads.
        """
        import daal4py

        head, _, state = content.partition(b"\n")
        told = json.loads(head)
        # An installation that does not say what it is may be any.
        if not told["packages"] or told["packages"] != _packages():
            return None
        held = daal4py.gbt_regression_model() if told["is_ranking"] else daal4py.gbt_classification_model()
        held.__setstate__(state)
        return cls(held, told["is_ranking"])

    def to_bytes(self) -> bytes:
        """Return a line of JSON that says by what the trees were converted, and the trees in oneDAL's own form."""
        head = {"packages": _packages(), "is_ranking": self.is_ranking}
        return json.dumps(head).encode() + b"\n" + bytes(self.held.__getstate__())

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scores of a matrix, one row at least."""
        import daal4py

        # Whoever scores has threads of its own, one for each slice.
        daal4py.daalinit(1)
        if self.is_ranking:
            scores = daal4py.gbt_regression_prediction(fptype="float").compute(matrix, self.held).prediction
        else:
            of_classes = daal4py.gbt_classification_prediction(
                nClasses=2, fptype="float", resultsToEvaluate="computeClassProbabilities"
            )
            scores = of_classes.compute(matrix, self.held).probabilities[:, 1]
        return np.asarray(scores, dtype=np.float32).reshape(-1)


def _packages() -> dict[str, str]:
    with suppress(PackageNotFoundError):
        return {name: version(name) for name in _PACKAGES}
    return {}
