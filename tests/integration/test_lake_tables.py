"""What the whole loop writes is what the list of tables says, and a customer who is erased is in none of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions, tables
from include.adapters.deployment import Deployment
from include.adapters.lake.listing import list_stored
from include.errors import UsageError
from include.specs.lake_tables import list_folders, list_tables
from include.specs.sources import load_source
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.find_tables import find_unnamed
from include.steps.forget_person import Erasure, forget_person
from include.steps.import_source import import_file
from include.steps.materialize_features import materialize_features
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from include.steps.verify_online import verify_online
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, OVERLAY, make_orders, write_overlay

pytestmark = pytest.mark.timeout(600)

TRAINED = partitions.shift(FIRST_DAY, 99)
NIGHT = partitions.shift(TRAINED, 1)
LAST = partitions.end_of(NIGHT)
MODELS = ("churn", "fraud", "recommendation")
GONE = "c0008"
TODAY = date(2026, 6, 1)


def orders_of_gone(shop: pa.Table) -> set[str]:
    return set(shop.filter(pc.equal(shop["customer_id"], GONE))["order_id"].to_pylist())


@pytest.fixture(scope="module")
def shop() -> pa.Table:
    """Orders of which the quarantine takes one of GONE, and one of an order of GONE that names nobody.

    Their products are in three categories, one that costs much is disputed, and GONE orders on the night.
    """
    made = make_orders(days=101)
    rows = [{**row, "category": f"k{int(row['product_id'][1:]) % 3}", "kind": "sale"} for row in made.to_pylist()]
    mine = next(row for row in rows if row["customer_id"] == GONE)
    rows += [
        {**row, "order_id": f"d{row['order_id']}", "ref_order_id": row["order_id"], "kind": "dispute", "ordered_at": at}
        for row in rows
        if row["quantity"] * row["unit_price"] > 40 and (at := row["ordered_at"] + timedelta(days=3)) < LAST
    ]
    rows += [{**mine, "line": 2, "unit_price": -1.0}, {**mine, "line": 3, "customer_id": None}]
    rows += [{**mine, "order_id": "that-night", "ordered_at": partitions.start_of(NIGHT) + timedelta(hours=9)}]
    added = [pa.field("kind", pa.string()), pa.field("ref_order_id", pa.string())]
    return pa.Table.from_pylist(rows, schema=pa.schema([*made.schema, *added]))


@pytest.fixture(scope="module")
def deployment(home: Path, shop: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("tables")
    specs = write_overlay(folder / "specs")
    for model_id in ("fraud", "recommendation"):
        values = {name: OVERLAY[name] for name in ("label", "training", "monitoring", "decision")}
        least = {"auc_min": 0.0} if model_id == "fraud" else {"ndcg_min": 0.0}
        gates = {**least, "latency_p99_ms_max": 1000}
        (specs / f"{model_id}.yaml").write_text(yaml.safe_dump({**values, "gates": gates}))
    with deployed_beside(home, folder, "tables", specs=specs) as made:
        pq.write_table(shop, folder / "orders.parquet")
        as_of = partitions.end_of(NIGHT)
        import_file(made, folder / "orders.parquet", source="orders", as_of=as_of)
        for group in ("customer_category_daily", "customer_daily", "order_risk", "product_daily"):
            build_features(made, group, start=partitions.shift(TRAINED, -80), end=NIGHT)
            bring_online(made, group, start=partitions.shift(NIGHT, -20))
        with pytest.MonkeyPatch.context() as patch:
            # As if the night had not come yet: a move stands at the newest published day and governs those after it.
            patch.setattr(type(made.state), "newest_publication", lambda *_: TRAINED)
            for model_id in MODELS:
                candidate = train_model(made, build_training_set(made, model_id, as_of=TRAINED))
                assert stage_or_refuse(made, candidate) is None
                promote_version(made, model_id, version=candidate.version, actor="ada", reason="gates passed")
        for model_id in MODELS:
            score_batch(made, model_id, partition=NIGHT)
        record_outcomes_of_the_night(made, shop)
        build_features(made, "churn_scores", start=NIGHT, end=NIGHT)
        bring_online(made, "churn_scores")
        yield made


def record_outcomes_of_the_night(deployment: Deployment, shop: pa.Table) -> None:
    """Let two more weeks come, of which every day has an order, and record what they tell."""
    last = partitions.shift(NIGHT, OVERLAY["label"]["horizon_days"])
    days = partitions.span(partitions.shift(NIGHT, 1), last)
    rows = [
        {**shop.slice(0, 1).to_pylist()[0], "order_id": f"later{day}", "ordered_at": partitions.start_of(day)}
        for day in days
    ]
    path = deployment.settings.home / "later.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=shop.schema), path)
    import_file(deployment, path, source="orders", as_of=partitions.end_of(last))
    for model_id in MODELS:
        assert record_outcomes(deployment, model_id, partition=last).added > 0


def bring_online(deployment: Deployment, group: str, *, start: str = NIGHT) -> None:
    materialize_features(deployment, group, start=start, end=NIGHT)
    verify_online(deployment, group, partition=NIGHT, sample=1000)


def test_the_list_names_what_the_loop_writes_and_nothing_else(deployment):
    assert list_stored(deployment.lake) == sorted(table.name for table in list_tables())
    assert find_unnamed(deployment.lake) == []


def test_what_is_no_table_is_a_folder_of_the_list(deployment):
    root = deployment.settings.home / "lake"
    folders = {f"{path.parent.name}/{path.name}" for path in root.glob("*/*")} - set(list_stored(deployment.lake))
    # Scores wait for a commit of several tasks alone, and nothing of them is left after it.
    assert folders == {folder.name for folder in list_folders() if not folder.name.startswith("staged_scores/")}


def test_every_table_has_the_columns_that_the_list_says(deployment):
    for table in list_tables():
        found = deployment.lake.dataset(table.name).schema
        wanted = table.arrow_schema()
        beside = [name for name in found.names if name not in wanted.names]
        assert pa.schema([found.field(name) for name in wanted.names]) == wanted, table.name
        assert bool(beside) <= table.is_open, (table.name, beside)
        if not table.is_open:
            assert found.names == wanted.names


def test_every_table_has_the_key_and_the_partitions_that_the_list_says(deployment):
    for table in list_tables():
        rows = deployment.lake.read(table.name)
        assert rows.num_rows
        assert rows.select(table.key).group_by(list(table.key)).aggregate([]).num_rows == rows.num_rows, table.name
        assert deployment.lake.delta(table.name).metadata().partition_columns == [table.partition_by]


def rows_that_name(deployment: Deployment, ids: set[str]) -> dict[str, int]:
    """Return in how many values of each table one of the ids stands: no number and no time holds one."""
    word = re.compile(rf"(?<![\w])({'|'.join(sorted(ids))})(?![\w])")
    found = {}
    for name in list_stored(deployment.lake):
        rows = deployment.lake.read(name)
        texts = rows.select([column.name for column in rows.schema if not pa.types.is_primitive(column.type)])
        found[name] = sum(bool(word.search(str(value))) for column in texts.columns for value in column.to_pylist())
    return {name: count for name, count in found.items() if count}


def reports(deployment: Deployment) -> str:
    return "".join(path.read_text() for path in (deployment.settings.home / "lake/quality_reports").rglob("*.json"))


@pytest.fixture(scope="module")
def erased(deployment: Deployment, shop: pa.Table) -> Erasure:
    named = rows_that_name(deployment, {GONE, *orders_of_gone(shop)})
    assert set(named) == {table.name for table in list_tables() if table.whose != tables.OF_NOBODY}
    return forget_person(deployment, GONE, source=load_source("orders"), today=TODAY)


def test_nothing_in_the_lake_names_who_was_erased(deployment, erased, shop):
    ids = {GONE, *orders_of_gone(shop)}
    assert rows_that_name(deployment, ids) == {}
    assert reports(deployment)
    assert not [word for word in ids if f'"{word}"' in reports(deployment)]
    assert erased.rows["quarantine/orders"] == 2
    assert erased.unnamed == []


def test_nothing_online_names_who_was_erased(deployment, erased, shop):
    assert set(erased.online) == {"customer_category_daily", "customer_daily", "order_risk", "churn_scores"}
    read = deployment.feature_store.online_group
    assert read("customer_daily", [GONE]).unknown == read("churn_scores", [GONE]).unknown == (GONE,)
    orders = sorted(orders_of_gone(shop))
    assert read("order_risk", orders).unknown == tuple(orders)


def test_the_training_set_that_holds_the_person_is_named(deployment, erased):
    assert {frozenset(pin.sources) for pin in erased.pins} == {
        frozenset({"raw/orders", f"features/{group}"})
        for group in ("customer_category_daily", "customer_daily", "order_risk")
    }
    with pytest.raises(UsageError, match="is in no table"):
        forget_person(deployment, "nobody", source=load_source("orders"), today=TODAY)


def test_a_night_that_is_verified_again_brings_nobody_back(deployment, erased, shop):
    for group in ("customer_category_daily", "customer_daily", "order_risk", "churn_scores"):
        assert verify_online(deployment, group, partition=NIGHT, sample=1000)
    assert rows_that_name(deployment, {GONE, *orders_of_gone(shop)}) == {}
