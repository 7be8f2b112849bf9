"""Answers to be kept, made up: as the service hands them on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from include.serving.answers import Scored
from include.serving.exchange import Exchange
from include.serving.feature_rows import FeatureRow
from include.serving.lineup import Lineup
from include.serving.log_rows import RowSource
from include.serving.tally import Tally

FEATURES = ("a", "b")
ASKED_AT_US = 1_767_225_600_000_000


def make_source(process: str, *, version: int = 1, role: str = "champion", is_answer: bool = True) -> RowSource:
    return RowSource(process, "churn", version, role, is_answer, "churn_v1", ("customer_id",), FEATURES, 0.5)


def make_answerer(tally: Tally, **serving: Any) -> Any:
    """Return as much of a version as what keeps answers looks at."""
    spec = SimpleNamespace(model_id=tally.model_id, serving=SimpleNamespace(**{"shadow": False, **serving}))
    return SimpleNamespace(tally=tally, version=SimpleNamespace(version=tally.version, role=tally.role, spec=spec))


def make_lineup(champion: Any, challenger: Any = None) -> Any:
    return Lineup(champion, challenger)


def make_exchange(
    number: int, answerers: Sequence[Any], *, challenger: Any = None, at: datetime | None = None, **scored: Any
) -> Exchange:
    """Return a question about as many entities as there are answerers, the first of them the champion."""
    rows = []
    for place, answerer in enumerate(answerers):
        vector = np.array([number + 0.1, np.nan if place % 2 else -0.0], np.float32)
        row = FeatureRow(vector.astype(np.float64), "scored", ASKED_AT_US - 1, ("present",) * 2, (1, 1))
        made = {"row": row, "vector": vector.tobytes(), "score": 0.5 + place / 100, "decision": 1, **scored}
        rows.append(Scored(answerer, **made))
    exchange = Exchange(f"r{number}", ASKED_AT_US + number, "churn")
    exchange.lineup = make_lineup(answerers[0], challenger)
    exchange.at = at
    exchange.keys = [(f"c{number}.{place}",) for place in range(len(answerers))]
    exchange.scored = rows
    return exchange
