"""What the list of tables says of itself, and what others say of the same tables."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include import tables
from include.errors import SpecError
from include.features.checks import expected_schema
from include.specs.groups import FeatureGroupSpec, load_feature_groups
from include.specs.lake_tables import list_tables
from include.specs.yaml_files import validated
from include.steps.judge_source import load_contract
from include.tables import Person, TableSpec, find_person
from tests.unit.features.group_builder import group


def test_no_two_tables_have_one_name():
    names = [table.name for table in list_tables()]
    assert len(names) == len(set(names)) > len(tables.ONCE)


def test_every_group_and_every_kind_of_table_is_listed():
    names = {table.name for table in list_tables()}
    assert {spec.table for spec in load_feature_groups()} < names
    assert {"raw/orders", "raw/deliveries", "quarantine/orders", "predictions/churn", "online_vectors/churn"} < names


def test_what_a_training_set_is_made_from_is_kept_for_good():
    """A set pins versions; rows that grew too old would be gone from them all."""
    sources = [tables.ORDERS, *(spec.lake_table for spec in load_feature_groups())]
    assert [table.name for table in sources if table.kept_days is not None] == []


@pytest.mark.parametrize(
    ("keys", "person"),
    [
        (("customer_id",), Person.CUSTOMER),
        (("customer_id", "category"), Person.CUSTOMER),
        (("session_id", "customer_id"), Person.CUSTOMER),
        (("order_id", "customer_id"), Person.CUSTOMER),
        (("order_id",), Person.ORDER),
        (("product_id", "order_id"), Person.ORDER),
        (("product_id",), Person.NOBODY),
        (("category", "product_id"), Person.NOBODY),
    ],
    ids="+".join,
)
def test_the_keys_say_whose_data_a_row_is(keys, person):
    assert find_person(keys) is person
    assert tables.features_table("g", keys, {"n": "int64"}).person is person
    assert tables.predictions_table("m", keys).person is person
    assert tables.training_sets_folder("m", keys).person is person


@pytest.mark.parametrize("keys", [["session_id"], ["product_id", "session_id"]], ids="+".join)
def test_a_group_of_rows_whose_owner_is_unknown_does_not_load(keys, tmp_path):
    values = {**group().model_dump(mode="json"), "entity": {"name": "visit", "keys": keys}}
    with pytest.raises(SpecError, match=r"visits\.yaml: entity\.keys=.*whose data are rows by session_id.*tables\.py"):
        validated(FeatureGroupSpec, values, tmp_path / "visits.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": ("id",)}, "has no column 'id'; it has customer_id, dt"),
        ({"partition_by": "source"}, "has no column 'source'"),
        ({"person": Person.ORDER}, "has no column 'order_id'"),
        ({"person": Person.DELIVERED_ROW}, "has no column 'row'"),
        ({"partition_by": "customer_id", "kept_days": 3, "is_log": True}, "only a log by day has an age"),
        ({"kept_days": 3}, "only a log by day has an age"),
    ],
    ids=["key", "partition", "order", "delivered-row", "age-by-customer", "age-of-data"],
)
def test_a_table_that_contradicts_itself_is_an_error(changes, message):
    values = {
        "name": "raw/x", "row": "", "schema": {"customer_id": "string", "dt": "date"}, "key": ("dt",),
        "person": Person.CUSTOMER,
    }  # fmt: skip
    TableSpec(**values)
    TableSpec(**values, is_log=True, kept_days=3)
    with pytest.raises(ValueError, match=message):
        TableSpec(**{**values, **changes})


def test_orders_have_the_columns_of_the_contract():
    words = {"timestamp": "instant"}
    contract = {column.name: words.get(column.type, column.type) for column in load_contract().columns}
    assert list(tables.ORDERS.schema.items()) == [*contract.items(), ("dt", "date")]


def test_a_groups_table_has_its_keys_times_and_columns():
    assert expected_schema(group()).equals(
        pa.schema(
            [
                ("customer_id", pa.string()),
                ("event_timestamp", pa.timestamp("us", tz="UTC")),
                ("created_timestamp", pa.timestamp("us", tz="UTC")),
                ("orders", pa.int64()),
                ("gap", pa.float32()),
                ("dt", pa.date32()),
            ]
        )
    )
