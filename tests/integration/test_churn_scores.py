"""Scores that are written back as a feature stay true at their time when a night is scored again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.errors import RefusedError
from include.steps.build_features import build_features
from tests.unit.steps.fakes import FakeDeployment

NIGHT = "2024-01-01"
STANDS_AT = datetime(2024, 1, 2, tzinfo=UTC)
TABLE = "features/churn_scores"


@pytest.fixture
def deployment(tmp_path: Path) -> Any:
    return FakeDeployment(tmp_path / "lake")


def score(
    deployment: Any, scores: dict[str, float], *, known_after: timedelta = timedelta(0), night: str = NIGHT
) -> None:
    rows = pa.table(
        {
            "customer_id": pa.array(list(scores), pa.string()),
            "dt": pa.array([date.fromisoformat(night)] * len(scores), pa.date32()),
            "role": pa.array(["champion"] * len(scores), pa.string()),
            "score": pa.array(list(scores.values()), pa.float32()),
            "feature_created_timestamp": pa.array(
                [STANDS_AT + known_after] * len(scores), pa.timestamp("us", tz="UTC")
            ),
        }
    )
    written = deployment.lake.replace("predictions/churn", rows, keys=[night])
    deployment.state.record_publications("predictions/churn", [(night, rows.num_rows)], written.version)


def many(value: float) -> dict[str, float]:
    return {f"c{n:03d}": value for n in range(100)}


def build(deployment: Any) -> list[tuple[datetime, float]]:
    build_features(deployment, "churn_scores", start=NIGHT, end=NIGHT)
    rows = deployment.lake.read(TABLE).to_pylist()
    return [(row["created_timestamp"], row["churn_risk_score"]) for row in rows if row["customer_id"] == "c007"]


def test_a_score_from_features_that_were_on_time_is_known_where_it_stands(deployment: Any) -> None:
    score(deployment, many(0.25), known_after=timedelta(0))
    assert build(deployment) == [(STANDS_AT, 0.25)]


def test_a_night_scored_again_from_corrected_features_has_a_later_version(deployment: Any) -> None:
    score(deployment, many(0.25), known_after=timedelta(0))
    build(deployment)
    score(deployment, many(0.75), known_after=timedelta(days=19))
    assert build(deployment) == [(STANDS_AT, 0.25), (STANDS_AT + timedelta(days=19), 0.75)]


def test_nights_with_nobody_to_score_are_built_with_no_rows_and_one_that_was_not_scored_is_refused(
    deployment: Any,
) -> None:
    closed = ["2024-01-02", "2024-01-03", "2024-01-04"]
    score(deployment, many(0.25))
    for night in closed:
        score(deployment, {}, night=night)
    for night in [NIGHT, *closed]:
        build_features(deployment, "churn_scores", start=night, end=night)
    assert deployment.state.publications(TABLE) == {NIGHT: 100, **dict.fromkeys(closed, 0)}
    with pytest.raises(RefusedError, match="predictions/churn has no published partition 2024-01-05; score it first"):
        build_features(deployment, "churn_scores", start=NIGHT, end="2024-01-05")


def test_scores_that_lie_in_the_lake_and_were_not_published_are_not_built_from(deployment: Any) -> None:
    score(deployment, many(0.25))
    deployment.state.forget("predictions/churn", NIGHT)
    with pytest.raises(RefusedError, match="no published partition"):
        build_features(deployment, "churn_scores", start=NIGHT, end=NIGHT)


def test_a_group_whose_first_night_had_nobody_to_score_is_built(deployment: Any) -> None:
    score(deployment, {})
    assert build(deployment) == []
    assert deployment.state.publications(TABLE) == {NIGHT: 0}
