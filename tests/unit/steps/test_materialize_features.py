from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.errors import UsageError
from include.steps.build_features import build_features
from include.steps.materialize_features import materialize_features
from tests.raw_orders import line, orders, publish_source
from tests.unit.steps.fakes import FakeDeployment

GROUP = "customer_daily"


@pytest.fixture
def deployment(tmp_path: Path) -> Any:
    made: Any = FakeDeployment(tmp_path / "lake")
    raw = orders(line("2024-01-02", customer="a"), line("2024-01-03", customer="b"))
    publish_source(made.lake, raw)
    build_features(made, GROUP, start="2024-01-01", end="2024-01-03")
    made.state.recorded.clear()
    return made


def test_every_partition_of_the_range_is_recorded_with_its_rows(deployment: Any) -> None:
    deployment.feature_store.written = 2

    ref = materialize_features(deployment, GROUP, start="2024-01-01", end="2024-01-03")

    assert deployment.feature_store.calls == [(GROUP, "2024-01-01", "2024-01-03")]
    counts = [("2024-01-01", 0), ("2024-01-02", 1), ("2024-01-03", 2)]
    assert deployment.state.recorded == [("online/customer_daily", counts, 0)]
    assert (ref.version, ref.rows) == (0, 2)


def test_a_partition_after_the_newest_built_one_is_refused_and_not_recorded(deployment: Any) -> None:
    with pytest.raises(UsageError, match=r"2024-01-04 can't be .*newest is 2024-01-03\); build it first"):
        materialize_features(deployment, GROUP, start="2024-01-03", end="2024-01-04")
    assert (deployment.feature_store.calls, deployment.state.recorded) == ([], [])


def test_a_group_that_was_never_built_is_refused(tmp_path: Path) -> None:
    empty: Any = FakeDeployment(tmp_path / "empty")

    with pytest.raises(UsageError, match=r"the newest is none\); build it first"):
        materialize_features(empty, GROUP, start="2024-01-01", end="2024-01-01")


def test_a_published_day_without_entities_is_materialised_and_one_that_was_refused_in_between_is_not(
    deployment: Any,
) -> None:
    materialize_features(deployment, GROUP, start="2024-01-01", end="2024-01-01")
    assert deployment.state.publications("online/customer_daily") == {"2024-01-01": 0}

    deployment.state.forget("features/customer_daily", "2024-01-02")
    with pytest.raises(UsageError, match="2024-01-02 can't be materialised"):
        materialize_features(deployment, GROUP, start="2024-01-01", end="2024-01-03")
