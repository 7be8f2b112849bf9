"""A table that is added to the list, and nowhere else, is expired, erased from and told of when it is not listed."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from include.adapters.lake.listing import list_stored
from include.specs.groups import EntitySpec
from include.specs.lake_tables import list_tables
from include.steps.expire_history import expire_history
from include.steps.find_tables import find_tables, find_unnamed
from include.steps.forget_person import forget_person
from include.tables import OF_NOBODY, Person, TableSpec, Whose
from tests.deployments import lake_only
from tests.raw_orders import ORDERS, SOURCE, add_tables
from tests.unit.features.group_builder import group

DAY = "2024-01-01"
VALUES = {
    "string": "x", "int32": 1, "int64": 1, "float32": 1.0, "float64": 1.0, "bool": True, "instant": 0,
    "date": date.fromisoformat(DAY),
}  # fmt: skip
VISITS = TableSpec(
    name="raw/visits",
    row="one visit",
    schema={"visit_id": "string", "customer_id": "string", "dt": "date"},
    key=("visit_id",),
    whose=Whose(Person.NAMED, "customer_id"),
)
PRICES = TableSpec(
    name="raw/prices", row="one price", schema={"product_id": "string", "dt": "date"}, key=("product_id",),
    whose=OF_NOBODY,
)  # fmt: skip


class FakeOnline:
    """Nobody is online."""

    def forget(self, join_key: str, key: str) -> dict[str, int]:
        return {}


@pytest.fixture
def deployment(tmp_path: Path) -> SimpleNamespace:
    made = lake_only(tmp_path)
    made.settings = SimpleNamespace(retention_days=0)
    made.feature_store = FakeOnline()
    return made


def write(deployment: Any, table: TableSpec, *rows: dict[str, Any]) -> None:
    made = [{name: VALUES[word] for name, word in table.schema.items()} | row for row in rows]
    keys = sorted({str(row[table.partition_by]) for row in made}) or [DAY]
    written = pa.Table.from_pylist(made, schema=table.arrow_schema())
    deployment.lake.replace(table.name, written, keys=keys, partition_by=table.partition_by)


def test_old_files_of_every_table_are_removed(deployment, monkeypatch):
    add_tables(monkeypatch, VISITS)
    for table in list_tables():
        write(deployment, table, {})
        write(deployment, table, {}, {})
    removed = expire_history(deployment, as_of=DAY)
    assert removed.files == {table.name: 1 for table in list_tables()}
    assert "raw/visits" in removed.files


def test_a_customer_is_erased_from_a_table_that_was_added(deployment, monkeypatch):
    add_tables(monkeypatch, VISITS, PRICES)
    write(deployment, VISITS, {"visit_id": "1", "customer_id": "gone"}, {"visit_id": "2", "customer_id": "kept"})
    write(deployment, PRICES, {"product_id": "gone"})
    erased = forget_person(deployment, "gone", source=SOURCE, today=date(2024, 2, 1))
    assert erased.rows == {"raw/visits": 1}
    assert deployment.lake.read("raw/visits")["customer_id"].to_pylist() == ["kept"]
    assert deployment.lake.read("raw/prices").num_rows == 1


def test_a_group_of_several_keys_is_the_customers_whose_key_is_among_them(deployment, monkeypatch):
    tastes = group(group="tastes", entity=EntitySpec(name="taste", keys=("customer_id", "category")))
    add_tables(monkeypatch, tastes.lake_table)
    pairs = [("gone", "tea"), ("kept", "tea"), ("gone", "mugs"), ("kept", "gone")]
    write(deployment, tastes.lake_table, *({"customer_id": who, "category": what} for who, what in pairs))
    erased = forget_person(deployment, "gone", source=SOURCE, today=date(2024, 2, 1))
    assert erased.rows == {"features/tastes": 2}
    left = deployment.lake.read("features/tastes").select(["customer_id", "category"]).to_pylist()
    assert {tuple(row.values()) for row in left} == {("kept", "tea"), ("kept", "gone")}


def test_a_table_that_no_spec_names_is_told_of(deployment):
    write(deployment, VISITS, {"customer_id": "gone"})
    write(deployment, ORDERS, {"customer_id": "gone"})
    assert [table.name for table in find_tables(deployment.lake)] == ["raw/orders"]
    assert list_stored(deployment.lake) == ["raw/orders", "raw/visits"]
    assert find_unnamed(deployment.lake) == ["raw/visits"]
    assert forget_person(deployment, "gone", source=SOURCE, today=date(2024, 2, 1)).unnamed == ["raw/visits"]


def test_an_empty_lake_has_no_table(deployment):
    assert (find_tables(deployment.lake), list_stored(deployment.lake), find_unnamed(deployment.lake)) == ([], [], [])
