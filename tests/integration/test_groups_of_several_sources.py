"""A group whose statement reads two sources: built from both, healed by late rows of either, and waiting for both."""

from __future__ import annotations

import shutil
from collections import Counter
from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from include.errors import MlopsError, RefusedError, SpecError, UsageError
from include.features.versions import newest_versions
from include.specs.groups import load_feature_group
from include.specs.sources import load_source
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.find_stale import find_stale, newest_versions_of
from include.steps.forget_person import forget_person
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery
from include.steps.judge_features import check_features
from tests.deployments import lake_only
from tests.everyday import members
from tests.unit.quality.orders_builder import order, table
from tests.unit.steps.fakes import FakeFeatureStore

GROUP, TABLE, SHOP, TILL = "spend_daily", "features/spend_daily", "raw/orders", "raw/till"
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]
SQL = """
WITH day AS (
    SELECT CAST(UNNEST(generate_series(CAST($start_day AS DATE), CAST($end_day AS DATE), INTERVAL 1 DAY)) AS DATE) AS dt
),

line AS (
    SELECT customer_id, dt, received_at, quantity AS shop, 0 AS till FROM orders
    UNION ALL
    SELECT customer_id, dt, received_at, 0 AS shop, quantity AS till FROM till
)

SELECT
    line.customer_id,
    CAST(day.dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(day.dt + 1 AS TIMESTAMPTZ), MAX(line.received_at)) AS created_timestamp,
    CAST(SUM(line.shop) AS BIGINT) AS pieces_shop,
    CAST(SUM(line.till) AS BIGINT) AS pieces_till,
    day.dt
FROM day JOIN line ON line.dt <= day.dt
GROUP BY line.customer_id, day.dt
ORDER BY line.customer_id, event_timestamp
"""


@pytest.fixture(scope="module")
def overlay(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    for name in ("sources", "features"):
        (folder / name).mkdir()
    orders = yaml.safe_load((CONFIG_ROOT / "sources" / "orders.yaml").read_text())
    till = {name: value for name, value in orders.items() if name != "dag_id"} | {"source": "till"}
    (folder / "sources" / "till.yaml").write_text(yaml.safe_dump(till))
    daily = yaml.safe_load((CONFIG_ROOT / "features" / "customer_daily.yaml").read_text())
    pieces = {"dtype": "int64", "unit": "pieces", "meaning": "Pieces so far.", "min": 0, "max": 1_000_000}
    columns = [{**pieces, "name": name} for name in ("pieces_shop", "pieces_till")]
    spec = {**daily, "group": GROUP, "sources": ["orders", "till"], "columns": columns, "freshness_days": 3}
    (folder / "features" / f"{GROUP}.yaml").write_text(yaml.safe_dump(spec))
    (folder / "features" / f"{GROUP}.sql").write_text(SQL)
    return folder


@pytest.fixture
def deployment(tmp_path, overlay, monkeypatch) -> SimpleNamespace:
    monkeypatch.setenv("MLOPS_SPECS", str(overlay))
    made = lake_only(tmp_path)
    made.feature_store = FakeFeatureStore()
    return made


def deliver(deployment: SimpleNamespace, source: str, night: str, *sold: tuple[str, str, int]) -> None:
    """Deliver what customers bought, each (day, customer, pieces)."""
    rows = table(
        *(
            order(
                order_id=f"{source}-{day}-{customer}",
                customer_id=customer,
                quantity=float(pieces),
                ordered_at=datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=9),
            )
            for day, customer, pieces in sold
        )
    )
    folder = Path(deployment.settings.home) / "landing" / source / f"dt={night}"
    folder.mkdir(parents=True)
    pq.write_table(rows, folder / "rows.parquet")
    (folder / "_SUCCESS").touch()
    import_delivery(deployment, night, source=source, cross_check=False)


def pieces(deployment: SimpleNamespace, day: str) -> dict[str, tuple[int, int]]:
    rows: pa.Table = newest_versions(deployment.lake.read(TABLE, start=day, end=day), keys=("customer_id",))
    return {row["customer_id"]: (row["pieces_shop"], row["pieces_till"]) for row in rows.to_pylist()}


