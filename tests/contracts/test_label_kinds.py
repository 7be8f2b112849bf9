"""What every kind of label keeps, whoever writes its statement; a new one joins by its file and a model that has it.

A statement labels the examples that it is given and no others, says when each label became known, looks at nothing
that was received later than it may, and never takes back what was known.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.question.labels import known_labels
from include.specs.labels import label_kinds, load_label_kind
from include.specs.models import ModelSpec, _load_model
from include.specs.yaml_files import CONFIG_ROOT
from tests.raw_orders import random_orders

OVERLAYS = Path(__file__).parents[1] / "overlays"
ASKED = [
    *((model_id, None) for model_id in ("churn", "fraud", "recommendation")),
    *((model_id, OVERLAYS / "more_models") for model_id in ("returned", "winback")),
    ("next_shelf", OVERLAYS / "rankings"),
    ("fraud", CONFIG_ROOT / "overlays" / "online_retail"),
]
MODELS = [_load_model(model_id, overlay) for model_id, overlay in ASKED]
OVERLAY_OF = {spec.label.kind: overlay for spec, (_, overlay) in zip(MODELS, ASKED, strict=True)}
FIRST, DAYS = "2024-01-01", 120
TIMES = [partitions.start_of(partitions.shift(FIRST, day)) for day in (30, 37, 44)]


@pytest.fixture(scope="module")
def orders() -> pa.Table:
    """Return orders of every kind in five categories, some received late; what undoes an order names it."""
    rows = random_orders(rows=900, customers=50, first_day=FIRST, days=DAYS, seed=11).to_pylist()
    sales = [row["order_id"] for row in rows if row["kind"] == "sale"]
    for number, row in enumerate(rows):
        row["category"] = f"k{number % 5}"
        if row["kind"] != "sale":
            row["ref_order_id"] = sales[number % len(sales)]
    return pa.Table.from_pylist(rows, schema=random_orders(rows=1, customers=1, first_day=FIRST, days=1, seed=0).schema)


def label(spec: ModelSpec, orders: pa.Table, known_until: datetime) -> pa.Table:
    keys = list(spec.entity.keys)
    entities = orders.filter(pc.equal(orders["kind"], "sale")).select(keys).drop_null().group_by(keys).aggregate([])
    examples = pa.concat_tables(
        entities.append_column("event_timestamp", pa.array([at] * entities.num_rows, pa.timestamp("us", tz="UTC")))
        for at in TIMES
    )
    kind = load_label_kind(spec.label.kind, OVERLAY_OF[spec.label.kind])
    labelled = DuckDbCompute().run_select(
        kind.sql,
        {"orders": orders, "examples": examples},
        purpose="a contract",
        parameters={"known_until": known_until, **spec.label.parameters},
    )
    identity = [*keys, "event_timestamp"]
    asked = examples.join(labelled.select(identity), keys=identity, join_type="inner")
    assert asked.num_rows == labelled.num_rows, "somebody was labelled who was not asked about"
    return known_labels(labelled, keys, known_until=known_until, kind=kind.name)


def by_example(spec: ModelSpec, rows: pa.Table) -> dict[tuple[object, ...], tuple[int, datetime]]:
    identity = [*spec.entity.keys, "event_timestamp"]
    return {tuple(row[name] for name in identity): (row["label"], row["known_at"]) for row in rows.to_pylist()}


def test_every_kind_has_a_model_here():
    assert {spec.label.kind for spec in MODELS} == {
        kind for overlay in OVERLAY_OF.values() for kind in label_kinds(overlay)
    }


@pytest.mark.parametrize("spec", MODELS, ids=lambda spec: f"{spec.label.kind} of {spec.model_id}")
class TestKind:
    def test_both_classes_are_found_and_known_no_earlier_than_the_example(self, spec: ModelSpec, orders: pa.Table):
        rows = label(spec, orders, partitions.end_of(partitions.shift(FIRST, DAYS + 60)))
        assert set(rows["label"].to_pylist()) == {0, 1}
        assert pc.all(pc.greater_equal(rows["known_at"], rows["event_timestamp"])).as_py()

    def test_all_are_known_when_the_horizon_is_over(self, spec: ModelSpec, orders: pa.Table):
        over = max(TIMES) + timedelta(days=spec.label.horizon_days)
        everybody = label(spec, orders, over + timedelta(days=60)).num_rows
        assert label(spec, orders, over).num_rows == everybody

    def test_what_was_received_later_is_not_looked_at(self, spec: ModelSpec, orders: pa.Table):
        until = max(TIMES) + timedelta(days=5)
        known = orders.filter(pc.less_equal(orders["received_at"], pa.scalar(until, orders["received_at"].type)))
        everybody = label(spec, orders, until)
        of_known = by_example(spec, label(spec, known, until))
        # Who had no order by then isn't an example of the shorter log.
        of_all = by_example(spec, everybody)
        assert of_known == {example: of_all[example] for example in of_known}
        assert of_known

    def test_of_orders_received_on_time_what_is_known_stays(self, spec: ModelSpec, orders: pa.Table):
        on_time = pa.Table.from_pylist(
            [row for row in orders.to_pylist() if row["received_at"].date() == row["dt"] + timedelta(days=1)],
            schema=orders.schema,
        )
        before: dict[tuple[object, ...], tuple[int, datetime]] = {}
        for days in (0, 10, 30, 90):
            found = by_example(spec, label(spec, on_time, max(TIMES) + timedelta(days=days)))
            assert before.items() <= found.items()
            before = found
