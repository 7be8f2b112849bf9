"""What the list of tables says of itself, and what others say of the same tables."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include import tables
from include.errors import SpecError
from include.features.checks import expected_schema
from include.specs.groups import FeatureGroupSpec, load_feature_groups
from include.specs.lake_tables import list_tables
from include.specs.sources import load_people, load_source, load_sources
from include.specs.yaml_files import validated
from include.tables import Person, TableSpec, Whose
from tests.unit.features.group_builder import group


def test_no_two_tables_have_one_name():
    names = [table.name for table in list_tables()]
    assert len(names) == len(set(names)) > 3 * len(load_sources())


def test_every_group_and_every_kind_of_table_is_listed():
    names = {table.name for table in list_tables()}
    assert {spec.table for spec in load_feature_groups()} < names
    assert {"raw/orders", "deliveries/orders", "quarantine/orders", "predictions/churn", "online_vectors/churn"} < names


def test_what_a_training_set_is_made_from_is_kept_for_good():
    """A set pins versions; rows that grew too old would be gone from them all."""
    sources = [*(spec.raw for spec in load_sources()), *(spec.lake_table for spec in load_feature_groups())]
    assert [table.name for table in sources if table.kept_days is not None] == []


@pytest.mark.parametrize(
    ("keys", "whose"),
    [
        (("customer_id",), Whose(Person.NAMED, "customer_id")),
        (("customer_id", "category"), Whose(Person.NAMED, "customer_id")),
        (("session_id", "customer_id"), Whose(Person.NAMED, "customer_id")),
        (("order_id", "customer_id"), Whose(Person.NAMED, "customer_id")),
        (("order_id",), Whose(Person.BELONGING, "order_id")),
        (("product_id", "order_id"), Whose(Person.BELONGING, "order_id")),
        (("product_id",), tables.OF_NOBODY),
        (("category", "product_id"), tables.OF_NOBODY),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_the_keys_say_whose_data_a_row_is(keys, whose):
    assert load_people().find(keys) == whose


@pytest.mark.parametrize("keys", [["session_id"], ["product_id", "session_id"]], ids="+".join)
def test_a_group_of_rows_whose_owner_is_unknown_does_not_load(keys, tmp_path):
    values = {**group().model_dump(mode="json"), "entity": {"name": "visit", "keys": keys}}
    with pytest.raises(SpecError, match=r"visits\.yaml: entity\.keys=.*whose data are rows by session_id.*people:"):
        validated(FeatureGroupSpec, values, tmp_path / "visits.yaml")


def test_a_key_that_is_hardly_another_ones_name_is_told_the_other():
    with pytest.raises(ValueError, match=r"rows by prodct_id.*; did you mean 'product_id'"):
        load_people().find(("prodct_id",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": ("id",)}, "has no column 'id'; it has customer_id, dt"),
        ({"partition_by": "source"}, "has no column 'source'"),
        ({"whose": Whose(Person.BELONGING, "order_id")}, "has no column 'order_id'"),
        ({"whose": Whose(Person.DELIVERED_ROW, "row")}, "has no column 'row'"),
        ({"partition_by": "customer_id", "kept_days": 3, "is_log": True}, "only a log by day has an age"),
        ({"kept_days": 3}, "only a log by day has an age"),
    ],
    ids=["key", "partition", "order", "delivered-row", "age-by-customer", "age-of-data"],
)
def test_a_table_that_contradicts_itself_is_an_error(changes, message):
    values = {
        "name": "raw/x", "row": "", "schema": {"customer_id": "string", "dt": "date"}, "key": ("dt",),
        "whose": Whose(Person.NAMED, "customer_id"),
    }  # fmt: skip
    TableSpec(**values)
    TableSpec(**values, is_log=True, kept_days=3)
    with pytest.raises(ValueError, match=message):
        TableSpec(**{**values, **changes})


def test_a_sources_table_has_its_columns_when_it_was_received_and_its_day():
    spec = load_source("orders")
    words = {"timestamp": "instant", "id": "string"}
    columns = [(column.name, words.get(column.type, column.type)) for column in spec.columns]
    assert list(spec.raw.schema.items()) == [*columns, ("dt", "date")]
    bare = spec.model_copy(update={"columns": tuple(c for c in spec.columns if c.name != "received_at")})
    assert list(bare.raw.schema)[-2:] == ["received_at", "dt"]


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
