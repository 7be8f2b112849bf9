from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from include import partitions
from include.adapters.lake import portions
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.read_inputs import read_snapshots
from tests.deployments import lake_only
from tests.raw_orders import publish_source, random_orders

DAYS = partitions.span("2024-01-20", "2024-02-05")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Return a lake with features of some weeks, most of them corrected later."""
    made = lake_only(tmp_path_factory.mktemp("inputs"))
    for rows in (300, 360):
        publish_source(made.lake, random_orders(rows=rows, customers=40, first_day="2024-01-01", days=40, seed=7))
        build_features(made, "customer_daily", start=DAYS[0], end=DAYS[-2])  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("at_once", [1, 70])
def test_snapshots_that_are_read_in_portions_are_those_that_are_read_at_once(
    deployment: Any, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    spec = load_model("churn")
    whole = read_snapshots(deployment, spec, DAYS)
    asked: list[Any] = []
    real = deployment.lake.read

    def noted(*args: Any, keys: Any, **options: Any) -> pa.Table:
        asked.append(keys)
        return real(*args, keys=keys, **options)

    monkeypatch.setattr(portions, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(deployment.lake, "read", noted)
    in_portions = read_snapshots(deployment, spec, DAYS)

    assert in_portions.rows.equals(whole.rows)
    assert in_portions.rows.num_rows > 300
    assert (in_portions.sources, in_portions.unpublished) == (whole.sources, (DAYS[-1],))
    assert [day for keys in asked for day in keys] == DAYS[:-1]
    assert max(map(len, asked)) <= 1 + at_once // 35


def test_snapshots_of_which_none_is_published_have_no_rows_and_all_columns(deployment: Any, tmp_path: Path) -> None:
    found = read_snapshots(deployment, load_model("churn"), ["2023-01-01", "2023-01-02"])

    assert (found.rows.num_rows, found.unpublished) == (0, ("2023-01-01", "2023-01-02"))
    assert found.rows.column_names[-len(found.features) :] == list(found.features)
