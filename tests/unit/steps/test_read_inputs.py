from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from include import partitions
from include.adapters.lake import portions
from include.features.versions import newest_versions
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.read_inputs import read_snapshots
from include.steps.read_night import read_partition
from tests.deployments import lake_only
from tests.everyday import members
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


@pytest.mark.parametrize("at_once", members([1, 70], daily=[70]))
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


def test_a_feature_of_another_group_may_be_called_as_one_of_the_models_own_that_is_not_read(
    deployment: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The other group is a copy of the model's own, one of whose columns is 1000 more."""
    shipped = load_feature_group("customer_daily")
    spec = yaml.safe_load((CONFIG_ROOT / "features" / "customer_daily.yaml").read_text())
    service = {"customer_daily": ["days_since_last_order"], "copied_daily": ["total_orders_30d", "tenure_days"]}
    named = {"service": "mixed_v1", "description": "d", "owner": "o", "features": service}
    for folder in ("features", "services"):
        (tmp_path / folder).mkdir()
    sql = shipped.sql_path.read_text().replace(" AS total_orders_30d", " + 1000 AS total_orders_30d")
    assert sql != shipped.sql_path.read_text()
    (tmp_path / "features" / "copied_daily.yaml").write_text(yaml.safe_dump({**spec, "group": "copied_daily"}))
    (tmp_path / "features" / "copied_daily.sql").write_text(sql)
    (tmp_path / "services" / "mixed_v1.yaml").write_text(yaml.safe_dump(named))
    (tmp_path / "churn.yaml").write_text("features: {service: mixed_v1}")
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    build_features(deployment, "copied_daily", start=DAYS[0], end=DAYS[0])

    churn = load_model("churn")
    found = read_snapshots(deployment, churn, DAYS[:1]).rows
    night = read_partition(deployment, churn, DAYS[0], service="mixed_v1").rows
    own, other = (known_then(deployment, group, found) for group in ("customer_daily", "copied_daily"))

    assert found.num_rows > 10
    assert found["days_since_last_order"].equals(own["days_since_last_order"])
    assert found["total_orders_30d"].equals(other["total_orders_30d"])
    assert night.num_rows >= found.num_rows
    assert min(pc.min(rows["total_orders_30d"]).as_py() for rows in (found, night)) >= 1000


def known_then(deployment: Any, group: str, asked: pa.Table) -> pa.Table:
    """Return a group's rows of the first day, of whom was asked about, as they were known then."""
    rows = deployment.lake.read(f"features/{group}", keys=DAYS[:1])
    rows = rows.filter(pc.equal(rows["created_timestamp"], rows["event_timestamp"]))
    rows = newest_versions(rows, keys=("customer_id",))
    return rows.filter(pc.is_in(rows["customer_id"], asked["customer_id"].combine_chunks()))
