"""Scores beside their features stay in their order, however many threads put them there."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from include.specs.models import load_model
from include.steps import read_scores
from include.steps.read_scores import with_features

# More than a thread takes at once.
ROWS = 200_000


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = pa.cpu_count()
    pa.set_cpu_count(4)
    yield
    pa.set_cpu_count(before)


@pytest.mark.usefixtures("four_threads")
def test_scores_beside_their_features_stay_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    who = [f"c{n}" for n in np.random.default_rng(0).permutation(ROWS)]
    created = pa.array([0] * ROWS, pa.timestamp("us", tz="UTC"))
    scores = pa.table({"customer_id": who, "score": range(ROWS), "feature_created_timestamp": created})
    inputs = pa.table({"customer_id": who[::-1], "x": range(ROWS - 1, -1, -1)})
    monkeypatch.setattr(read_scores, "other_groups", lambda *_: [])
    monkeypatch.setattr(read_scores, "read_scored", lambda *_, **__: SimpleNamespace(rows=inputs, features=["x"]))
    found = with_features(None, load_model("churn"), "2024-03-01", scores, service="churn_v1")
    assert found.column_names == ["customer_id", "score", "x"]
    assert found["customer_id"].to_pylist() == who
    assert found["x"].to_pylist() == list(range(ROWS))
