"""What is estimated of a night stands beside what came true, asks for nothing unless its policy says so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from include.monitoring.triggers import fallen_checks
from include.specs.models import load_model
from include.steps.estimate_night import watch_estimate
from tests.unit.monitoring.nights import make_night

SPEC = load_model("churn")
ASKS = SPEC.model_copy(update={"decision": SPEC.decision.model_copy(update={"estimated": True})})


def scored(rows: int, seed: int, *, spread: float = 1.5) -> tuple[pa.Table, np.ndarray]:
    """Return rows whose score is their chance, and whether it came true."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, spread, rows)
    score = 1 / (1 + np.exp(-x))
    is_true = rng.random(rows) < score
    who = [f"c{n}" for n in range(rows)]
    return pa.table({"customer_id": who, "x": x.astype(np.float32), "score": score.astype(np.float32)}), is_true


@pytest.fixture(scope="module")
def tested() -> pa.Table:
    rows, is_true = scored(600, 1)
    return rows.append_column("label", pa.array(is_true.astype(np.int8)))


@pytest.fixture(scope="module")
def loaded(tested: pa.Table) -> Any:
    auc = roc_auc_score(tested["label"], tested["score"])
    return SimpleNamespace(
        metrics={"auc": auc, "auc_low": auc - 0.03, "auc_high": auc + 0.03, "rows": 600.0},
        signature=SimpleNamespace(feature_names=("x",)),
        manifest=SimpleNamespace(set_id="2024-01-01-abc"),
    )


def watched(spec: Any, loaded: Any, tested: pa.Table | None, rows: pa.Table, before: Any = ()) -> dict[str, Any]:
    return {check.name: check for check in watch_estimate(spec, loaded, tested, rows, before, version=1)}


def test_an_estimate_is_told_with_what_it_can_not_see_and_how_such_estimates_held(loaded, tested):
    rows, is_true = scored(400, 2)
    found = watched(SPEC, loaded, tested, rows)
    estimated, held = found["estimated_auc"], found["estimated_auc_held"]
    assert estimated.low <= roc_auc_score(is_true, rows["score"]) <= estimated.high
    assert (estimated.verdict, estimated.threshold, estimated.reference) == ("ok", None, loaded.metrics["auc"])
    assert "can't see concept drift" in estimated.reason
    assert "of 3 such estimates held" in estimated.reason
    assert held.value == pytest.approx(int(held.reason.split("test ")[1][0]) / 3)


def test_an_estimated_fall_asks_only_where_the_policy_says_so(loaded, tested):
    """Rows whose scores are nearly alike are told apart badly, whatever happens."""
    rows, _ = scored(800, 3, spread=0.3)
    night = make_night("2024-03-01")
    for spec, is_asking in ((SPEC, False), (ASKS, True)):
        found = watched(spec, loaded, tested, rows)
        assert found["estimated_auc"].value < 0.65
        fallen = fallen_checks(replace(night, checks=tuple(found.values())))
        assert [check.name for check in fallen] == (["estimated_auc"] if is_asking else [])


def test_how_estimates_held_is_counted_once_for_a_version(loaded, tested, monkeypatch):
    rows, _ = scored(300, 4)
    first = watched(SPEC, loaded, tested, rows)
    before = [replace(make_night("2024-03-01", version=1), checks=tuple(first.values()))]
    others = [replace(before[0], model_version=2)]
    monkeypatch.setattr("include.steps.estimate_night.back_test", lambda *_, **__: pytest.fail("counted again"))
    assert watched(SPEC, loaded, tested, rows, before) == first
    with pytest.raises(pytest.fail.Exception, match="counted again"):
        watched(SPEC, loaded, tested, rows, others)


def test_of_a_test_that_is_too_small_to_try_estimates_on_it_is_said_so(loaded, tested):
    found = watched(SPEC, loaded, tested.slice(0, 350), scored(300, 4)[0])
    assert (found["estimated_auc_held"].value, found["estimated_auc_held"].verdict) == (None, "unknown")
    assert found["estimated_auc"].reason.endswith("the version's test is too small to try such estimates on")


@pytest.mark.parametrize(
    ("is_kept", "rows", "why"),
    [(False, 300, "does not keep training set 2024-01-01-abc"), (True, 50, "the current rows are 50")],
    ids=["training-set-gone", "few-rows"],
)
def test_what_can_not_be_estimated_says_why(is_kept, rows, why, loaded, tested):
    (check,) = watched(SPEC, loaded, tested if is_kept else None, scored(rows, 5)[0]).values()
    assert (check.name, check.verdict) == ("estimated_auc", "unknown")
    assert why in check.reason


def test_of_a_ranking_there_is_nothing_to_say(loaded, tested):
    assert watched(load_model("recommendation"), loaded, tested, scored(300, 6)[0]) == {}
