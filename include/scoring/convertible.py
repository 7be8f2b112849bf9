"""A booster as converters take it.

What belongs here: what other engines have no name for, said in words that they know. What does not: the engines.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xgboost


def convertible(booster: xgboost.Booster) -> tuple[xgboost.Booster, bool]:
    """Return a copy that others can read, and whether it is of a ranking.

    No converter knows a ranking, whose margin is the sum of its trees, as a regression's prediction is: it becomes one.
    """
    copied = booster.copy()
    is_ranking = json.loads(booster.save_config())["learner"]["objective"]["name"].startswith("rank:")
    if is_ranking:
        copied.set_param({"objective": "reg:squarederror"})
    return copied, is_ranking
