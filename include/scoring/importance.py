"""How much of a model each feature is.

What belongs here: shares that a booster's own counts give. What does not: drawing them, and what a shift of a feature
means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xgboost


def feature_importance(booster: xgboost.Booster) -> dict[str, float]:
    """Return each feature's share of the total gain, in [0, 1]; 0 where no tree splits on it.

    Returns
    -------
    dict of str to float
        In the booster's order; the shares add up to 1, unless there is no split at all.
    """
    gains = booster.get_score(importance_type="total_gain")
    whole = sum(gains.values()) or 1.0
    return {name: gains.get(name, 0.0) / whole for name in booster.feature_names or ()}