@pytest.fixture(scope="module")
def begun(overlay, tmp_path_factory) -> SimpleNamespace:
    made = lake_only(tmp_path_factory.mktemp("begun"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(overlay))
        for day in DAYS[:2]:
            deliver(made, "orders", day, (day, "ada", 1))
            deliver(made, "till", day, (day, "ada", 10), (day, "bob", 20))
        build_features(made, GROUP, start=DAYS[0], end=DAYS[1])
    return made


@pytest.fixture
def two_days(deployment, begun) -> SimpleNamespace:
    """A deployment with a copy of what was begun."""
    shutil.copytree(begun.settings.home, deployment.settings.home, dirs_exist_ok=True)
    deployment.state = deepcopy(begun.state)
    return deployment


def test_a_partition_is_built_from_both_and_remembers_the_version_of_each(two_days):
    assert pieces(two_days, DAYS[0]) == {"ada": (1, 10), "bob": (0, 20)}
    assert pieces(two_days, DAYS[1]) == {"ada": (2, 20), "bob": (0, 40)}
    versions = {SHOP: two_days.lake.version(SHOP), TILL: two_days.lake.version(TILL)}
    assert two_days.state.source_versions(TABLE) == dict.fromkeys(DAYS[:2], versions)
    assert check_features(two_days, GROUP, start=DAYS[0], end=DAYS[1]).passed


@pytest.mark.parametrize(
    ("late", "healed"),
    [
        pytest.param("orders", {"ada": (2, 20), "bob": (0, 40), "eve": (5, 0)}, marks=pytest.mark.thorough),
        ("till", {"ada": (2, 20), "bob": (0, 40), "eve": (0, 5)}),
    ],
)
def test_late_rows_of_either_heal_the_days_that_they_reach(two_days, late, healed):
    other = "till" if late == "orders" else "orders"
    deliver(two_days, late, DAYS[2], (DAYS[1], "eve", 5), (DAYS[2], "ada", 1))
    deliver(two_days, other, DAYS[2], (DAYS[2], "ada", 1))
    build_features(two_days, GROUP, start=DAYS[2], end=DAYS[2])
    found = heal_features(two_days, GROUP)
    assert found is not None
    assert (found.start, found.end) == (DAYS[1], DAYS[1])
    assert pieces(two_days, DAYS[1]) == healed
    eve = [
        row for row in two_days.lake.read(TABLE, start=DAYS[1], end=DAYS[1]).to_pylist() if row["customer_id"] == "eve"
    ]
    assert [row["created_timestamp"] for row in eve] == [datetime(2026, 1, 4, tzinfo=UTC)]
    newest = newest_versions_of(two_days, load_feature_group(GROUP))
    assert two_days.state.source_versions(TABLE) == dict.fromkeys(DAYS, newest)
    assert heal_features(two_days, GROUP) is None


@pytest.mark.parametrize("missing", members(["orders", "till"], daily=["till"]))
def test_a_day_that_one_source_lacks_is_told_by_the_sources_name(two_days, missing):
    deliver(two_days, "till" if missing == "orders" else "orders", DAYS[2], (DAYS[2], "ada", 1))
    with pytest.raises(RefusedError, match=f"the newest delivery of {missing} is of {DAYS[1]}, so {DAYS[2]} has not"):
        build_features(two_days, GROUP, start=DAYS[2], end=DAYS[2])


def test_a_source_of_which_nothing_is_there_is_told_by_its_name(deployment):
    deliver(deployment, "orders", DAYS[0], (DAYS[0], "ada", 1))
    with pytest.raises(
        UsageError, match=r"has no till \(table raw/till\); import some first \(mlops sources import till"
    ):
        build_features(deployment, GROUP, start=DAYS[0], end=DAYS[0])


def test_a_source_that_has_been_silent_for_too_long_is_told_by_its_name(two_days):
    for n in range(3, 7):
        day = f"2026-01-{n:02}"
        deliver(two_days, "orders", day, (day, "ada", 1))
        deliver(two_days, "till", day)
    with pytest.raises(MlopsError, match="freshness of the newest day of raw/till: ") as refused:
        build_features(two_days, GROUP, start="2026-01-06", end="2026-01-06")
    assert "the newest day of raw/orders" not in str(refused.value)


def test_a_partition_that_was_built_from_other_tables_is_stale(two_days):
    spec = load_feature_group(GROUP)
    found = find_stale(two_days, spec, source_versions={SHOP: two_days.lake.version(SHOP)})
    assert (found.stale, found.agreeing) == (tuple(DAYS[:2]), {})


def test_a_person_who_is_forgotten_leaves_both_and_makes_no_partition_stale(two_days, monkeypatch):
    monkeypatch.setattr("include.steps.forget_person._erase_online", lambda *_: Counter())
    monkeypatch.setattr("include.steps.forget_person.list_pins", lambda _: [])
    erased = forget_person(two_days, "ada", source=load_source("till"), today=date(2026, 2, 1))
    assert {SHOP, TILL, TABLE} <= set(erased.rows)
    assert heal_features(two_days, GROUP) is None
    assert pieces(two_days, DAYS[1]) == {"bob": (0, 40)}


def test_a_source_is_named_once(overlay, tmp_path, monkeypatch):
    folder = tmp_path / "specs"
    (folder / "features").mkdir(parents=True)
    text = (overlay / "features" / f"{GROUP}.yaml").read_text().replace("- till", "- orders")
    (folder / "features" / f"{GROUP}.yaml").write_text(text)
    (folder / "features" / f"{GROUP}.sql").write_text(SQL)
    monkeypatch.setenv("MLOPS_SPECS", str(folder))
    with pytest.raises(SpecError, match="sources names 'orders' twice; name each once"):
        load_feature_group(GROUP)
